"""Where traces are sent: OTLP by HTTP, with a line when that fails and one when it works again.

OpenTelemetry's own lines are not shown: while a collector is away there are several for each trace,
and of a header that it cannot read it logs the whole, which may be a secret.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.util.re import parse_env_headers

log = logging.getLogger(__name__)

_PREFIXES = ("OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_")
_SPOKEN = "http/protobuf"
_NOISY = ("opentelemetry.exporter", "opentelemetry.util.re")


class WatchedSession(requests.Session):
    """A session that remembers in `outcome`, in a few words, what became of the last request."""

    outcome = ""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            response = super().request(*args, **kwargs)
        except Exception as error:
            self.outcome = _describe_failure(error)
            raise
        self.outcome = f"{response.status_code} {response.reason}"
        return response


class ToldSpanExporter(SpanExporter):
    """Exports by another exporter, and says when that begins to fail and when it works again."""

    def __init__(self, exporter: SpanExporter, session: WatchedSession, place: str) -> None:
        self._exporter, self._session, self._place = exporter, session, place
        self._lost = 0  # spans since it last worked

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                log.info("traces arrive at %s again; %d spans are lost", self._place, self._lost)
            self._lost = 0
            return result
        if not self._lost:
            log.warning("traces do not arrive at %s: %s", self._place, self._session.outcome)
        self._lost += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def open_exporter() -> tuple[SpanExporter, str]:
    """Return what sends to where OpenTelemetry's variables say, and the place without a password.

    What of these variables cannot be followed is logged: traces are no reason not to begin.
    """
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    endpoint = _find_endpoint()
    place = _describe_place(endpoint)
    for oddity in _list_oddities(endpoint, place):
        log.warning("traces: %s", oddity)
    session = WatchedSession()
    exporter = OTLPSpanExporter(endpoint=endpoint, session=session)
    return ToldSpanExporter(exporter, session, place), place


def _read_variable(name: str) -> str:
    """Return a variable for traces, else that for all that OpenTelemetry sends."""
    of_traces, of_all = (os.environ.get(prefix + name, "") for prefix in _PREFIXES)
    return of_traces or of_all


def _find_endpoint() -> str:
    whole = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "http://localhost:4318"
    return whole or base.removesuffix("/") + "/v1/traces"


def _describe_place(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _list_oddities(endpoint: str, place: str) -> Iterator[str]:
    if not endpoint.startswith(("http://", "https://")):
        yield f"{place} is no URL, such as http://collector:4318"
    protocol = _read_variable("PROTOCOL")
    if protocol not in ("", _SPOKEN):
        yield f"{protocol} is not spoken, they go by {_SPOKEN} (the collector's port 4318)"
    for number, header in enumerate(_read_variable("HEADERS").split(","), start=1):
        if header.strip() and not parse_env_headers(header, liberal=True):
            yield f"header {number} is left out, since it is not as in name=value,other=value"


def _describe_failure(error: BaseException) -> str:
    """Say what the system said, else only which error it is: its text may have a secret."""
    said, cause = type(error).__name__, error.__context__
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            said = cause.strerror
        cause = cause.__cause__ or cause.__context__
    return said
