"""Traces of failovers by OpenTelemetry: from the deciding probe to each call that a VPP has taken.

A trace is a chain: `probe` (of the last failure or success that was needed), `verdict` (its way
into the program), `decision`, and `vpp …` for each call. By the direct road the decision goes to
agents with its `traceparent` (W3C), so their calls are of the same trace; decisions that come by
statuses have none. Where nothing has failed or recovered there is no trace.

Imported by who is asked for traces alone: without that nothing of OpenTelemetry is loaded.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Thread

from opentelemetry.context import Context
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from vpplb import __version__
from vpplb.model.clock import Clock, SystemClock
from vpplb.model.health import HealthTransition
from vpplb.model.names import ObjectKey
from vpplb.model.vip import VipId
from vpplb.plan.decisions import Decisions
from vpplb.plan.ops import Op, SetConf
from vpplb.plan.render import op_text
from vpplb.plan.settings import HeapSpace
from vpplb.reconcile.ports import CheckVerdict
from vpplb.sync.ports import CallOutcome, LoadBalancer, ObservedVpp, VppInfo
from vpplb.telemetry.trace_export import open_exporter

log = logging.getLogger(__name__)

LATEST = timedelta(seconds=60)
"""After a decision: what VPP is told of its frontend later is another matter, such as a repair."""
MOST_AT_ONCE = 20
"""Transitions of one moment that are traced: each takes up to a millisecond, in which nobody is
told of what was decided."""
LAST_WORDS = 2.0
"""Seconds in which what is still to be sent may be, when the program ends."""

_W3C = TraceContextTextMapPropagator()
_OnVerdict = Callable[[CheckVerdict], None]
_Owners = Callable[[], Mapping[VipId, ObjectKey]]


class FailoverTraces:
    """The traces of one program. Spans go to `processor`, and to `place`; close it in the end."""

    def __init__(
        self, program: str, processor: SpanProcessor, clock: Clock | None = None, place: str = ""
    ) -> None:
        self.place = place
        ours = {SERVICE_NAME: f"vpplb-{program}", SERVICE_VERSION: __version__}
        # What the environment says goes first: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
        resource = Resource.create(ours).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("vpplb", __version__)
        self._clock = clock or SystemClock()
        self._verdicts: dict[ObjectKey, tuple[CheckVerdict, datetime]] = {}
        self._parents: dict[ObjectKey, tuple[str, datetime]] = {}
        self._newest = self._clock.now()

    def close(self) -> None:
        """Send what is still to be sent, in bounded time.

        OpenTelemetry's own ways have no bound of ours: it may take half a minute to give up a
        collector that takes and says nothing.
        """
        ending = Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(LAST_WORDS)
        if ending.is_alive():
            log.warning("the last traces are given up: %s does not take them", self.place)

    # --- who decides -------------------------------------------------------------------------

    def follow_verdicts(self, on_verdict: _OnVerdict) -> _OnVerdict:
        """Return what takes note of each verdict, and hands it on."""

        def note_verdict(verdict: CheckVerdict) -> None:
            self._verdicts[verdict.backend] = (verdict, self._clock.now())
            on_verdict(verdict)

        return note_verdict

    def trace_decisions(self, decisions: Decisions) -> None:
        """Trace the first transitions of a run, each from its probe to its decision."""
        verdicts, self._verdicts = self._verdicts, {}
        for frontend in decisions.frontends:
            self._parents.pop(frontend, None)
        for transition in decisions.transitions[:MOST_AT_ONCE]:
            if found := verdicts.get(transition.backend):
                self._trace_transition(transition, *found, decisions)

    def get_parent(self, frontend: ObjectKey) -> str:
        """Return the `traceparent` of the last decision on a frontend, empty where it has none."""
        return self._parents[frontend][0] if frontend in self._parents else ""

    def _trace_transition(
        self,
        transition: HealthTransition,
        verdict: CheckVerdict,
        received: datetime,
        decisions: Decisions,
    ) -> None:
        view = decisions.backends.get(transition.backend)
        frontends = sorted(
            key for key in decisions.frontends if view is not None and key in view.frontends
        )
        said = {"vpplb.backend": str(transition.backend)}
        began = verdict.at - timedelta(seconds=verdict.took)
        found = {"vpplb.code": verdict.code.value, "vpplb.detail": verdict.detail}
        probe = self._add_span("probe", Context(), (began, verdict.at), {**said, **found})
        change = {"vpplb.from": transition.from_state.value, "vpplb.to": transition.to_state.value}
        times = (verdict.at, received)
        told = self._add_span("verdict", set_span_in_context(probe), times, {**said, **change})
        decision = self._add_span(
            "decision",
            set_span_in_context(told),
            (received, self._clock.now()),
            {**said, "vpplb.frontends": [str(key) for key in frontends]},
        )
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, set_span_in_context(decision))
        for frontend in frontends:
            if frontend not in self._parents:  # another backend of it has changed in this run
                self.put_parent(frontend, carrier.get("traceparent", ""))

    # --- who programs ------------------------------------------------------------------------

    def put_parent(self, frontend: ObjectKey, traceparent: str) -> None:
        """Have what VPP is told of a frontend from now on be of this trace; empty: of none."""
        if traceparent:
            self._newest = self._clock.now()
            self._parents[frontend] = (traceparent, self._newest)
        else:
            self._parents.pop(frontend, None)

    def wrap_vpp(self, lb: LoadBalancer, owners: _Owners) -> LoadBalancer:
        """Return a VPP whose calls are traced; `owners` are the frontends of its VIPs."""
        return TracedLoadBalancer(lb, self, owners)

    @property
    def is_waiting(self) -> bool:
        """Whether there is a trace that calls may belong to."""
        if self._parents and self._clock.now() - self._newest > LATEST:
            self._parents.clear()
        return bool(self._parents)

    def now(self) -> datetime:
        return self._clock.now()

    def trace_call(self, frontend: ObjectKey, outcome: CallOutcome, began: datetime) -> None:
        """Trace a call that was answered now."""
        traceparent, since = self._parents.get(frontend, ("", began))
        if not traceparent:
            return
        if began - since > LATEST:
            del self._parents[frontend]
            return
        context = _W3C.extract({"traceparent": traceparent})
        sent = get_current_span(context).get_span_context()
        if isinstance(outcome.op, SetConf) or not sent.is_valid:
            return
        said: dict[str, str | int] = {
            "vpplb.frontend": str(frontend),
            "vpplb.vip": str(outcome.op.vip),
            "vpplb.call": op_text(outcome.op),
            "vpplb.retval": outcome.retval,
        }
        self._add_span(
            f"vpp {type(outcome.op).__name__}",
            context,
            (began, self._clock.now()),
            said,
            kind=SpanKind.CLIENT,
            failure=outcome.message,
        )

    def _add_span(
        self,
        name: str,
        parent: Context,
        times: tuple[datetime, datetime],
        attributes: Mapping[str, str | int] | Mapping[str, str | Sequence[str]],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        failure: str = "",
    ) -> Span:
        began, ended = (int(one.timestamp() * 1e6) * 1000 for one in times)
        span = self._tracer.start_span(
            name, parent, kind=kind, attributes=attributes, start_time=began
        )
        if failure:
            span.set_status(Status(StatusCode.ERROR, failure))
        span.end(max(began, ended))
        return span


class TracedLoadBalancer:
    """Implements `sync.ports.LoadBalancer` by another one, and traces its calls."""

    def __init__(self, lb: LoadBalancer, traces: FailoverTraces, owners: _Owners) -> None:
        self._lb, self._traces, self._owners = lb, traces, owners

    async def connect(self) -> VppInfo:
        return await self._lb.connect()

    async def read(self) -> ObservedVpp:
        return await self._lb.read()

    async def apply_ops(self, ops: Sequence[Op]) -> Sequence[CallOutcome]:
        """Send the ops, and trace each whose frontend has a trace."""
        if not self._traces.is_waiting:
            return await self._lb.apply_ops(ops)
        began = self._traces.now()
        outcomes = await self._lb.apply_ops(ops)
        owners = self._owners()
        for outcome in outcomes:
            owner = None if isinstance(outcome.op, SetConf) else owners.get(outcome.op.vip)
            if owner is not None:
                self._traces.trace_call(owner, outcome, began)
        return outcomes

    async def read_heap(self) -> HeapSpace | None:
        return await self._lb.read_heap()

    async def ping(self) -> None:
        await self._lb.ping()

    async def close(self) -> None:
        await self._lb.close()


def open_traces(program: str) -> FailoverTraces:
    """Return traces that go where OTEL_EXPORTER_OTLP_ENDPOINT says, by HTTP."""
    exporter, place = open_exporter()
    return FailoverTraces(program, BatchSpanProcessor(exporter), place=place)
