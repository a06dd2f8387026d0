"""Keeps one VPP equal to the VIPs that the frontends want, and says how that goes.

The theory. `_observed` is what VPP has, as last read and as changed by our own calls since; so a
change costs a difference against memory and no reading. Prefixes whose VIPs may differ are
`_dirty`; a round takes a slice of them, plans, and sends the plan's steps. What fails goes to
`_retries`, and is tried again after a reading. A reading, each `sync_interval`, on a new
connection and before a retry, replaces `_observed` and makes dirty whatever differs.

Nothing is sent before the list of frontends is complete (`set_synced`), nor while paused. VIPs
are removed only if owned: made or adopted for a frontend, which the owner's name records. An
owned VIP of a frontend that exists but wants nothing known (`keep`) stays as it is.

Everything runs in the task of `run`; the other methods only note and wake it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vpplb.engine.ports import (
    LoadBalancer,
    LoadBalancerGone,
    Observed,
    Outcome,
    VipReport,
    VppInfo,
)
from vpplb.model.names import ObjectKey
from vpplb.model.vip import IPAddress, IPNetwork, Vip, VipId, VipTable
from vpplb.plan.diff import (
    Chain,
    ConfWish,
    Plan,
    Step,
    after,
    conf_change,
    diff,
    may_lower,
)
from vpplb.plan.ops import (
    AddServer,
    AddVip,
    ChangeKind,
    DelServer,
    DelVip,
    SetConf,
    SetWeight,
    VipOp,
)
from vpplb.plan.render import op_text

PING_INTERVAL = 1.0
"""Seconds between signs of life when nothing else is said."""
FIRST_BACKOFF, LAST_BACKOFF = 0.1, 5.0
"""Seconds before connecting again, doubled from the first to the last."""
FIRST_RETRY = 1.0
"""Seconds before a VIP that failed is tried again, doubled up to the sync interval."""
SLICE = 64
"""Prefixes in one round: bounds how long a VIP that is recreated waits for the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncerState:
    """What has to outlive the process: which frontend owns a VIP, which flushes were applied."""

    owned: Mapping[VipId, ObjectKey] = field(default_factory=dict)
    flushed: Mapping[tuple[VipId, IPAddress], int] = field(default_factory=dict)


class SyncListener(Protocol):
    """Who wants to know. Called in the syncer's task; must neither block nor raise."""

    def connected(self, info: VppInfo) -> None:
        """VPP answers and has been read."""
        ...

    def disconnected(self, reason: str) -> None:
        """VPP is lost, or still not there: called after each failed attempt."""
        ...

    def reported(self, report: VipReport) -> None:
        """A wanted VIP is programmed, or failed.

        An empty revision is about a VIP that is not wanted any more: with an error it could
        not be removed, without one it is gone.
        """
        ...

    def remembered(self, state: SyncerState) -> None:
        """What is to be kept for the next start has changed."""
        ...

    def changed(self, kind: ChangeKind, count: int) -> None:
        """VPP made this many changes."""
        ...

    def drifted(self, vips: int) -> None:
        """So many VIPs had been changed behind our back; they are being repaired."""
        ...

    def synced(self, seconds: float) -> None:
        """VPP was read and compared, or a change was programmed, in so much time."""
        ...

    def conf_failed(self, error: str) -> None:
        """The plugin's settings could not be set; empty: they are as wished (again)."""
        ...


@dataclass(frozen=True, slots=True)
class _Wanted:
    vip: VipId
    desired: Vip
    revision: str


@dataclass(slots=True)
class _Retry:
    at: float
    delay: float


class Syncer:
    """One VPP's programmer. `sync_interval` and `ping_interval` are in seconds.

    `own_all` takes every VIP found for owned: those that no frontend wants are removed.
    """

    def __init__(
        self,
        lb: LoadBalancer,
        *,
        listener: SyncListener,
        sync_interval: float = 30.0,
        ping_interval: float = PING_INTERVAL,
        state: SyncerState | None = None,
        own_all: bool = False,
    ) -> None:
        self._lb, self._listener = lb, listener
        self._sync_interval, self._ping_interval, self._own_all = (
            sync_interval,
            ping_interval,
            own_all,
        )
        self._owned = dict(state.owned) if state else {}
        self._flushed = dict(state.flushed) if state else {}
        self._wanted: dict[ObjectKey, _Wanted] = {}
        self._kept: dict[ObjectKey, VipId | None] = {}
        self._wish = ConfWish()
        self._conf_refused: SetConf | None = None
        self._synced = self._paused = False
        self._observed: dict[VipId, Vip] = {}
        self._conf = Observed().conf
        self._dirty: dict[IPNetwork, None] = {}
        self._retries: dict[IPNetwork, _Retry] = {}
        self._reports: dict[tuple[ObjectKey, VipId], VipReport] = {}
        self._wake = asyncio.Event()

    # --- what is wanted -----------------------------------------------------------------------

    def set_desired(self, key: ObjectKey, vip: VipId, desired: Vip, revision: str) -> None:
        """Want this VIP for the frontend, instead of what it wanted before."""
        new = _Wanted(vip, desired, revision)
        old = self._wanted.pop(key, None)
        self._kept.pop(key, None)
        self._wanted[key] = new  # at the end: if two want one VIP, the later wins
        if new != old:
            self._touch(key, vip)

    def keep(self, key: ObjectKey, vip: VipId | None = None) -> None:
        """Leave the frontend's VIP as it is: it exists, but what it wants is not known.

        `vip` helps where the owner was never recorded.
        """
        old = self._wanted.pop(key, None)
        self._kept[key] = vip or (old.vip if old else None)
        self._touch(key)

    def remove(self, key: ObjectKey) -> None:
        """Remove the frontend's VIP: the frontend is gone, or not for this node."""
        self._touch(key)
        self._wanted.pop(key, None)
        self._kept.pop(key, None)

    def set_synced(self) -> None:
        """Say that the frontends told so far are all there are; programming may begin."""
        if not self._synced:
            self._synced = True
            self._compare()

    def set_conf(self, wish: ConfWish) -> None:
        """Want these settings of the plugin."""
        self._wish = wish
        self._conf_refused = None
        self._wake.set()

    @property
    def paused(self) -> bool:
        """Whether VPP is only read."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        if self._paused and not paused:
            self._compare()
        self._paused = paused

    # --- what is ------------------------------------------------------------------------------

    @property
    def observed(self) -> VipTable:
        """What VPP has, whoever made it; of the last connection if there is none."""
        return self._observed

    @property
    def state(self) -> SyncerState:
        """What the next start should be given."""
        return SyncerState(owned=dict(self._owned), flushed=dict(self._flushed))

    # --- the task -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect and keep VPP as wanted, until cancelled; VPP goes on as it is then."""
        backoff = FIRST_BACKOFF
        try:
            while True:
                try:
                    info = await self._lb.connect()
                    await self._read()
                    self._listener.connected(info)
                    backoff = FIRST_BACKOFF
                    await self._serve()
                except LoadBalancerGone as gone:
                    self._listener.disconnected(str(gone))
                    self._reports.clear()
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, LAST_BACKOFF)
        finally:
            await self._lb.close()

    async def _serve(self) -> None:
        """Serve one connection until it is lost. It was read just now."""
        self._compare()
        clock = asyncio.get_running_loop().time
        next_sync = clock() + self._sync_interval
        while True:
            self._wake.clear()
            await self._program()
            until = min(next_sync, clock() + self._ping_interval, self._next_retry())
            try:
                async with asyncio.timeout_at(until):
                    await self._wake.wait()
                continue
            except TimeoutError:
                pass
            due = [p for p, retry in self._retries.items() if retry.at <= clock()]
            if due or clock() >= next_sync:
                await self._resync(due)
                next_sync = clock() + self._sync_interval
            else:
                await self._lb.ping()

    def _next_retry(self) -> float:
        if self._paused:
            return float("inf")
        return min((retry.at for retry in self._retries.values()), default=float("inf"))

    async def _resync(self, due: Sequence[IPNetwork]) -> None:
        """Read and compare; count as drift what differs though we had left it in order."""
        start = asyncio.get_running_loop().time()
        await self._read()
        if self._synced and not self._paused:
            unsettled = {*self._dirty, *self._retries}
            plan = self._plan(None)
            drift = sum(chain.vip.prefix not in unsettled for chain in plan.chains)
            if drift:
                self._listener.drifted(drift)
            self._dirty |= dict.fromkeys((*due, *(chain.vip.prefix for chain in plan.chains)))
            self._conf_refused = None
            await self._program()
        self._listener.synced(asyncio.get_running_loop().time() - start)

    async def _read(self) -> None:
        observed = await self._lb.read()
        self._observed, self._conf = dict(observed.table), observed.conf

    def _compare(self) -> None:
        """Look at every VIP again, in the next rounds."""
        self._retries.clear()
        vips = (*self._observed, *(w.vip for w in self._wanted.values()), *self._owned)
        self._dirty |= dict.fromkeys(vip.prefix for vip in vips)
        self._wake.set()

    def _touch(self, key: ObjectKey, *vips: VipId) -> None:
        """Look again at all VIPs that concern a frontend; give failed ones a fresh chance."""
        wanted = self._wanted.get(key)
        owned = (vip for vip, owner in self._owned.items() if owner == key)
        for vip in (*vips, *owned, *((wanted.vip,) if wanted else ())):
            self._dirty[vip.prefix] = None
            self._retries.pop(vip.prefix, None)
        self._wake.set()
