"""The operator: its parts put together, started in order and stopped in order.

Of several operators one leads. The others stand by: they watch, and keep what they would go on
from, which is the newest of what the leader has written; they decide, probe and write nothing.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from vpplb.controller.heartbeats import Heartbeats
from vpplb.controller.identity import claim_identity
from vpplb.controller.intake import KINDS, Intake
from vpplb.controller.nodes import Nodes
from vpplb.controller.reporter import Reporter
from vpplb.controller.secrets import SecretReader
from vpplb.kube.client import KubeClient
from vpplb.kube.hooks import WriterHooks
from vpplb.kube.informer import Informer
from vpplb.kube.kubernetes_events import EventRecorder
from vpplb.kube.leader_election import Elector
from vpplb.kube.lease_rules import Role
from vpplb.kube.lease_scope import Scope
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.status import StatusWriter
from vpplb.kube.watch import Watch
from vpplb.kube.write_fence import Permit, PermittedClient
from vpplb.model.clock import SystemClock
from vpplb.model.names import ObjectKey
from vpplb.probers.pool import WorkerPool
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.allowances import NOTHING, Allowances
from vpplb.resources.renderer import StatusRenderer
from vpplb.telemetry.board import Board
from vpplb.telemetry.http import HttpServer
from vpplb.telemetry.metrics import OperatorMetrics, Registry
from vpplb.telemetry.stream import EventStream
from vpplb.telemetry.vitals import Vitals, lasting

log = logging.getLogger(__name__)

DRAIN_TIMEOUT = 5.0
EVENTS_TIMEOUT = 1.0
"""Seconds to write what is still due when the operator is told to stop, and to send events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorOptions:
    """What the command line says. `namespaces` empty: all. `netns` empty: the probes' own.

    All operators of a cluster share the lease `lease_name` in `election_namespace`, which lasts
    `lease_duration` seconds; `identity` names this one there, with a suffix of its process. The
    agents' leases are in `lease_namespace`.
    """

    namespaces: Sequence[str] = ()
    http_address: str = ":9091"
    http_hosts: tuple[str, ...] = ()
    netns: str = ""
    transition_history: int = 5
    probe_workers: int = 0
    blind_guard: bool = True
    allowed: Allowances = NOTHING
    lease_namespace: str = "default"
    election_namespace: str = "kube-system"
    lease_name: str = "vpplb-operator"
    lease_duration: float = 15.0
    identity: str


async def run(options: OperatorOptions, stop: asyncio.Event) -> None:
    """Run the operator until `stop` is set.

    ConfigError when no cluster is configured, CannotListen when the HTTP address is taken,
    LeadershipLost when it led and another operator leads now. A cluster that cannot be reached
    is no error: it is tried again and shown in readiness.
    """
    async with await KubeClient.from_config() as client:
        operator = Operator(options, client)
        async with operator.http:
            await operator.run(stop)


class Operator:
    """The parts, and the order in which they start and stop."""

    def __init__(self, options: OperatorOptions, client: KubeClient) -> None:
        clock, nodes, stream, registry = SystemClock(), Nodes(), EventStream(), Registry()
        self._prober = WorkerPool(options.probe_workers, options.netns)
        permit = Permit()
        writing = PermittedClient(client, permit)
        self._writer = StatusWriter(writing)
        self._recorder = EventRecorder(
            writing, "operator", socket.gethostname(), rest=self._writer.rest
        )
        reporter = Reporter(self._writer, self._recorder, clock)
        self._reconciler = Reconciler(
            self._prober,
            reporter,
            clock,
            transition_history=options.transition_history,
            blind_guard=options.blind_guard,
        )
        renderer = StatusRenderer(self._reconciler, nodes.report, clock.now)
        board = Board(self._reconciler, renderer.render, stream)
        self._metrics = OperatorMetrics(registry, board)
        reporter.attach(self._reconciler, renderer, board, self._metrics)
        self._recorder.on_drop = self._metrics.record_event_dropped
        self._secrets = SecretReader(client, self._reconciler)
        intake = Intake(
            self._reconciler, reporter, nodes, options.allowed, on_check=self._secrets.seen
        )
        self._informer = Informer(client, KINDS, ObjectCache([intake]), options.namespaces)
        self._watch = Watch(self._informer, options.namespaces)
        self._writer.hooks = WriterHooks(
            on_write=self._metrics.record_status_write,
            on_delay=self._metrics.observe_transition_to_status,
            on_answer=self._watch.wrote,
            writing=self._watch.writing,
        )
        self._heartbeats = Heartbeats(writing, options.lease_namespace, nodes.shown_gone, clock)
        self._identity = claim_identity(options.identity)
        self._elector = Elector(
            client=client,
            key=ObjectKey(options.election_namespace, options.lease_name),
            identity=self._identity.name,
            scope=Scope.of(options.namespaces),
            duration=options.lease_duration,
            permit=permit,
            now=clock.now,
            on_role=lambda role: self._metrics.set_leader(role is Role.LEADING),
        )
        self._vitals = vitals = Vitals(
            watch_ages=self._watch.ages,
            api_age=client.pulse.age,
            api_trouble=lambda: client.pulse.trouble,
            writes_due=lambda: self._writer.pending,
            processes=self._prober.processes,
            prober=self._prober.trouble,
        )
        registry.register(vitals)
        self.http = HttpServer(
            address=options.http_address,
            metrics=registry.pieces,
            hosts=options.http_hosts,
            alive={
                "watch": lambda: self._watch.beyond_repair or None,
                "probers": lasting(vitals.no_prober),
            },
            figures=vitals.figures,
            checks={
                "api": vitals.api,
                "objects": lambda: self._informer.trouble or None,
                "watch": lambda: self._watch.trouble or None,
                "probers": vitals.probers,
                "lease": lambda: self._elector.not_ready or None,
                "writes": lambda: self._writer.trouble or None,
                "agents": lambda: self._heartbeats.trouble or None,
            },
            facts={"role": lambda: self._elector.role, "leader": lambda: self._elector.holder},
            view=board,
            stream=stream,
            dashboard=True,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, or raise what made that impossible (LeadershipLost)."""
        working = asyncio.create_task(self._work())
        electing = asyncio.create_task(self._elector.run())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({working, electing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        self._reconciler.close()
        await self._prober.stop()
        if stop.is_set() and self._elector.role is Role.LEADING:
            await self._write_what_is_due()
        for task in (stopping, electing):
            task.cancel()
        await asyncio.wait({electing})
        await self._elector.resign()
        working.cancel()
        for outcome in await asyncio.gather(electing, working, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _work(self) -> None:
        """Do all but electing, until cancelled."""
        reconciler = self._reconciler
        await self._prober.start(
            reconciler.on_verdict,
            self._metrics.record_stats,
            reconciler.on_turn,
            reconciler.on_reason,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._vitals.lag.run())
            group.create_task(self._writer.run())
            group.create_task(self._recorder.run())
            await self._elector.looked()
            stood_by = self._elector.role is Role.STANDBY
            await self._informer.list_all()
            group.create_task(self._watch.run())
            group.create_task(self._informer.run())
            if stood_by:
                await self._elector.leads()
                # The watch may lag behind what the last leader wrote in its last moments.
                await self._informer.list_all()
            await self._secrets.read_first()
            log.info("all objects are listed, reconciling begins")
            self._reconciler.set_synced()
            group.create_task(self._secrets.run())
            group.create_task(self._heartbeats.run())

    async def _write_what_is_due(self) -> None:
        await asyncio.gather(
            self._writer.drain(DRAIN_TIMEOUT), self._recorder.drain(EVENTS_TIMEOUT)
        )
