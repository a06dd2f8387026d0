"""A failover is one trace, from the probe in the operator to the calls of each node's VPP."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from data.manifests import backend, frontend, health_check
from data.objects import key
from fakes.load_balancer import FakeLoadBalancer
from fakes.prober import FakeProber
from in_memory.agent import LocalAgent
from in_memory.direct_agents import connect, lead
from in_memory.operator import LocalOperator
from lab.waiting import eventually
from vpplb.direct.messages import DecisionBatch, dump_entry, join_batch, load_message
from vpplb.standalone.app import StandaloneApp
from vpplb.standalone.standalone_parts import StandaloneOptions
from vpplb.telemetry.failover_traces import FailoverTraces


class SpanBook:
    """The spans of some programs."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()

    def open_traces(self, program: str) -> FailoverTraces:
        return FailoverTraces(program, SimpleSpanProcessor(self._exporter))

    def tell_chain(self, last: str) -> list[str]:
        """Return the names of the spans from the root to the first of this name."""
        spans = {span.context.span_id: span for span in self._exporter.get_finished_spans()}
        span = next((each for each in spans.values() if each.name == last), None)
        chain: list[str] = []
        while span is not None:
            service = str(span.resource.attributes["service.name"])
            chain.insert(0, f"{service} {span.name}")
            span = spans[span.parent.span_id] if span.parent is not None else None
        return chain

    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())


@pytest.mark.looptime
async def test_from_the_operators_probe_to_the_nodes_vpp_by_the_direct_road() -> None:
    book = SpanBook()
    operator = LocalOperator(traces=book.open_traces("operator"))
    operator.reconciler.set_synced(1)
    await lead(operator, "n1")
    road = connect(operator, "n1")
    async with LocalAgent(traces=book.open_traces("agent")) as agent:
        agent.operators.lead(operator.core.publisher.term)

        async def carry() -> None:
            """Carry what was sent to the agent, as text."""
            await operator.settle()
            for one in road.take():
                if isinstance(one, DecisionBatch):
                    text = join_batch(one.term, map(dump_entry, one.entries), whole=one.whole)
                    batch = load_message(text)
                    assert isinstance(batch, DecisionBatch)
                    agent.road.on_batch(batch)
            await agent.settle()

        await carry()
        assert agent.lb.table(), "the VIP is there"
        operator.verdict("a", up=False)
        await carry()
    await operator.stop()
    assert book.tell_chain("vpp SetWeight") == [
        "vpplb-operator probe",
        "vpplb-operator verdict",
        "vpplb-operator decision",
        "vpplb-agent vpp SetWeight",
    ]


async def test_standalone_has_all_of_it_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpplb.standalone.manifest_folder.SETTLE", 0.01)
    checked = {"healthCheckRef": {"name": "check"}}
    objects = (health_check(), backend("a", "10.0.0.1", **checked), frontend())
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "all.yaml").write_text(yaml.safe_dump_all(objects))
    book, prober, lb = SpanBook(), FakeProber(), FakeLoadBalancer()
    options = StandaloneOptions(
        folder=folder,
        vpp_api_socket=Path("/nowhere"),
        state_file=tmp_path / "state.json",
        http_address="",
        traces=book.open_traces("standalone"),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(StandaloneApp(options, lb, prober).run(stop))
    prober.answer(key("a"), up=True)

    def weights() -> list[int]:
        return [each.weight for one in lb.table().values() for each in one.servers.values()]

    await eventually(lambda: weights() == [100], "it serves")
    prober.answer(key("a"), up=False)
    await eventually(lambda: len(book.tell_chain("vpp SetWeight")) == 4, "the calls are traced")
    stop.set()
    await running
    times = [span.start_time or 0 for span in book.spans() if span.name == "probe"]
    assert len(times) == 2, "it came up, and it failed"
    assert times[1] - times[0] < timedelta(minutes=1).total_seconds() * 1e9
