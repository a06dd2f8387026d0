"""The operator: its parts put together, started in order and stopped in order."""

import asyncio
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from vpplb.controller.intake import KINDS, Intake
from vpplb.controller.nodes import Nodes
from vpplb.controller.reporter import Reporter
from vpplb.engine.clock import SystemClock
from vpplb.engine.reconciler import Reconciler
from vpplb.kube.client import KubeClient
from vpplb.kube.events import EventRecorder
from vpplb.kube.informer import Informer
from vpplb.kube.status import StatusWriter
from vpplb.kube.watch import Watch
from vpplb.probers.pool import WorkerPool

log = logging.getLogger(__name__)

DRAIN_TIMEOUT = 5.0
"""Seconds to write what is still due when the operator is told to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorOptions:
    """What the command line says. `namespaces` empty: all. `netns` empty: the probes' own."""

    namespaces: Sequence[str] = ()
    http_address: str = ":9091"
    netns: str = ""
    transition_history: int = 5
    probe_workers: int = 1


async def run(options: OperatorOptions, stop: asyncio.Event) -> None:
    """Run the operator until `stop` is set; ConfigError when no cluster is configured.

    A cluster that cannot be reached is no error: it is tried again and shown in readiness.
    """
    async with await KubeClient.from_config() as client:
        operator = Operator(options, client)
        running = asyncio.create_task(operator.run())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await operator.wind_down()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        if running.done() and not running.cancelled():
            running.result()


class Operator:
    """The parts, and the order in which they start and stop."""

    def __init__(self, options: OperatorOptions, client: KubeClient) -> None:
        clock = SystemClock()
        nodes = Nodes()
        self._writer = StatusWriter(client)
        self._recorder = EventRecorder(client, "operator", socket.gethostname())
        reporter = Reporter(self._writer, self._recorder, nodes.report, clock, lambda _: None)
        self._prober = WorkerPool(options.probe_workers, options.netns)
        self._reconciler = Reconciler(
            self._prober, reporter, clock, transition_history=options.transition_history
        )
        reporter.attach(self._reconciler)
        intake = Intake(self._reconciler, reporter, nodes)
        self._informer = Informer(client, KINDS, intake, options.namespaces)
        self._watch = Watch(self._informer, options.namespaces)

    async def run(self) -> None:
        """Run until cancelled."""
        await self._prober.start(self._reconciler.on_verdict, lambda _: None)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._writer.run())
            group.create_task(self._recorder.run())
            await self._informer.list_all()
            log.info("all objects are listed, reconciling begins")
            self._reconciler.set_synced()
            group.create_task(self._watch.run())
            group.create_task(self._informer.run())

    async def wind_down(self) -> None:
        """Decide and probe nothing any more, and write what is still due."""
        self._reconciler.close()
        await self._prober.stop()
        await self._writer.drain(DRAIN_TIMEOUT)
