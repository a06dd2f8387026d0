"""Traces that do not arrive are said in a line, and give no secret away."""

import logging
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lab.processes import free_port
from lab.servers import CountingHttpServer
from vpplb.telemetry.trace_export import ToldSpanExporter, WatchedSession, open_exporter

PLACE = "http://collector:4318/v1/traces"


def _make_spans(*names: str) -> tuple[ReadableSpan, ...]:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for name in names:
        provider.get_tracer("test").start_span(name).end()
    return exporter.get_finished_spans()


SPANS = _make_spans("probe", "verdict")


class ScriptedExporter(SpanExporter):
    """Answers one after the other with what it is given."""

    def __init__(self, *results: SpanExportResult) -> None:
        self._results = iter(results)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        return next(self._results)


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    """Leave OpenTelemetry's loggers as they were."""
    loggers = [logging.getLogger(f"opentelemetry.{name}") for name in ("exporter", "util.re")]
    before = [one.level for one in loggers]
    yield
    for one, level in zip(loggers, before, strict=True):
        one.setLevel(level)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingHttpServer]:
    with CountingHttpServer() as server:
        _send_to(monkeypatch, server.port)
        yield server


def _send_to(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")  # seconds: less than to try it again


def test_a_collector_that_is_away_has_one_line_and_one_once_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    good, bad = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
    session = WatchedSession()
    session.outcome = "503 Service Unavailable"
    exporter = ToldSpanExporter(ScriptedExporter(good, bad, bad, bad, good, good), session, PLACE)
    for _ in range(6):
        exporter.export(SPANS)
    assert caplog.messages == [
        f"traces do not arrive at {PLACE}: 503 Service Unavailable",
        f"traces arrive at {PLACE} again; 6 spans are lost",
    ]


def test_nobody_listens_there(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _send_to(monkeypatch, port := free_port())
    exporter, _ = open_exporter()
    assert exporter.export(SPANS) is SpanExportResult.FAILURE
    exporter.shutdown()
    assert caplog.messages == [
        f"traces do not arrive at http://127.0.0.1:{port}/v1/traces: Connection refused"
    ]


def test_a_collector_that_refuses_is_quoted(
    collector: CountingHttpServer, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 401
    exporter, place = open_exporter()
    exporter.export(SPANS)
    exporter.shutdown()
    assert caplog.messages == [f"traces do not arrive at {place}: 401 Status"]


@pytest.mark.parametrize(
    "headers", ["hunter2", "x-tenant=lb,hunter2", "authorization=Bearer%0Dhunter2"]
)
def test_of_a_header_that_is_none_only_its_place_is_told(
    collector: CountingHttpServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    headers: str,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", headers)
    exporter, _ = open_exporter()
    exporter.export(SPANS)
    exporter.shutdown()
    assert caplog.messages, "somebody is told"
    assert "hunter2" not in caplog.text
    assert collector.requests["/v1/traces"] == (0 if "=B" in headers else 1)


def test_a_secret_that_ends_with_a_line_break_is_sent_without_it(
    collector: CountingHttpServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer hunter2\n")
    exporter, _ = open_exporter()
    assert exporter.export(SPANS) is SpanExportResult.SUCCESS
    exporter.shutdown()
    assert caplog.messages == []
    assert collector.requests["/v1/traces"] == 1


def test_a_password_in_the_address_is_not_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://lb:hunter2@127.0.0.1:{free_port()}/in"
    )
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    exporter, place = open_exporter()
    exporter.export(SPANS)
    exporter.shutdown()
    assert place.startswith("http://127.0.0.1:")
    assert place.endswith("/in"), "an address of traces alone is taken as it is"
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "grpc is not spoken, they go by http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "collector:4318/v1/traces is no URL"),
    ],
)
def test_what_cannot_be_followed_is_said_when_it_begins(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.setenv(name, value)
    exporter, _ = open_exporter()
    exporter.shutdown()
    assert said in caplog.text
