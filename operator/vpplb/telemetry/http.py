"""The HTTP server of every program: metrics, health, state, and what people do (`people_routes`).

Reading must not stop deciding: connections are bounded (`connections`), large answers are made in
slices and shared (`shared_answers`), and handed on no faster than they are taken.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Self, TypeVar

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from vpplb import __version__
from vpplb.model.names import OWN_KINDS, ObjectKey, ObjectKind
from vpplb.telemetry import dashboard, metrics
from vpplb.telemetry.allowed_hosts import is_own_host
from vpplb.telemetry.connections import ConnectionGuard
from vpplb.telemetry.event_stream import RESET, EventStream, StreamEvent
from vpplb.telemetry.http_readers import HttpReaders, StaleReason
from vpplb.telemetry.http_tls import BadCertificate, TlsFiles
from vpplb.telemetry.listen_address import ListenAddress, parse_address
from vpplb.telemetry.object_lists import StateView, encode_json, write_objects, write_probes
from vpplb.telemetry.object_queries import OF_BACKENDS, ObjectQuery, UnknownQuery, format_key
from vpplb.telemetry.openapi import describe_api
from vpplb.telemetry.people_routes import MOST_BODY, MOST_FIELD, PeopleRoutes
from vpplb.telemetry.probe_queries import ProbeQuery, ReadHistories
from vpplb.telemetry.request_errors import RequestRefused
from vpplb.telemetry.shared_answers import Answer, SharedAnswers, accepts_gzip, gzip_pieces

_KINDS = {kind.plural: kind for kind in OWN_KINDS}
"""What is shown below `/api/v1`, by its name in paths."""

KEEPALIVE = 15.0
"""Seconds after which a silent event stream says that it is still there."""
MOST_STREAMS = 64
"""Event streams at a time."""
CHECKED_EACH = 60.0
"""Seconds after which it is asked again whether who follows the events may read them."""
TAKEN_WITHIN = 60.0
"""Seconds within which a reader has to take a piece of an answer."""

_JSON = "application/json; charset=utf-8"
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

_request_log = logging.getLogger(f"{__name__}.requests")
_request_log.addFilter(
    # What is no HTTP is the sender's fault, and its text shows the line, which may be a token.
    lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
)

_Query = TypeVar("_Query")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Check = Callable[[], str | None]
"""Says what is not ready, in a few words; None when all is well."""


class CannotListen(Exception):
    """The address is taken, not ours, or not allowed; the text says which."""


ReadVips = Callable[[ObjectKey | None], Awaitable[Mapping[str, object]]]
"""Says what a node's VPP has, of a frontend or of all, in JSON's types (PageUnavailable)."""


class PageUnavailable(Exception):
    """What was asked for cannot be known now; the text says why. Answered by 503."""


@dataclass(slots=True, kw_only=True)
class HttpServer:
    """Serves what it is given, as `async with HttpServer(…)`. An empty address: not at all.

    Readiness says what `checks` find wrong, and the `facts`; liveness says what `alive` finds
    that only a new process mends. Both give the `figures` in any case.
    `operator` shows this program among others (`/api/v1/operator`), in JSON's types.
    `find_node` gives what reads the VIPs of a node, None for a node that is not known here.
    Without a `view` there is nothing else below `/api/v1`; without `stream` there is no
    `/api/v1/events`, without `histories` (and a view) no `/api/v1/probes`, and without `dashboard`
    nothing at `/`.
    `metrics` gives the text in small pieces. `hosts` are names that requests may be for besides
    those of `is_own_host`. Entering raises CannotListen, or ValueError for the address.
    """

    address: str
    metrics: Callable[[], Iterable[bytes]]
    hosts: Collection[str] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    alive: Mapping[str, Check] = field(default_factory=dict)
    figures: Callable[[], Mapping[str, object]] = dict
    facts: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    view: StateView | None = None
    operator: Callable[[], Mapping[str, object]] | None = None
    find_node: Callable[[str], ReadVips | None] | None = None
    stream: EventStream | None = None
    histories: ReadHistories | None = None
    dashboard: bool = False
    people: PeopleRoutes = field(default_factory=PeopleRoutes)
    tls: TlsFiles | None = None
    guard: ConnectionGuard = field(default_factory=ConnectionGuard)
    _answers: SharedAnswers = field(default_factory=SharedAnswers)
    readers: HttpReaders = field(default_factory=HttpReaders)
    _runner: web.AppRunner | None = None
    _server: asyncio.Server | None = None
    _watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        where = parse_address(self.address)
        if where is None:
            return self
        self._runner = web.AppRunner(
            self._make_app(), access_log=None, handle_signals=False, shutdown_timeout=1.0,
            max_field_size=MOST_FIELD, logger=_request_log,
        )  # fmt: skip
        await self._runner.setup()
        make = self._runner.server
        assert make is not None
        try:
            await self._listen(make, where)
        except (OSError, BadCertificate) as error:
            await self._runner.cleanup()
            said = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise CannotListen(f"cannot listen on {where}: {said}") from error
        return self

    async def _listen(self, make: Callable[[], asyncio.Protocol], where: ListenAddress) -> None:
        factory: Callable[[], asyncio.BaseProtocol] = self.guard.wrap_factory(make)
        if self.tls is not None:
            self.tls.load()
            factory = self.guard.wrap_tls(make, self.tls.find_context)
        self._server = await asyncio.get_running_loop().create_server(
            factory, where.host, where.port, backlog=128
        )
        if self.tls is not None:
            self._watching = asyncio.create_task(self.tls.watch_files())

    async def __aexit__(self, *_: object) -> None:
        await self.people.close()
        if self._watching is not None:
            self._watching.cancel()
        if self.stream is not None:
            self.stream.close()
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def listen_address(self) -> ListenAddress | None:
        """Where it listens, with the real port; None when it does not."""
        if self._server is None or not self._server.sockets:
            return None
        host, port, *_ = self._server.sockets[0].getsockname()
        return ListenAddress(host, port)

    def list_wrongs(self) -> list[str]:
        """Say what keeps the program from being ready, each as `check: what`."""
        found = ((name, check()) for name, check in self.checks.items())
        return [f"{name}: {text}" for name, text in found if text is not None]

    def _make_app(self) -> web.Application:
        checks = [self._guard_request, _errors_as_json, self._check_host, self._check_reader]
        app = web.Application(middlewares=checks, client_max_size=MOST_BODY)
        app.on_response_prepare.append(_add_headers)
        app.router.add_get("/metrics", self._get_metrics)
        app.router.add_get("/healthz", self._get_healthz)
        app.router.add_get("/readyz", self._get_readyz)
        app.router.add_get("/api/v1/openapi.json", self._get_document)
        if self.stream is not None:
            app.router.add_get("/api/v1/events", self._get_events)
        if self.operator is not None:
            app.router.add_get("/api/v1/operator", self._get_operator)
        if self.find_node is not None:
            app.router.add_get("/api/v1/dataplanes/{name}/vips", self._get_vips)
        if self.histories is not None:
            app.router.add_get("/api/v1/probes", self._get_probes)
        if self.view is not None:
            kind = f"{{kind:{'|'.join(_KINDS)}}}"
            app.router.add_get(f"/api/v1/{kind}", self._get_list)
            app.router.add_get(f"/api/v1/{kind}/{{name}}", self._get_object)
            app.router.add_get(f"/api/v1/{kind}/{{namespace}}/{{name}}", self._get_object)
        if self.dashboard:
            app.router.add_get("/", dashboard.make_route())
            self.people.add_routes(app.router, _json_response)
        return app

    @web.middleware
    async def _guard_request(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        with self.guard.mark_busy(request.transport):
            return await handler(request)

    @web.middleware
    async def _check_host(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        host = request.headers.get("Host")
        if not is_own_host(host, self.hosts):
            said = f"{host} is not this server: ask by its address, or allow --http-host"
            raise RequestRefused(421, said)  # RFC 9110, 15.5.20
        return await handler(request)

    @web.middleware
    async def _check_reader(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        await self.people.check_reader(request)
        return await handler(request)

    async def _get_metrics(self, request: web.Request) -> web.StreamResponse:
        return await self._write_answer(request, "", self.metrics, metrics.CONTENT_TYPE)

    async def _get_healthz(self, request: web.Request) -> web.Response:
        """Tell whether a new process would help. A loop that hangs tells it by not answering."""
        return _run_checks("alive", self.alive, {"figures": self.figures()})

    async def _get_readyz(self, request: web.Request) -> web.Response:
        facts = {name: say() for name, say in self.facts.items()} | {"version": __version__}
        if self.stream is not None:
            facts["run"] = self.stream.run
        return _run_checks("ready", self.checks, {**facts, "figures": self.figures()})

    async def _get_document(self, request: web.Request) -> web.StreamResponse:
        return await self._write_answer(request, "", self._write_document, _JSON)

    async def _get_list(self, request: web.Request) -> web.StreamResponse:
        kind = _KINDS[request.match_info["kind"]]
        query = _parse_query(request, ObjectQuery.parse)
        wrong = [] if kind == ObjectKind.BACKEND else request.query.keys() & set(OF_BACKENDS)
        if wrong:
            raise RequestRefused(400, f"{min(wrong)} is asked of backends alone")
        assert self.view is not None
        write = partial(write_objects, self.view, kind, query)
        return await self._write_answer(request, str(query), write, _JSON)

    async def _get_object(self, request: web.Request) -> web.Response:
        kind = _KINDS[request.match_info["kind"]]
        key = ObjectKey(request.match_info.get("namespace", ""), request.match_info["name"])
        return _json_response(self._find_object(kind, key))

    def _find_object(self, kind: ObjectKind, key: ObjectKey) -> Mapping[str, object]:
        assert self.view is not None
        found = self.view.show_object(kind, key)
        if found is None:
            hint = "" if key.namespace or not kind.is_namespaced else " (give namespace/name)"
            raise RequestRefused(404, f"no such object: {format_key(key)}{hint}")
        return found

    async def _get_probes(self, request: web.Request) -> web.StreamResponse:
        query = _parse_query(request, ProbeQuery.parse)
        self._find_object(ObjectKind.FRONTEND, query.frontend)
        assert self.view is not None
        assert self.histories is not None
        write = partial(write_probes, self.view, self.histories, query)
        return await self._write_answer(request, str(query), write, _JSON)

    async def _get_vips(self, request: web.Request) -> web.Response:
        assert self.find_node is not None
        query = _parse_query(request, ObjectQuery.parse, only="frontend")
        read = self.find_node(request.match_info["name"])
        if read is None:
            raise RequestRefused(404, f"no such node: {request.match_info['name']}")
        return _json_response(await read(query.frontend))

    async def _get_operator(self, request: web.Request) -> web.Response:
        assert self.operator is not None
        return _json_response(self.operator())

    def _write_document(self) -> Iterator[bytes]:
        document = describe_api(
            objects=self.view is not None,
            stream=self.stream is not None,
            dashboard=self.dashboard,
            vips=self.find_node is not None,
            signing_in=self.dashboard and self.people.access is not None,
            acting=self.dashboard and self.people.runner is not None,
            probes=self.histories is not None,
            operator=self.operator is not None,
        )
        yield encode_json(document) + b"\n"

    async def _write_answer(
        self,
        request: web.Request,
        asked: str,
        write: Callable[[], Iterable[bytes]],
        content_type: str,
    ) -> web.StreamResponse:
        """Answer by what `write` gives in pieces, packed for whoever takes it so.

        All who ask for the same, which is the path and what is `asked`, share what is made.
        """
        headers = {"Content-Type": content_type, "Vary": "Accept-Encoding"}
        if accepts_gzip(request.headers.get("Accept-Encoding", "")):
            headers["Content-Encoding"] = "gzip"
            write = partial(gzip_pieces, write)
        name = " ".join((request.path, asked, *headers))
        answer = await self._answers.get_answer(name, write)
        response = web.StreamResponse(headers=headers)
        response.content_length = sum(map(len, answer))
        await response.prepare(request)
        if request.method != "HEAD":
            await self._write_pieces(request, response, answer)
        return response

    async def _get_events(self, request: web.Request) -> web.StreamResponse:
        assert self.stream is not None
        if self.readers.streams >= MOST_STREAMS:
            raise PageUnavailable(f"{MOST_STREAMS} readers follow the events already")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        self.readers.streams += 1
        try:
            return await self._follow_stream(request, response)
        finally:
            self.readers.streams -= 1

    async def _follow_stream(
        self, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse:
        assert self.stream is not None
        # A browser that connects again says by the header what it has heard since it first asked.
        last_id = request.headers.get("Last-Event-ID") or request.query.get("after") or None
        hello = "retry: 2000\n\n" if last_id else f"retry: 2000\nid: {self.stream.last_id}\n\n"
        await _write_piece(response, hello.encode())
        await self._write_events(request, response, self.stream, last_id)
        return response

    async def _write_events(
        self,
        request: web.Request,
        response: web.StreamResponse,
        stream: EventStream,
        last_id: str | None,
    ) -> None:
        """Write events until the stream ends, the client goes, or he may not read any more.

        A comment comes when there are none.
        """
        events, clock = stream.subscribe(last_id), asyncio.get_running_loop().time
        checked = clock()
        following: asyncio.Future[StreamEvent] | None = None
        try:
            while True:
                following = following or asyncio.ensure_future(anext(events))
                done, _ = await asyncio.wait((following,), timeout=KEEPALIVE)
                if clock() >= checked + CHECKED_EACH:
                    await self.people.check_reader(request)
                    checked = clock()
                if not done:
                    await _write_piece(response, b": still here\n\n")
                    continue
                event, following = following.result(), None
                if event.type == RESET:
                    self.readers.note_stale(StaleReason.RESET)
                await _write_piece(response, _format_event(event))
        except TimeoutError:
            self.readers.note_stale(StaleReason.TIMEOUT)
        except (StopAsyncIteration, ConnectionError, RequestRefused):
            return
        finally:
            if following is not None:
                following.cancel()
                await asyncio.wait((following,))
            await events.aclose()

    async def _write_pieces(
        self, request: web.Request, response: web.StreamResponse, answer: Answer
    ) -> None:
        """Write piece by piece: what slow readers have not taken yet is kept once for all."""
        try:
            for piece in answer:
                await _write_piece(response, piece)
        except TimeoutError:
            self.readers.note_stale(StaleReason.TIMEOUT)
            if request.transport is not None:
                request.transport.abort()


def _run_checks(what: str, checks: Mapping[str, Check], more: Mapping[str, object]) -> web.Response:
    """Answer 200 when no check finds anything wrong, else 503; and what was found."""
    found = {name: check() for name, check in checks.items()}
    wrong = {name: text for name, text in found.items() if text is not None}
    body = {
        what: not wrong,
        "checks": {name: text is None for name, text in found.items()},
        f"not{what.capitalize()}": wrong,
        **more,
    }
    return _json_response(body, status=503 if wrong else 200)


def _parse_query(
    request: web.Request, parse: Callable[[Mapping[str, str]], _Query], only: str = ""
) -> _Query:
    if len(set(request.query)) < len(request.query):
        raise RequestRefused(400, "a parameter is given twice")
    if only and (others := request.query.keys() - {only}):
        raise RequestRefused(400, f"there is no parameter {min(others)}; there is: {only}")
    try:
        return parse(request.query)
    except UnknownQuery as error:
        raise RequestRefused(400, str(error)) from None


async def _write_piece(response: web.StreamResponse, piece: bytes) -> None:
    """Write once there is room; TimeoutError for a reader that takes nothing."""
    async with asyncio.timeout(TAKEN_WITHIN):
        await response.write(piece)


def _format_event(event: StreamEvent) -> bytes:
    data = json.dumps(event.data, separators=(",", ":"))
    return f"id: {event.id}\nevent: {event.type}\ndata: {data}\n\n".encode()


def _json_response(body: object, *, status: int = 200) -> web.Response:
    return web.Response(
        body=encode_json(body) + b"\n",
        status=status,
        content_type="application/json",
        charset="utf-8",
    )


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPError as error:
        response = _json_response({"error": error.reason}, status=error.status)
        if allow := error.headers.get("Allow"):
            response.headers["Allow"] = allow
        return response
    except RequestRefused as error:
        refused = _json_response({"error": str(error)}, status=error.status)
        refused.headers.update(error.headers)
        return refused
    except PageUnavailable as error:
        return _json_response({"error": " ".join(str(error).split())}, status=503)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
