"""The operator: its parts put together, started in order and stopped in order."""

import asyncio
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from vpplb.controller.heartbeats import Heartbeats
from vpplb.controller.intake import KINDS, Intake
from vpplb.controller.nodes import Nodes
from vpplb.controller.reporter import Reporter
from vpplb.engine.clock import SystemClock
from vpplb.engine.reconciler import Reconciler
from vpplb.kube.client import KubeClient
from vpplb.kube.events import EventRecorder
from vpplb.kube.informer import Informer
from vpplb.kube.status import StatusWriter, WriterHooks
from vpplb.kube.watch import Watch
from vpplb.probers.pool import WorkerPool
from vpplb.resources.renderer import StatusRenderer
from vpplb.telemetry.board import Board
from vpplb.telemetry.http import HttpServer
from vpplb.telemetry.metrics import OperatorMetrics, Registry
from vpplb.telemetry.stream import EventStream

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
    probe_workers: int = 0
    lease_namespace: str = "default"


async def run(options: OperatorOptions, stop: asyncio.Event) -> None:
    """Run the operator until `stop` is set.

    ConfigError when no cluster is configured, CannotListen when the HTTP address is taken. A
    cluster that cannot be reached is no error: it is tried again and shown in readiness.
    """
    async with await KubeClient.from_config() as client:
        operator = Operator(options, client)
        async with operator.http:
            running = asyncio.create_task(operator.run())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            await operator.wind_down()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            if not running.cancelled():
                running.result()


class Operator:
    """The parts, and the order in which they start and stop."""

    def __init__(self, options: OperatorOptions, client: KubeClient) -> None:
        clock, nodes, stream, registry = SystemClock(), Nodes(), EventStream(), Registry()
        self._prober = WorkerPool(options.probe_workers, options.netns)
        self._recorder = EventRecorder(client, "operator", socket.gethostname())
        self._writer = StatusWriter(client)
        reporter = Reporter(self._writer, self._recorder, clock)
        self._reconciler = Reconciler(
            self._prober, reporter, clock, transition_history=options.transition_history
        )
        renderer = StatusRenderer(self._reconciler, nodes.report, clock.now)
        board = Board(self._reconciler, renderer.render, stream)
        self._metrics = OperatorMetrics(registry, board)
        reporter.attach(self._reconciler, renderer, board, self._metrics)
        self._recorder.on_drop = self._metrics.record_event_dropped
        self._writer.hooks = WriterHooks(
            on_write=self._metrics.record_status_write,
            on_delay=self._metrics.observe_transition_to_status,
        )
        intake = Intake(self._reconciler, reporter, nodes)
        self._informer = Informer(client, KINDS, intake, options.namespaces)
        self._watch = Watch(self._informer, options.namespaces)
        self._heartbeats = Heartbeats(client, options.lease_namespace, nodes.names, clock)
        self.http = HttpServer(
            address=options.http_address,
            metrics=registry.render,
            checks={
                "objects": lambda: self._informer.trouble or None,
                "watch": lambda: self._watch.trouble or None,
            },
            view=board,
            stream=stream,
            dashboard=True,
        )

    async def run(self) -> None:
        """Run until cancelled."""
        await self._prober.start(self._reconciler.on_verdict, self._metrics.record_stats)
        self._metrics.set_leader(True)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._writer.run())
            group.create_task(self._recorder.run())
            await self._informer.list_all()
            log.info("all objects are listed, reconciling begins")
            self._reconciler.set_synced()
            group.create_task(self._watch.run())
            group.create_task(self._informer.run())
            group.create_task(self._heartbeats.run())

    async def wind_down(self) -> None:
        """Decide and probe nothing any more, and write what is still due."""
        self._reconciler.close()
        await self._prober.stop()
        await self._writer.drain(DRAIN_TIMEOUT)
