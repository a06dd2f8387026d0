"""Keeps one VPP equal to the VIPs that the frontends want, and says how that goes.

The theory. The `VipState` holds what VPP has, as last read and as changed by our own calls since;
so a change costs a difference against memory and no reading. Groups (prefixes) whose VIPs may
differ are `_dirty`; the `PlanApplier` makes them as wanted. A group on which a VIP failed is tried
again later, after a reading. A reading (each `sync_interval`, on a new connection, before a retry)
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
from vpplb.model.vip import Vip, VipId
from vpplb.plan.settings import DesiredSettings
from vpplb.sync.apply import SLICE, FailedVips, PlanApplier
from vpplb.sync.contention import ContentionTracker
from vpplb.sync.frontend_reports import FrontendReports
from vpplb.sync.lb_settings import SettingsSyncer
from vpplb.sync.ports import LoadBalancer, LoadBalancerGone, SyncListener
from vpplb.sync.vip_records import PrefixGroup, WantedVip
from vpplb.sync.vip_state import VipState

PING_INTERVAL = 1.0
"""Seconds between signs of life when nothing else is said."""
BACKOFF = (0.1, 5.0)
"""Seconds before connecting again, doubled from the first to the last."""
FIRST_RETRY = 1.0
"""Seconds before a VIP that failed is tried again, doubled up to the sync interval."""
FRESH = 0.5
"""Seconds for which a reading is new enough to take a VIP away for another one."""


@dataclass(frozen=True, slots=True)
class _RetryState:
    at: float
    failures: int


class VppSyncer:
    """One VPP's programmer: writes `vips`, which others may read. `sync_interval` is in seconds."""

    def __init__(
        self,
        lb: LoadBalancer,
        vips: VipState,
        *,
        listener: SyncListener,
        sync_interval: float = 30.0,
    ) -> None:
        self._lb, self.vips, self._listener = lb, vips, listener
        self._sync_interval = sync_interval
        self._reports = FrontendReports(listener.on_report)
        self._applier = PlanApplier(lb, listener, vips, self._reports, self._schedule_retries)
        self._dirty: dict[PrefixGroup, None] = {}
        self._retries: dict[PrefixGroup, _RetryState] = {}
        self._blocked: dict[PrefixGroup, None] = {}
        """Where something that is not ours keeps VPP from what is wanted: looked at again after
        each reading, without a call."""
        self._read_at = -FRESH
        self._contention = ContentionTracker(sync_interval)
        self._contested: Mapping[PrefixGroup, str] = {}
        self._settings = SettingsSyncer(lb, listener, self._contention)
        self._complete = self.paused = False
        self._wake = asyncio.Event()

    # --- what is wanted -----------------------------------------------------------------------

    def set_desired(self, key: ObjectKey, vip: VipId, desired: Vip, revision: str) -> None:
        if touched := self.vips.set_desired(key, WantedVip(vip, desired, revision)):
            self._touch_frontend(key, touched)

    def keep_vip(self, key: ObjectKey, vip: VipId | None = None) -> None:
        """Leave the frontend's VIP as it is: it exists, but what it wants is not known.

        `vip` protects its VIP also where no owner has been recorded.
        """
        self._touch_frontend(key, self.vips.keep_vip(key, vip))

    def remove_frontend(self, key: ObjectKey) -> None:
        """Remove the frontend's VIP: the frontend is gone, or not for this node."""
        self._touch_frontend(key, self.vips.remove_frontend(key))

    def set_synced(self) -> None:
        """Say that the frontends told so far are all there are: programming may begin."""
        if not self._complete:
            self._complete = True
            self._touch_groups(self.vips.groups)

    def set_settings(self, desired: DesiredSettings) -> None:
        if self._settings.set_desired(desired):
            self._wake.set()

    def set_paused(self, paused: bool) -> None:
        if self.paused and not paused:
            self._touch_groups(self.vips.groups)
        self.paused = paused

    def _touch_frontend(self, key: ObjectKey, groups: Iterable[PrefixGroup]) -> None:
        self._reports.forget_frontend(key)
        self._touch_groups(groups)

    def _touch_groups(self, groups: Iterable[PrefixGroup]) -> None:
        """Have a look at these groups; what failed there gets a fresh chance."""
        for group in groups:
            self._dirty[group] = None
            self._retries.pop(group, None)
            self._wake.set()

    # --- the task -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect and keep VPP as wanted until cancelled; VPP then goes on as it is."""
        losses = 0
        try:
            while True:
                try:
                    info = await self._lb.connect()
                    await self._read_vpp()
                    losses = 0
                    self._reports.forget_all()
                    self._settings.on_reconnected()
                    self._listener.on_connected(info)
                    self._touch_groups(self.vips.groups)
                    await self._serve_connection()
                except LoadBalancerGone as gone:
                    self._listener.on_disconnected(str(gone))
                losses += 1
                await asyncio.sleep(backoff_seconds(losses, *BACKOFF))
        finally:
            await self._lb.close()

    async def _serve_connection(self) -> None:
        """Serve a connection until it is lost (LoadBalancerGone). It was read just now."""
        now = asyncio.get_running_loop().time
        next_sync = now() + self._sync_interval
        while True:
            # Before the work, not after it: what is wanted meanwhile must wake it once more.
            self._wake.clear()
            start = now()
            if await self._program_dirty():
                self._listener.on_synced(now() - start)
            due = [group for group, retry in self._retries.items() if retry.at <= now()]
            if now() >= next_sync or (due and not self.paused):
                await self._resync_all(due)
                next_sync = now() + self._sync_interval
                continue
            retries = [] if self.paused else [retry.at for retry in self._retries.values()]
            next_ping = now() + PING_INTERVAL
            # Less than the clock tells apart would end before it began, and never pass.
            soonest = now() + 0.001
            woken = await self._wait_woken(max(soonest, min(next_sync, next_ping, *retries)))
            if not woken and now() >= next_ping:
                await self._lb.ping()

    async def _wait_woken(self, until: float) -> bool:
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    async def _read_vpp(self) -> None:
        observed = await self._lb.read()
        self._read_at = asyncio.get_running_loop().time()
        strange_before = self.vips.strange
        self.vips.set_observed(observed.table, observed.strange)
        self._settings.set_observed(observed.conf, observed.table)
        if observed.strange != strange_before:
            self._listener.on_strange_vips(observed.strange)

    async def _read_afresh(self) -> None:
        """Read VPP unless it was just now: something new may stand in the way of a VIP."""
        if asyncio.get_running_loop().time() - self._read_at > FRESH:
            await self._read_vpp()

    async def _resync_all(self, due: Sequence[PrefixGroup]) -> None:
        """Read and compare; count as drift what differs though it had been left in order."""
        start = asyncio.get_running_loop().time()
        # Asked before the reading: a call that is due after it was made so by somebody else.
        settled = self._settings.due_call is None
        await self._read_vpp()
        if self._complete and not self.paused:
            known = self._dirty.keys() | self._retries.keys() | self._blocked.keys()
            strayed = [group for group in self.vips.find_strayed() if group not in known]
            repaired = self._filter_contested(strayed, start)
            if drift := len(repaired) + self._settings.note_contest(settled, start):
                self._listener.on_drift(drift)
            # Blocked ones cost no call as long as what blocks them is there.
            self._dirty |= dict.fromkeys((*due, *repaired, *self._blocked))
            await self._program_dirty()
        self._listener.on_synced(asyncio.get_running_loop().time() - start)

    def _filter_contested(self, strayed: Iterable[PrefixGroup], now: float) -> list[PrefixGroup]:
        """Return the groups to repair now; those changed again and again come ever later."""
        before = len(self._contested)
        said = {group: self._contention.defer_repair(group, now) for group in strayed}
        self._contested = {group: why for group, why in said.items() if why}
        self._applier.report_left(self._contested)
        if len(self._contested) != before:
            self._listener.on_contention(len(self._contested))
        return [group for group in said if not said[group]]

    async def _program_dirty(self) -> bool:
        """Send what there is to send; return whether anything was looked at."""
        worked = False
        while self._complete and not self.paused:
            await self._settings.send_due(in_service=self.vips.in_service)
            if not self._dirty:
                break
            # What a VIP gives way to may have been made impossible by somebody else since.
            if self.vips.replaces_vips(self._dirty):
                await self._read_afresh()
            groups, self._dirty = list(self._dirty), {}
            left = await self._applier.apply_groups(
                groups, lambda: not self.paused, self._take_express, self._wake
            )
            self._dirty |= dict.fromkeys(left)
            worked = True
        if self.vips.take_changed():
            self._listener.on_state_changed()
        return worked

    def _take_express(self) -> Sequence[PrefixGroup]:
        """Take what has changed of VIPs in service while others are being made."""
        busy = self._applier.busy
        ready = (group for group in self._dirty if group not in busy and group.only_changes)
        chosen = list(islice(ready, SLICE))
        for group in chosen:
            del self._dirty[group]
        return chosen

    def _schedule_retries(
        self, groups: Iterable[PrefixGroup], failed: FailedVips, blocked: FailedVips
    ) -> None:
        """Have the groups of failed VIPs looked at again, each time later."""
        if blocked or self._blocked:
            for group in groups:
                self._blocked.pop(group, None)
                if not blocked.keys().isdisjoint(group.records):
                    self._blocked[group] = None
        if not failed and not self._retries:
            return
        now = asyncio.get_running_loop().time()
        for group in groups:
            last = self._retries.pop(group, None)
            if not failed.keys().isdisjoint(group.records):
                failures = last.failures + 1 if last else 1
                delay = backoff_seconds(failures, FIRST_RETRY, self._sync_interval)
                self._retries[group] = _RetryState(now + delay, failures)
