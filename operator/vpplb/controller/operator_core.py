"""What lies between the objects of the API server and the prober: decisions, and what follows.

An object's change goes from the cache to the store; a run of the reconciler decides; and what was
decided goes, as a value, to agents by the direct road, to statuses, Kubernetes events, and the log.
"""

import asyncio
import socket
from collections.abc import Callable, Iterable

from vpplb.controller.decision_queue import DecisionQueue
from vpplb.controller.decision_records import DecisionRecords
from vpplb.controller.direct_publisher import DirectPublisher
from vpplb.controller.event_reports import EventReports
from vpplb.controller.node_registry import NodeRegistry
from vpplb.controller.secret_reader import SecretReader
from vpplb.controller.status_reports import StatusReports
from vpplb.controller.store_handler import StoreHandler
from vpplb.kube.client import KubeClient
from vpplb.kube.kubernetes_events import EventRecorder
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.status_writer import StatusWriter
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey
from vpplb.model.release_identity import UNNAMED, ReleaseIdentity
from vpplb.plan.decisions import DecidedState
from vpplb.reconcile.ports import Prober
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.allowances import AddressAllowances
from vpplb.resources.renderer import StatusRenderer
from vpplb.telemetry.decision_log import DecisionLog
from vpplb.telemetry.event_stream import EventStream
from vpplb.telemetry.metrics import DecisionMetrics, MetricsRegistry, OperatorMetrics
from vpplb.telemetry.scraped_metrics import register_agents
from vpplb.telemetry.state_view import DecidedStateView

DRAIN_TIMEOUT = 5.0
EVENTS_TIMEOUT = 1.0
"""Seconds to write what is still due when the operator is told to stop, and to send events."""


class OperatorCore:
    """The parts that decide and report. They read `cache`, and are told what changes in it.

    `identity` is this operator's name, `release` its release; 0 `status_writes_per_second`
    are no bound.
    """

    def __init__(
        self,
        *,
        identity: str,
        release: ReleaseIdentity = UNNAMED,
        cache: ObjectCache,
        reading: KubeClient,
        writing_client: KubeClient,
        prober: Prober,
        clock: Clock,
        allowed: AddressAllowances,
        transition_history: int = 5,
        blind_guard: bool = True,
        holds_lease: Callable[[], bool] = lambda: True,
        status_writes_per_second: float = 0.0,
    ) -> None:
        self.registry, self.stream = MetricsRegistry("operator"), EventStream()
        self._decided = decided = DecidedState()
        self.reconciler = Reconciler(
            prober,
            clock,
            reach=allowed.reach,
            transition_history=transition_history,
            blind_guard=blind_guard,
            holds_lease=holds_lease,
        )
        records = DecisionRecords(cache, self.reconciler, self._observe_road)
        self.nodes = NodeRegistry(records.note_programmed, release)
        renderer = StatusRenderer(cache, decided, self.nodes.report_frontend, clock.now)
        self.view = DecidedStateView(cache, decided, renderer.render, self.stream)
        self.decision_metrics = DecisionMetrics(self.registry, self.view)
        self.metrics = metrics = OperatorMetrics(self.registry)
        register_agents(self.registry, self.nodes.list_agents)
        self.writer = StatusWriter(
            writing_client,
            cache,
            on_write=metrics.record_status_write,
            on_delay=metrics.observe_transition_to_status,
            per_second=status_writes_per_second,
        )
        self._recorder = EventRecorder(
            writing_client,
            "operator",
            socket.gethostname(),
            on_drop=metrics.record_event_dropped,
            rest=self.writer.wait_idle,
        )
        self.secrets = SecretReader(reading, self.reconciler)
        self.publisher = DirectPublisher(
            identity=identity,
            records=records,
            nodes=self.nodes,
            reconciler=self.reconciler,
            clock=clock,
            on_reported=self._report_nodes,
        )
        self._statuses = StatusReports(
            decided=decided,
            nodes=self.nodes,
            renderer=renderer,
            writer=self.writer,
            view=self.view,
            metrics=metrics,
            is_reached=self.publisher.is_reached,
            is_awaited=self.publisher.is_awaited,
        )
        events = EventReports(cache, decided, self._recorder, clock)
        log = DecisionLog(self.decision_metrics, self.view, clock)
        self._decision_queue = DecisionQueue(events.announce_decisions, log.log_decisions)
        store = StoreHandler(self.reconciler, allowed, self.secrets.request_secrets)
        for handler in (self._statuses, self.publisher, events, store):
            cache.add_handler(handler)

    async def run(self) -> None:
        """Decide and report until cancelled; nothing is decided before the reconciler is synced."""
        async with asyncio.TaskGroup() as group:
            group.create_task(
                self.reconciler.run(
                    self._decided.apply_decisions,  # first: the others read it
                    self.publisher.publish_decisions,  # then whoever acts on it
                    self._statuses.write_statuses,
                    self._decision_queue.put_decisions,
                )
            )
            group.create_task(self._decision_queue.run())
            group.create_task(self.publisher.run())
            group.create_task(self.writer.run())
            group.create_task(self._recorder.run())

    async def drain_reports(self) -> None:
        """Write and send what is due, for a few seconds at most."""
        self._decision_queue.flush()
        await asyncio.gather(self.writer.drain(DRAIN_TIMEOUT), self._recorder.drain(EVENTS_TIMEOUT))

    # What is known of decisions and nodes has to be there before what shows it.

    def _observe_road(self, road: str, seconds: float) -> None:
        self.metrics.observe_decision_to_vpp(road, seconds)

    def _report_nodes(self, frontends: Iterable[ObjectKey] | None) -> None:
        self._statuses.report_nodes(frontends)
