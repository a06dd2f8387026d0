"""A run: all VIPs at once, until it is over; and what was measured so far."""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from vpplb.monitor.seen_vip import SeenVip
from vpplb.monitor.served_by import ServerNaming
from vpplb.monitor.targets import MonitorTarget, ProbePace
from vpplb.monitor.vip_prober import VipProber
from vpplb.probers.poller import EventPoller
from vpplb.probers.probe_resources import ProbeResources
from vpplb.probers.searcher import BodySearchProcess
from vpplb.probers.socket_pool import SocketPools
from vpplb.probers.worker_messages import map_note


class MonitorRun:
    """Probes VIPs within `async with`. `records` are in the order of the targets.

    Why the prober's epoll within asyncio's: probes are the very ones that decide about backends,
    and there are some thousand a second at most.
    """

    def __init__(
        self, targets: Sequence[MonitorTarget], pace: ProbePace, name: ServerNaming | None = None
    ) -> None:
        self.targets = tuple(targets)
        self.records = tuple(SeenVip() for _ in targets)
        self._pace = pace
        self._name = name
        self._probers: list[VipProber] = []
        self._poller = EventPoller()
        self._resources = ProbeResources(
            sockets=SocketPools(self._poller),
            searcher=BodySearchProcess(self._poller, time.monotonic),
            in_hand=map_note(),
        )
        self.began = 0.0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._poller.fileno(), self._handle_events)
        self.began = loop.time()
        for number, (target, record) in enumerate(zip(self.targets, self.records, strict=True)):
            prober = VipProber(target, self._pace, self._resources, self._name, record)
            # Spread over the interval, so that hundreds of VIPs are no burst.
            prober.start(self._pace.interval * number / len(self.targets))
            self._probers.append(prober)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for prober in self._probers:
            prober.stop()
            prober.abort_probes()
        for record in self.records:
            record.spells.end_run()
        asyncio.get_running_loop().remove_reader(self._poller.fileno())
        self._resources.sockets.close()
        self._resources.searcher.close()
        self._poller.close()

    async def finish_probes(self) -> None:
        """Begin no more probes, and wait for those in flight: no longer than their timeout."""
        for prober in self._probers:
            prober.stop()
        for prober in self._probers:
            await prober.landed.wait()

    def _handle_events(self) -> None:
        self._poller.dispatch_events(self._poller.wait_for_events(0))
