"""One trace from the probe that decided to each call of a VPP, and nothing where it is off."""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from data.objects import NOON, key, vip
from fakes.clock import FakeClock
from fakes.load_balancer import FakeLoadBalancer
from lab.servers import CountingHttpServer
from lab.waiting import wait_for
from vpplb.direct.messages import DecisionBatch, DecisionEntry, dump_entry, join_batch, load_message
from vpplb.model.decision_order import DecisionOrder
from vpplb.model.health import BackendHealth, HealthState, HealthTransition, ProbeCode
from vpplb.model.names import ObjectKey
from vpplb.model.vip import VipId
from vpplb.plan.decisions import BackendView, Decisions, UnreadFrontend
from vpplb.plan.ops import Op, SetWeight
from vpplb.reconcile.ports import CheckVerdict
from vpplb.telemetry import failover_traces
from vpplb.telemetry.failover_traces import LATEST, MOST_AT_ONCE, FailoverTraces, open_traces

WEB, SHOP, NGINX0 = key("web"), key("shop"), key("nginx0")
PLACES = {vip("192.0.2.1/32"): WEB, vip("192.0.2.2/32"): SHOP}


class Traced:
    """Traces of a program, and what they have sent."""

    def __init__(self, program: str, clock: FakeClock) -> None:
        self.exporter = InMemorySpanExporter()
        self.traces = FailoverTraces(program, SimpleSpanProcessor(self.exporter), clock)

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def verdict(backend: ObjectKey = NGINX0) -> CheckVerdict:
    return CheckVerdict(
        backend=backend,
        generation=1,
        up=False,
        code=ProbeCode.L4CON,
        detail="connection refused",
        at=NOON,
        took=0.25,
    )


def failed(*frontends: ObjectKey, backend: ObjectKey = NGINX0) -> Decisions:
    """Return what a run decides when a backend of these frontends has failed."""
    transition = HealthTransition(
        backend=backend, from_state=HealthState.UP, to_state=HealthState.DOWN, at=NOON
    )
    view = BackendView(health=BackendHealth(), frontends=frozenset(frontends))
    return Decisions(
        frontends={one: UnreadFrontend(problems=()) for one in frontends},
        backends={backend: view},
        transitions=(transition,),
    )


def decide(one: Traced, clock: FakeClock, *frontends: ObjectKey) -> None:
    clock.advance(0.002)
    one.traces.follow_verdicts(lambda _: None)(verdict())
    clock.advance(0.003)
    one.traces.trace_decisions(failed(*frontends))


def lower(at: VipId) -> Op:
    return SetWeight(vip=at, address=ip_address("10.0.0.1"), weight=0, flush=True)


def milliseconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e6


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


def said(span: ReadableSpan) -> Mapping[str, object]:
    return span.attributes or {}


def test_a_verdict_is_handed_on_and_traced_from_its_probe_to_the_decision(
    clock: FakeClock,
) -> None:
    one, handed = Traced("operator", clock), list[CheckVerdict]()
    clock.advance(0.002)
    one.traces.follow_verdicts(handed.append)(verdict())
    assert handed == [verdict()]
    clock.advance(0.003)
    one.traces.trace_decisions(failed(WEB, SHOP))
    spans = one.spans()
    probe, told, decision = spans["probe"], spans["verdict"], spans["decision"]
    assert [milliseconds(each) for each in (probe, told, decision)] == [250.0, 2.0, 3.0]
    assert parent_of(probe) is None
    assert (parent_of(told), parent_of(decision)) == (id_of(probe), id_of(told))
    assert said(probe)["vpplb.detail"] == "connection refused"
    assert (said(told)["vpplb.from"], said(told)["vpplb.to"]) == ("up", "down")
    assert said(decision)["vpplb.frontends"] == (str(SHOP), str(WEB))
    assert one.traces.get_parent(WEB) == one.traces.get_parent(SHOP) != ""


def test_what_is_decided_without_a_verdict_has_no_trace(clock: FakeClock) -> None:
    one = Traced("operator", clock)
    decide(one, clock, WEB)
    one.exporter.clear()
    one.traces.trace_decisions(Decisions(frontends={WEB: UnreadFrontend(problems=())}))
    assert one.spans() == {}
    assert one.traces.get_parent(WEB) == "", "an edit is no part of the failover before it"


def test_of_many_transitions_at_one_moment_the_first_are_traced(clock: FakeClock) -> None:
    one, many = Traced("operator", clock), [key(f"b{number}") for number in range(1000)]
    note = one.traces.follow_verdicts(lambda _: None)
    for backend in many:
        note(verdict(backend))
    each = [failed(WEB, backend=backend) for backend in many]
    transitions = tuple(one.transitions[0] for one in each)
    one.traces.trace_decisions(replace(each[0], transitions=transitions))
    roots = [span for span in one.exporter.get_finished_spans() if span.parent is None]
    assert [said(span)["vpplb.backend"] for span in roots] == [
        str(backend) for backend in many[:MOST_AT_ONCE]
    ]


async def test_calls_of_another_program_are_of_the_same_trace(clock: FakeClock) -> None:
    operator, agent = Traced("operator", clock), Traced("agent", clock)
    decide(operator, clock, WEB)
    sent = DecisionEntry(
        frontend=WEB, uid="u", order=DecisionOrder(1, 1),
        traceparent=operator.traces.get_parent(WEB),
    )  # fmt: skip
    batch = load_message(join_batch(1, [dump_entry(sent)]))
    assert isinstance(batch, DecisionBatch)
    agent.traces.put_parent(WEB, batch.entries[0].traceparent)
    await call_vpp(agent, list(PLACES))
    (call,) = agent.spans().values()
    decision = operator.spans()["decision"]
    assert (trace_of(call), parent_of(call)) == (trace_of(decision), id_of(decision))
    assert said(call)["vpplb.vip"] == "192.0.2.1/32 tcp/80", "the other VIP has no trace"
    assert said(call)["vpplb.call"] == "= 10.0.0.1 weight 0 flush"
    assert call.resource.attributes["service.name"] == "vpplb-agent"


async def call_vpp(one: Traced, places: Sequence[VipId]) -> None:
    lb = FakeLoadBalancer()
    await lb.connect()
    traced = one.traces.wrap_vpp(lb, lambda: PLACES)
    await traced.apply_ops([lower(at) for at in places])


async def test_a_call_that_vpp_refuses_is_an_error_in_its_own_words(clock: FakeClock) -> None:
    one = Traced("standalone", clock)
    decide(one, clock, WEB)
    await call_vpp(one, list(PLACES))  # the VPP has no such VIP
    call = one.spans()["vpp SetWeight"]
    assert call.status.status_code is StatusCode.ERROR
    assert call.status.description
    assert trace_of(call) == trace_of(one.spans()["probe"])


async def test_what_vpp_is_told_much_later_is_another_matter(clock: FakeClock) -> None:
    one = Traced("standalone", clock)
    decide(one, clock, WEB)
    clock.advance(LATEST.total_seconds() + 1)
    await call_vpp(one, list(PLACES))
    assert "vpp SetWeight" not in one.spans()


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
async def test_a_traceparent_that_is_none_makes_no_trace(
    clock: FakeClock, traceparent: str
) -> None:
    agent = Traced("agent", clock)
    agent.traces.put_parent(WEB, traceparent)
    await call_vpp(agent, list(PLACES))
    assert agent.spans() == {}


def test_an_agent_of_the_version_before_reads_what_it_is_sent() -> None:
    """It passes over what it does not know; and who traces nothing sends nothing more."""
    entry = DecisionEntry(frontend=WEB, uid="u", order=DecisionOrder(1, 1))
    assert "traceparent" not in json.loads(dump_entry(entry))


def test_spans_go_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with CountingHttpServer() as collector:
        at = f"http://127.0.0.1:{collector.port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", at)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "lb")
        traces = open_traces("operator")
        traces.follow_verdicts(lambda _: None)(verdict())
        traces.trace_decisions(failed(WEB))
        traces.close()
        assert collector.requests["/v1/traces"] == 1


def test_a_collector_that_takes_and_says_nothing_does_not_hold_up_the_end(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A pod has seconds to end, and OpenTelemetry's own ways wait for half a minute."""
    monkeypatch.setattr(failover_traces, "LAST_WORDS", 0.1)
    with CountingHttpServer() as collector:
        collector.hang = True
        at = f"http://127.0.0.1:{collector.port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", at)
        traces = open_traces("operator")
        traces.follow_verdicts(lambda _: None)(verdict())
        traces.trace_decisions(failed(WEB))
        began = time.monotonic()
        traces.close()
        assert time.monotonic() - began < 2
        collector.hang = False
        wait_for(_nothing_is_sent, "what was given up ends in the background")
    assert caplog.messages == [f"the last traces are given up: {at}/v1/traces does not take them"]


def _nothing_is_sent() -> bool:
    return not any(one.name.startswith("Otel") for one in threading.enumerate())


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "vpplb-operator"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=lb,k8s.pod.name=vpplb-0"}, "lb"),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=lb", "OTEL_SERVICE_NAME": "balancer"},
            "balancer",
        ),
    ],
)
def test_the_environment_names_the_program_if_it_does(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], name: str
) -> None:
    for each, value in variables.items():
        monkeypatch.setenv(each, value)
    one = Traced("operator", clock)
    decide(one, clock, WEB)
    attributes = one.spans()["probe"].resource.attributes
    assert attributes["service.name"] == name
    assert attributes.get("k8s.pod.name", "vpplb-0") == "vpplb-0"
    assert attributes["service.version"]


async def test_what_is_not_sampled_is_traced_nowhere(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Traced("agent", clock)  # it would trace all that begins with itself
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    operator = Traced("operator", clock)
    decide(operator, clock, WEB)
    assert operator.spans() == {}
    agent.traces.put_parent(WEB, operator.traces.get_parent(WEB))
    await call_vpp(agent, list(PLACES))
    assert agent.spans() == {}


def test_opentelemetry_can_be_switched_off_as_a_whole(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    one = Traced("operator", clock)
    decide(one, clock, WEB)
    assert (one.spans(), one.traces.get_parent(WEB)) == ({}, "")
