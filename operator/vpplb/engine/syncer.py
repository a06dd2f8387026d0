"""Keeps one VPP equal to the VIPs that the frontends want, and says how that goes.

The theory. The `VipBook` holds what VPP has, as last read and as changed by our own calls since;
so a change costs a difference against memory and no reading. Prefixes whose VIPs may differ are
`_dirty`; a round takes a slice of them, plans, and sends the plan's steps. A prefix on which a
VIP failed is tried again later, after a reading. A reading (each `sync_interval`, on a new
connection, before a retry) replaces what is known, and makes dirty whatever differs.

Nothing is sent before the list of frontends is complete (`set_synced`), nor while paused.
Everything runs in the task of `run`; the other methods only note and wake it.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from vpplb.engine.ports import LoadBalancer, LoadBalancerGone, Outcome, SyncListener
from vpplb.engine.standing import Standing
from vpplb.engine.vipbook import Round, SyncerState, VipBook, Wanted
from vpplb.model.names import ObjectKey
from vpplb.model.vip import IPNetwork, LbConf, Vip, VipId, VipTable
from vpplb.plan.diff import Chain, ConfWish, Step, conf_change, goes_on, kind_of
from vpplb.plan.ops import ChangeKind, SetConf, VipOp
from vpplb.plan.render import op_text

PING_INTERVAL = 1.0
"""Seconds between signs of life when nothing else is said."""
FIRST_BACKOFF, LAST_BACKOFF = 0.1, 5.0
"""Seconds before connecting again, doubled from the first to the last."""
FIRST_RETRY = 1.0
"""Seconds before a VIP that failed is tried again, doubled up to the sync interval."""
SLICE = 64
"""Prefixes in one round: bounds how long a VIP that is recreated waits for the others."""


@dataclass(frozen=True, slots=True)
class _Retry:
    at: float
    delay: float


class Syncer:
    """One VPP's programmer. `sync_interval` and `ping_interval` are in seconds.

    `state` is what the last process left. With `own_all` every VIP found is owned: what no
    frontend wants is removed, whoever made it.
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
        self._sync_interval, self._ping_interval = sync_interval, ping_interval
        self._book = VipBook(state or SyncerState(), own_all=own_all)
        self._dirty: dict[IPNetwork, None] = {}
        self._retries: dict[IPNetwork, _Retry] = {}
        self._standing = Standing(listener.reported)
        self._conf = LbConf()
        self._wish = ConfWish()
        self._refused: SetConf | None = None
        self._conf_error = ""
        self._complete = self._paused = False
        self._wake = asyncio.Event()

    # --- what is wanted -----------------------------------------------------------------------

    def set_desired(self, key: ObjectKey, vip: VipId, desired: Vip, revision: str) -> None:
        """Want this VIP for the frontend, instead of what it wanted before."""
        if touched := self._book.want(key, Wanted(vip, desired, revision)):
            self._renew(key, touched)

    def keep(self, key: ObjectKey, vip: VipId | None = None) -> None:
        """Leave the frontend's VIP as it is: it exists, but what it wants is not known.

        `vip` protects its VIP also where no owner has been recorded.
        """
        self._renew(key, self._book.keep(key, vip))

    def remove(self, key: ObjectKey) -> None:
        """Remove the frontend's VIP: the frontend is gone, or not for this node."""
        self._renew(key, self._book.drop(key))

    def set_synced(self) -> None:
        """Say that the frontends told so far are all there are: programming may begin."""
        if not self._complete:
            self._complete = True
            self._touch(self._book.prefixes)

    def set_conf(self, wish: ConfWish) -> None:
        """Want these settings of the plugin."""
        if wish != self._wish:
            self._wish, self._refused = wish, None
            self._wake.set()

    @property
    def paused(self) -> bool:
        """Whether VPP is only read, and not changed."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        if self._paused and not paused:
            self._touch(self._book.prefixes)
        self._paused = paused

    def _renew(self, key: ObjectKey, prefixes: Iterable[IPNetwork]) -> None:
        self._standing.renew(key)
        self._touch(prefixes)

    def _touch(self, prefixes: Iterable[IPNetwork]) -> None:
        """Have a look at these prefixes; what failed there gets a fresh chance."""
        for prefix in prefixes:
            self._dirty[prefix] = None
            self._retries.pop(prefix, None)
            self._wake.set()

    # --- what is ------------------------------------------------------------------------------

    @property
    def observed(self) -> VipTable:
        """What VPP has, whoever made it; when it is lost, what it had."""
        return self._book.observed

    @property
    def state(self) -> SyncerState:
        """What the next start should be given."""
        return self._book.state

    # --- the task -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect and keep VPP as wanted until cancelled; VPP then goes on as it is."""
        backoff = FIRST_BACKOFF
        try:
            while True:
                try:
                    info = await self._lb.connect()
                    await self._read()
                    backoff = FIRST_BACKOFF
                    self._standing.reset()
                    self._listener.connected(info)
                    self._touch(self._book.prefixes)
                    await self._serve()
                except LoadBalancerGone as gone:
                    self._listener.disconnected(str(gone))
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, LAST_BACKOFF)
        finally:
            await self._lb.close()

    async def _serve(self) -> None:
        """Serve a connection until it is lost (LoadBalancerGone). It was read just now."""
        now = asyncio.get_running_loop().time
        next_sync = now() + self._sync_interval
        while True:
            self._wake.clear()
            start = now()
            if await self._program():
                self._listener.synced(now() - start)
            due = [prefix for prefix, retry in self._retries.items() if retry.at <= now()]
            if now() >= next_sync or (due and not self._paused):
                await self._resync(due)
                next_sync = now() + self._sync_interval
                continue
            retries = [] if self._paused else [retry.at for retry in self._retries.values()]
            next_ping = now() + self._ping_interval
            if not await self._woken(min(next_sync, next_ping, *retries)) and now() >= next_ping:
                await self._lb.ping()

    async def _woken(self, until: float) -> bool:
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    async def _read(self) -> None:
        observed = await self._lb.read()
        self._book.observe(observed.table)
        self._conf, self._refused = observed.conf, None

    async def _resync(self, due: Sequence[IPNetwork]) -> None:
        """Read and compare; count as drift what differs though it had been left in order."""
        start = asyncio.get_running_loop().time()
        await self._read()
        if self._complete and not self._paused:
            plan = self._book.begin(self._book.prefixes).plan
            prefixes = [chain.vip.prefix for chain in plan.chains]
            strayed = [p for p in prefixes if p not in self._dirty and p not in self._retries]
            if strayed:
                self._listener.drifted(len(strayed))
            self._dirty |= dict.fromkeys((*due, *strayed))
            await self._program()
        self._listener.synced(asyncio.get_running_loop().time() - start)

    async def _program(self) -> bool:
        """Send what there is to send; return whether anything was looked at."""
        worked = False
        while self._complete and not self._paused:
            await self._settle_conf()
            prefixes = list(islice(self._dirty, SLICE))
            if not prefixes:
                break
            for prefix in prefixes:
                del self._dirty[prefix]
            await self._round(prefixes)
            worked = True
        return worked

    async def _settle_conf(self) -> None:
        """Set the plugin's settings where they differ, unless just that has been refused."""
        op = conf_change(self._wish, self._conf)
        if op is not None and op == self._refused:
            return
        self._refused, error = None, ""
        if op is not None:
            (outcome,) = await self._lb.apply([op])
            if outcome.ok:
                self._conf = op.conf
                self._listener.changed(ChangeKind.CONF, 1)
            else:
                self._refused, error = op, _words(outcome)
        if error != self._conf_error:
            self._conf_error = error
            self._listener.conf_failed(error)

    async def _round(self, prefixes: Sequence[IPNetwork]) -> None:
        """Make the VIPs of some prefixes as wanted, and report on each."""
        planned = self._book.begin(prefixes)
        self._remember()
        failed = await self._execute(planned)
        owners = {chain.vip: self._book.owner(chain.vip) for chain in planned.plan.chains}
        owners |= {vip: self._book.owner(vip) for vip in planned.desired}
        owners |= self._book.settle(planned, failed)
        self._standing.conclude(planned.claims, owners, failed)
        self._remember()
        self._schedule(prefixes, {vip.prefix for vip in failed})

    async def _execute(self, planned: Round) -> dict[VipId, str]:
        """Send the plan step by step; return what failed, in words."""
        failed: dict[VipId, str] = {}
        chains = list(planned.plan.chains)
        for step in Step:
            ops = [op for chain in chains for op in chain.at(step)]
            outcomes = iter(await self._lb.apply(ops) if ops else ())
            for chain in [chain for chain in chains if chain.at(step)]:
                answers = list(islice(outcomes, len(chain.at(step))))
                done = [a.op for a in answers if a.ok and not isinstance(a.op, SetConf)]
                want = planned.desired.get(chain.vip)
                have = self._book.done(chain, done, want)
                self._count(chain, done)
                if error := next((_words(answer) for answer in answers if not answer.ok), ""):
                    failed.setdefault(chain.vip, error)
                    if not goes_on(step, have, want):
                        chains.remove(chain)
        return failed

    def _count(self, chain: Chain, done: Sequence[VipOp]) -> None:
        for kind, count in Counter(kind_of(op, chain) for op in done).items():
            if kind is not None:
                self._listener.changed(kind, count)

    def _remember(self) -> None:
        if self._book.news():
            self._listener.remembered()

    def _schedule(self, prefixes: Sequence[IPNetwork], failed: set[IPNetwork]) -> None:
        """Have the prefixes of failed VIPs tried again, each time later."""
        now = asyncio.get_running_loop().time()
        for prefix in prefixes:
            last = self._retries.pop(prefix, None)
            if prefix in failed:
                delay = min(2 * last.delay if last else FIRST_RETRY, self._sync_interval)
                self._retries[prefix] = _Retry(now + delay, delay)


def _words(outcome: Outcome) -> str:
    return f"{op_text(outcome.op)}: {outcome.message}"
