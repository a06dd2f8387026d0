"""What is told of decisions once agents have been told: statuses, Kubernetes events, log lines."""

import asyncio
import socket

from vpplb.controller.decision_queue import DecisionQueue
from vpplb.controller.decision_records import DecisionRecords
from vpplb.controller.event_reports import EventReports
from vpplb.controller.node_registry import NodeRegistry
from vpplb.controller.status_reports import StatusReports
from vpplb.kube.client import KubeClient
from vpplb.kube.kubernetes_events import EventRecorder
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.status_writer import StatusWriter
from vpplb.model.clock import Clock
from vpplb.plan.decisions import DecidedState
from vpplb.resources.renderer import StatusRenderer
from vpplb.telemetry.decision_log import DecisionLog
from vpplb.telemetry.metrics import OperatorMetrics
from vpplb.telemetry.state_view import DecidedStateView

DRAIN_TIMEOUT = 5.0
EVENTS_TIMEOUT = 1.0
"""Seconds to write what is still due when the operator is told to stop, and to send events."""


class DecisionReports:
    """The parts that tell, and what they write with: `client` lets only the leader write.

    0 `per_second` status writes are no bound.
    """

    def __init__(
        self,
        *,
        cache: ObjectCache,
        decided: DecidedState,
        records: DecisionRecords,
        nodes: NodeRegistry,
        renderer: StatusRenderer,
        view: DecidedStateView,
        metrics: OperatorMetrics,
        log: DecisionLog,
        client: KubeClient,
        clock: Clock,
        per_second: float,
    ) -> None:
        self.writer = StatusWriter(
            client,
            cache,
            on_write=metrics.record_status_write,
            on_delay=metrics.observe_transition_to_status,
            per_second=per_second,
        )
        self._recorder = EventRecorder(
            client,
            "operator",
            socket.gethostname(),
            on_drop=metrics.record_event_dropped,
            rest=self.writer.wait_idle,
        )
        self.events = EventReports(cache, decided, self._recorder, clock)
        self.statuses = StatusReports(
            *(decided, records, nodes, renderer, self.writer, view, metrics),
            on_judged=self.events.announce_judgement,
        )
        self.queue = DecisionQueue(self.events.announce_decisions, log.log_decisions)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for part in (self.queue, self.writer, self._recorder):
                group.create_task(part.run())

    async def drain(self) -> None:
        """Write and send what is due, for a few seconds at most."""
        self.queue.flush()
        await asyncio.gather(self.writer.drain(DRAIN_TIMEOUT), self._recorder.drain(EVENTS_TIMEOUT))
