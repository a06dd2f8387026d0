"""What lies between the objects of the API server and the prober: decisions, and what follows.

An object's change goes from the cache to the store; a run of the reconciler decides; and what was
decided goes, as a value, to agents by the direct road, to statuses, Kubernetes events, and the log.
"""

import asyncio
from typing import TYPE_CHECKING

from vpplb.controller.decision_records import DecisionRecords
from vpplb.controller.decision_reports import DecisionReports
from vpplb.controller.direct_publisher import DirectPublisher, ElectionState
from vpplb.controller.node_registry import NodeRegistry
from vpplb.controller.store_handler import StoreHandler
from vpplb.kube.client import KubeClient
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.kube.object_cache import ObjectCache
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey
from vpplb.model.release_identity import UNNAMED, ReleaseIdentity
from vpplb.plan.decisions import DecidedState
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.renderer import StatusRenderer
from vpplb.telemetry.decision_log import DecisionLog
from vpplb.telemetry.event_stream import EventStream
from vpplb.telemetry.metrics import DecisionMetrics, MetricsRegistry, OperatorMetrics
from vpplb.telemetry.state_view import DecidedStateView

if TYPE_CHECKING:
    from vpplb.telemetry.failover_traces import FailoverTraces


def _trace_nothing(frontend: ObjectKey) -> str:
    return ""


class OperatorCore:
    """What follows from the objects in `cache`, as `reconciler` decides on them.

    `store` has the reconciler know those objects. `identity` is this operator's name, `release`
    its release; 0 `status_writes_per_second` are no bound.
    """

    def __init__(
        self,
        *,
        identity: str,
        release: ReleaseIdentity = UNNAMED,
        cache: ObjectCache,
        writing: KubeClient,
        reconciler: Reconciler,
        store: StoreHandler,
        clock: Clock,
        status_writes_per_second: float,
        traces: "FailoverTraces | None",
    ) -> None:
        self.reconciler, self._decided, self._traces = reconciler, DecidedState(), traces
        self.registry, self.stream = MetricsRegistry("operator"), EventStream()
        self.metrics = OperatorMetrics(self.registry)
        records = self._make_records(cache)
        self.nodes = NodeRegistry(records.note_programmed, release)
        renderer = StatusRenderer(cache, self._decided, self.nodes.report_frontend, clock.now)
        self.view = DecidedStateView(
            cache, self._decided, renderer.render, self.stream, renderer.judgements
        )
        self.decision_metrics = DecisionMetrics(self.registry, self.view)
        self.reports = DecisionReports(
            cache=cache,
            decided=self._decided,
            records=records,
            nodes=self.nodes,
            renderer=renderer,
            view=self.view,
            metrics=self.metrics,
            log=DecisionLog(self.decision_metrics, self.view, clock),
            client=writing,
            clock=clock,
            per_second=status_writes_per_second,
        )
        heard = self.reports.statuses.report_nodes
        self.publisher = DirectPublisher(identity, records, self.nodes, reconciler, clock, heard)
        # What is known of nodes is taken in first: the others read it.
        cache.add_handlers(self.reports.statuses, self.publisher, self.reports.events, store)

    def _make_records(self, cache: ObjectCache) -> DecisionRecords:
        observe, traces = self.metrics.observe_decision_to_vpp, self._traces
        trace_of = traces.get_parent if traces is not None else _trace_nothing
        return DecisionRecords(cache, self.reconciler, observe, trace_of)

    def on_role(self, role: LeaderRole) -> None:
        """Take the part that this operator has in the election from now on."""
        self.metrics.set_leader(role is LeaderRole.LEADING)
        self.publisher.set_election(ElectionState(role=role, why="it has lost the lease"))

    async def run(self) -> None:
        """Decide and report until cancelled; nothing is decided before the reconciler is synced."""
        async with asyncio.TaskGroup() as group:
            group.create_task(
                self.reconciler.run(
                    self._decided.apply_decisions,  # first: the others read it
                    *([self._traces.trace_decisions] if self._traces is not None else []),
                    self.publisher.publish_decisions,  # then whoever acts on it
                    self.reports.statuses.write_statuses,
                    self.reports.queue.put_decisions,
                )
            )
            group.create_task(self.publisher.run())
            group.create_task(self.reports.run())
