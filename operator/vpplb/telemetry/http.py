"""The HTTP server of every program: metrics, health, and read-only state. Nothing changes by it."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from types import TracebackType
from typing import Protocol, Self

from aiohttp import web

from vpplb.model.printable import printable
from vpplb.telemetry import metrics
from vpplb.telemetry.address import ListenAddress, parse_address
from vpplb.telemetry.stream import EventStream, StreamEvent

KINDS = ("frontends", "backends", "healthchecks", "dataplanes")

KEEPALIVE = 15.0
"""Seconds after which a silent event stream says that it is still there."""

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

Check = Callable[[], str | None]
"""Says what is not ready, in a few words; None when all is well."""


class CannotListen(Exception):
    """The address is taken, not ours, or not allowed; the text says which."""


Page = Callable[[], Awaitable[Mapping[str, object]]]
"""Answers in JSON's types; raises Unavailable."""


class Unavailable(Exception):
    """What was asked for cannot be known now; the text says why. Answered by 503."""


class StateView(Protocol):
    """What `/api/v1` shows."""

    def objects(self, kind: str) -> Sequence[Mapping[str, object]] | None:
        """Give all objects of a kind (`frontends`, …), or None when this program has none.

        Each is shaped as the resource is: `metadata` (with `namespace` and `name`), `spec`,
        `status`, in JSON's types. A frontend's `status.backends[]` may carry `share`, the true
        share of new flows from 0 to 1.
        """
        ...


@dataclass(slots=True, kw_only=True)
class HttpServer:
    """Serves what it is given, as `async with HttpServer(…)`. An empty address: not at all.

    Readiness says what `checks` find wrong, and the `facts`; liveness says what `alive` finds
    that only a new process mends. Both give the `figures` in any case.
    Without a `view` there is nothing below `/api/v1` but `pages`, by their paths there; without
    `stream` there is no `/api/v1/events`, and without `dashboard` nothing at `/`.
    Entering raises CannotListen, or ValueError for the address.
    """

    address: str
    metrics: Callable[[], bytes]
    checks: Mapping[str, Check] = field(default_factory=dict)
    alive: Mapping[str, Check] = field(default_factory=dict)
    figures: Callable[[], Mapping[str, object]] = dict
    facts: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    view: StateView | None = None
    pages: Mapping[str, Page] = field(default_factory=dict)
    stream: EventStream | None = None
    dashboard: bool = False
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        where = parse_address(self.address)
        if where is None:
            return self
        self._runner = web.AppRunner(
            self._app(), access_log=None, handle_signals=False, shutdown_timeout=1.0
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, where.host, where.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise CannotListen(f"cannot listen on {where}: {error.strerror or error}") from error
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.stream is not None:
            self.stream.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def listening(self) -> ListenAddress | None:
        """Where it listens, with the real port; None when it does not."""
        if self._runner is None or not self._runner.addresses:
            return None
        host, port, *_ = self._runner.addresses[0]
        return ListenAddress(host, port)

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[_errors_as_json])
        app.on_response_prepare.append(_add_headers)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        if self.stream is not None:
            app.router.add_get("/api/v1/events", self._events)
        for path, page in self.pages.items():
            app.router.add_get(f"/api/v1/{path}", _page(page))
        if self.view is not None:
            kind = f"{{kind:{'|'.join(KINDS)}}}"
            app.router.add_get(f"/api/v1/{kind}", self._list)
            app.router.add_get(f"/api/v1/{kind}/{{name}}", self._object)
            app.router.add_get(f"/api/v1/{kind}/{{namespace}}/{{name}}", self._object)
        if self.dashboard:
            app.router.add_get("/", _page_handler())
        return app

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self.metrics(), headers={"Content-Type": metrics.CONTENT_TYPE})

    async def _healthz(self, request: web.Request) -> web.Response:
        """Tell whether a new process would help. A loop that hangs tells it by not answering."""
        return _judged("alive", self.alive, {"figures": self.figures()})

    async def _readyz(self, request: web.Request) -> web.Response:
        facts = {name: say() for name, say in self.facts.items()}
        return _judged("ready", self.checks, {**facts, "figures": self.figures()})

    async def _list(self, request: web.Request) -> web.Response:
        return _json({"items": list(self._objects(request.match_info["kind"]))})

    async def _object(self, request: web.Request) -> web.Response:
        wanted = (request.match_info.get("namespace", ""), request.match_info["name"])
        for candidate in self._objects(request.match_info["kind"]):
            metadata = candidate["metadata"]
            assert isinstance(metadata, Mapping)
            if (metadata.get("namespace") or "", metadata["name"]) == wanted:
                return _json(candidate)
        raise web.HTTPNotFound(reason=f"no such object: {'/'.join(filter(None, wanted))}")

    def _objects(self, kind: str) -> Sequence[Mapping[str, object]]:
        assert self.view is not None
        objects = self.view.objects(kind)
        if objects is None:
            raise web.HTTPNotFound(reason=f"no {kind} here")
        return objects

    async def _events(self, request: web.Request) -> web.StreamResponse:
        assert self.stream is not None
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        last_id = request.headers.get("Last-Event-ID") or None
        hello = "retry: 2000\n\n" if last_id else f"retry: 2000\nid: {self.stream.last_id}\n\n"
        await response.write(hello.encode())
        await _send_all(response, self.stream, last_id)
        return response


def _judged(what: str, checks: Mapping[str, Check], more: Mapping[str, object]) -> web.Response:
    """Answer 200 when no check finds anything wrong, else 503; and what was found."""
    found = {name: check() for name, check in checks.items()}
    wrong = {name: text for name, text in found.items() if text is not None}
    body = {
        what: not wrong,
        "checks": {name: text is None for name, text in found.items()},
        f"not{what.capitalize()}": wrong,
        **more,
    }
    return _json(body, status=503 if wrong else 200)


def _page(page: Page) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        try:
            return _json(await page())
        except Unavailable as error:
            raise web.HTTPServiceUnavailable(reason=" ".join(str(error).split())) from error

    return serve


async def _send_all(response: web.StreamResponse, stream: EventStream, last_id: str | None) -> None:
    """Write events until the stream ends or the client goes; a comment when there are none."""
    events = stream.subscribe(last_id)
    following: asyncio.Future[StreamEvent] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait((following,), timeout=KEEPALIVE)
            if not done:
                await response.write(b": still here\n\n")
                continue
            event, following = following.result(), None
            await response.write(_sse(event))
    except (StopAsyncIteration, ConnectionError):
        return
    finally:
        if following is not None:
            following.cancel()
            await asyncio.wait((following,))
        await events.aclose()


def _sse(event: StreamEvent) -> bytes:
    data = json.dumps(event.data, separators=(",", ":"))
    return f"id: {event.id}\nevent: {event.type}\ndata: {data}\n\n".encode()


def _json(body: object, *, status: int = 200) -> web.Response:
    text = printable(json.dumps(body, separators=(",", ":"), ensure_ascii=False))
    return web.Response(text=text + "\n", status=status, content_type="application/json")


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPError as error:
        response = _json({"error": error.reason}, status=error.status)
        if allow := error.headers.get("Allow"):
            response.headers["Allow"] = allow
        return response


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _page_handler() -> Callable[[web.Request], Awaitable[web.Response]]:
    """Read the page once; its policy allows its own script and style, and nothing else."""
    page = files("vpplb.telemetry").joinpath("dashboard.html").read_text(encoding="utf-8")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash(page, 'script')}",
            f"style-src {_hash(page, 'style')}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )

    async def serve(request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": policy}
        return web.Response(text=page, content_type="text/html", headers=headers)

    return serve


def _hash(page: str, tag: str) -> str:
    """Name the content of the page's only element of that tag, as a policy does."""
    found = re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    assert found is not None
    digest = hashlib.sha256(found.group(1).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
