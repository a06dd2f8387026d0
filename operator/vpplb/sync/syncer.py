"""Keeps one VPP equal to the VIPs that the frontends want, and says how that goes.

The theory. The `VipBook` holds what VPP has, as last read and as changed by our own calls since;
so a change costs a difference against memory and no reading. Shelves (prefixes) whose VIPs may
differ are `_dirty`; the `Programmer` works them off. A shelf on which a VIP failed is tried again
later, after a reading. A reading (each `sync_interval`, on a new connection, before a retry)
replaces what is known, and makes dirty whatever differs.

Nothing is sent before the list of frontends is complete (`set_synced`), nor while paused.
Everything runs in the task of `run`; the other methods only note and wake it.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from vpplb.model.backoff import backoff_seconds
from vpplb.model.names import ObjectKey
from vpplb.model.vip import StrangeVip, Vip, VipId, VipTable
from vpplb.plan.settings import DesiredSettings
from vpplb.sync.apply import SLICE, Failed, Programmer
from vpplb.sync.contention import Quarrels
from vpplb.sync.lb_settings import PluginConf
from vpplb.sync.ports import LoadBalancer, LoadBalancerGone, SyncListener
from vpplb.sync.program_report import Standing
from vpplb.sync.vip_records import Shelf, Wanted
from vpplb.sync.vip_state import SyncerState, VipBook

PING_INTERVAL = 1.0
"""Seconds between signs of life when nothing else is said."""
BACKOFF = (0.1, 5.0)
"""Seconds before connecting again, doubled from the first to the last."""
FIRST_RETRY = 1.0
"""Seconds before a VIP that failed is tried again, doubled up to the sync interval."""
FRESH = 0.5
"""Seconds for which a reading is new enough to take a VIP away for another one."""


@dataclass(frozen=True, slots=True)
class _Retry:
    at: float
    failures: int


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
        self._standing = Standing(listener.reported)
        self._programmer = Programmer(lb, listener, self._book, self._standing, self._schedule)
        self._dirty: dict[Shelf, None] = {}
        self._retries: dict[Shelf, _Retry] = {}
        self._blocked: dict[Shelf, None] = {}
        """Where something that is not ours keeps VPP from what is wanted: looked at again after
        each reading, without a call."""
        self._strange: Sequence[StrangeVip] = ()
        self._read_at = -FRESH
        self._quarrels = Quarrels(sync_interval)
        self._contested: Mapping[Shelf, str] = {}
        self._conf = PluginConf(lb, listener, self._quarrels)
        self._complete = self._paused = False
        self._wake = asyncio.Event()

    def recall(self, state: SyncerState) -> None:
        """Take in what the last process left; before `run`."""
        self._book.recall(state)

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
            self._touch(self._book.shelves)

    def set_settings(self, wish: DesiredSettings) -> None:
        """Want these settings of the plugin."""
        if self._conf.want(wish):
            self._wake.set()

    @property
    def paused(self) -> bool:
        """Whether VPP is only read, and not changed."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        if self._paused and not paused:
            self._touch(self._book.shelves)
        self._paused = paused

    def _renew(self, key: ObjectKey, shelves: Iterable[Shelf]) -> None:
        self._standing.renew(key)
        self._touch(shelves)

    def _touch(self, shelves: Iterable[Shelf]) -> None:
        """Have a look at these shelves; what failed there gets a fresh chance."""
        for shelf in shelves:
            self._dirty[shelf] = None
            self._retries.pop(shelf, None)
            self._wake.set()

    # --- what is ------------------------------------------------------------------------------

    @property
    def observed(self) -> VipTable:
        """What VPP has, whoever made it; when it is lost, what it had."""
        return self._book.observed

    @property
    def strange(self) -> Sequence[StrangeVip]:
        """VIPs that VPP was last found to have beside those of `observed`."""
        return self._strange

    @property
    def state(self) -> SyncerState:
        """What the next start should be given."""
        return self._book.state

    # --- the task -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect and keep VPP as wanted until cancelled; VPP then goes on as it is."""
        losses = 0
        try:
            while True:
                try:
                    info = await self._lb.connect()
                    await self._read()
                    losses = 0
                    self._standing.reset()
                    self._conf.reconnected()
                    self._listener.connected(info)
                    self._touch(self._book.shelves)
                    await self._serve()
                except LoadBalancerGone as gone:
                    self._listener.disconnected(str(gone))
                losses += 1
                await asyncio.sleep(backoff_seconds(losses, *BACKOFF))
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
            due = [shelf for shelf, retry in self._retries.items() if retry.at <= now()]
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
        self._read_at = asyncio.get_running_loop().time()
        self._book.observe(observed.table, observed.strange)
        self._conf.observe(observed.conf, observed.table)
        if observed.strange != self._strange:
            self._strange = observed.strange
            self._listener.met_strange(observed.strange)

    async def _read_afresh(self) -> None:
        """Read VPP unless it was just now: something new may stand in the way of a VIP."""
        if asyncio.get_running_loop().time() - self._read_at > FRESH:
            await self._read()

    async def _resync(self, due: Sequence[Shelf]) -> None:
        """Read and compare; count as drift what differs though it had been left in order."""
        start = asyncio.get_running_loop().time()
        settled = self._conf.op is None
        await self._read()
        if self._complete and not self._paused:
            known = self._dirty.keys() | self._retries.keys() | self._blocked.keys()
            strayed = [shelf for shelf in self._book.strayed() if shelf not in known]
            repaired = self._contest(strayed, start)
            if drift := len(repaired) + self._conf.contest(settled, start):
                self._listener.drifted(drift)
            self._dirty |= dict.fromkeys((*due, *repaired, *self._blocked))
            await self._program()
        self._listener.synced(asyncio.get_running_loop().time() - start)

    def _contest(self, strayed: Iterable[Shelf], now: float) -> list[Shelf]:
        """Return the shelves to repair now; those changed again and again come ever later."""
        before = len(self._contested)
        said = {shelf: self._quarrels.repair(shelf, now) for shelf in strayed}
        self._contested = {shelf: why for shelf, why in said.items() if why}
        self._programmer.leave(self._contested)
        if len(self._contested) != before:
            self._listener.contested(len(self._contested))
        return [shelf for shelf in said if not said[shelf]]

    async def _program(self) -> bool:
        """Send what there is to send; return whether anything was looked at."""
        worked = False
        while self._complete and not self._paused:
            await self._conf.settle(in_service=self._book.in_service)
            if not self._dirty:
                break
            if self._book.replaces(self._dirty):
                await self._read_afresh()
            shelves, self._dirty = list(self._dirty), {}
            left = await self._programmer.work_off(
                shelves, lambda: not self._paused, self._express, self._wake
            )
            self._dirty |= dict.fromkeys(left)
            worked = True
        if self._book.news():
            self._listener.remembered()
        return worked

    def _express(self) -> Sequence[Shelf]:
        """Take what has changed of VIPs in service while others are worked off."""
        busy = self._programmer.busy
        ready = (shelf for shelf in self._dirty if shelf not in busy and shelf.only_changes)
        chosen = list(islice(ready, SLICE))
        for shelf in chosen:
            del self._dirty[shelf]
        return chosen

    def _schedule(self, shelves: Iterable[Shelf], failed: Failed, blocked: Failed) -> None:
        """Have the shelves of failed VIPs looked at again, each time later."""
        if blocked or self._blocked:
            for shelf in shelves:
                self._blocked.pop(shelf, None)
                if not blocked.keys().isdisjoint(shelf.rows):
                    self._blocked[shelf] = None
        if not failed and not self._retries:
            return
        now = asyncio.get_running_loop().time()
        for shelf in shelves:
            last = self._retries.pop(shelf, None)
            if not failed.keys().isdisjoint(shelf.rows):
                failures = last.failures + 1 if last else 1
                delay = backoff_seconds(failures, FIRST_RETRY, self._sync_interval)
                self._retries[shelf] = _Retry(now + delay, failures)
