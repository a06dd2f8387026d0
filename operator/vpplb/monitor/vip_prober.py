"""Probes one VIP on a schedule, each time by a connection of its own.

The schedule never waits for answers. A turn for which as many probes as allowed are still in
flight is skipped and counted, and so is one to which the monitor itself came too late: nothing is
made up for by a burst. What answers late counts for the skipped turns too (`seen_vip`), or a
stall would hide itself: the fewer probes, the fewer slow ones (coordinated omission).
"""

import asyncio
from collections.abc import Callable
from functools import partial
from math import floor

from vpplb.model.check import HttpProbe, IcmpProbe
from vpplb.model.health import ProbeResult
from vpplb.monitor.seen_vip import SeenVip
from vpplb.monitor.served_by import ServedByConversation, ServerNaming
from vpplb.monitor.targets import MonitorTarget, ProbePace
from vpplb.probers.conversation import ProbeConversation
from vpplb.probers.errors import ProberShortage, ShortageKind
from vpplb.probers.http import HttpCheck, HttpConversation
from vpplb.probers.probe_resources import ProbeResources
from vpplb.probers.stream_probe import StreamAttempt


class _FlyingProbe:
    """One of the probes of a VIP that may be in flight at a time."""

    def __init__(
        self,
        target: MonitorTarget,
        resources: ProbeResources,
        name: ServerNaming | None,
        done: Callable[["_FlyingProbe", ProbeResult], None],
    ) -> None:
        assert not isinstance(target.spec.probe, IcmpProbe)
        self.started = 0.0
        self.server = ""
        self.deadline: asyncio.TimerHandle | None = None
        self._name = name
        named = name is not None and isinstance(target.spec.probe, HttpProbe)
        self.attempt = StreamAttempt(
            target.spec,
            target.spec.probe,
            resources,
            partial(done, self),
            1,
            self._make_exchange if named else HttpConversation,
        )

    def _make_exchange(self, check: HttpCheck) -> ProbeConversation:
        assert self._name is not None
        return ServedByConversation(HttpConversation(check), self._name, self._note_server)

    def _note_server(self, server: str) -> None:
        self.server = server


class VipProber:
    """The probes of one VIP, from `start` until `stop`. `landed` is set while none is in flight."""

    def __init__(
        self,
        target: MonitorTarget,
        pace: ProbePace,
        resources: ProbeResources,
        name: ServerNaming | None,
        record: SeenVip,
    ) -> None:
        self.landed = asyncio.Event()
        self.landed.set()
        self._pace = pace
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._idle = [
            _FlyingProbe(target, resources, name, self._end_probe) for _ in range(pace.in_flight)
        ]
        self._all = tuple(self._idle)
        self._origin = 0.0
        self._turn = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self, offset: float) -> None:
        """Begin the first probe after so many seconds."""
        self._origin = self._loop.time() + offset
        self._timer = self._loop.call_at(self._origin, self._take_turn)

    def stop(self) -> None:
        """Begin no more probes; those in flight go on."""
        if self._timer is not None:
            self._timer.cancel()

    def abort_probes(self) -> None:
        """End the probes in flight; they count for nothing."""
        for probe in self._all:
            probe.attempt.abort_probe()
            if probe.deadline is not None:
                probe.deadline.cancel()

    def _take_turn(self) -> None:
        now, interval = self._loop.time(), self._pace.interval
        turn = max(self._turn, floor((now - self._origin) / interval))
        if turn > self._turn:
            self._record.note_late(turn - self._turn)
        self._turn = turn + 1
        self._timer = self._loop.call_at(self._origin + self._turn * interval, self._take_turn)
        if self._idle:
            self._begin_probe(self._idle.pop(0), now)
        else:
            self._record.note_skipped(self._origin + turn * interval)

    def _begin_probe(self, probe: _FlyingProbe, now: float) -> None:
        self.landed.clear()
        probe.started, probe.server = now, ""
        probe.deadline = None
        try:
            result = probe.attempt.begin_probe()
        except ProberShortage as error:
            self._discard_probe(probe, error.shortage)
            return
        if result is not None:
            self._end_probe(probe, result)
            return
        deadline = now + self._pace.timeout
        probe.deadline = self._loop.call_at(deadline, self._expire_probe, probe, deadline)

    def _expire_probe(self, probe: _FlyingProbe, deadline: float) -> None:
        """End a probe for lack of time, unless the monitor itself did not run meanwhile."""
        probe.deadline = None
        if self._loop.time() - deadline > self._pace.timeout / 2:
            probe.attempt.abort_probe()
            self._discard_probe(probe, ShortageKind.CPU)
            return
        try:
            result = probe.attempt.expire_probe()
        except ProberShortage as error:
            self._discard_probe(probe, error.shortage)
        else:
            self._end_probe(probe, result)

    def _discard_probe(self, probe: _FlyingProbe, shortage: ShortageKind) -> None:
        self._record.note_unmeasured(shortage.value)
        self._land_probe(probe)

    def _end_probe(self, probe: _FlyingProbe, result: ProbeResult) -> None:
        now = self._loop.time()
        if result.code.is_pass:
            self._record.note_pass(probe.started, now, probe.server)
        else:
            self._record.note_failure(probe.started, now, result)
        self._land_probe(probe)

    def _land_probe(self, probe: _FlyingProbe) -> None:
        if probe.deadline is not None:
            probe.deadline.cancel()
        self._idle.append(probe)
        if len(self._idle) == len(self._all):
            self.landed.set()
