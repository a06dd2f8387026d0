"""A proxy in front of the real API server, with faults on command, and a log of all requests.

    with ApiProxy(plane.operator_kubeconfig, directory) as proxy:
        operator = Service("operator", proxy.kubeconfig, directory, …)
        with proxy.failing(Fault(status=429, retry_after=1), only=writes):
            …                            # each write is answered 429, all else works
        with proxy.away():               # connections are reset, new ones refused
            …
        with proxy.frozen():             # silently dead: connections stay open, nothing passes;
            …                            # what was open then stays dead for ever
        proxy.cut(last=GONE)             # every running watch ends with these bytes
        proxy.reset(only=watches)        # every running watch is broken
        assert not proxy.requests(object_writes, since=moment)

It speaks plain HTTP to its clients and the given kubeconfig's TLS to the server, and hands on
whatever credentials it is sent. It lives in a thread of its own, so that it serves synchronous
and asynchronous tests alike. One proxy a client tells clients apart.
"""

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml
from aiohttp import web

from vpplb.kube.cluster_access import load_access

GONE = (
    b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure",'
    b'"message":"too old resource version","reason":"Expired","code":410}}\n'
)
FAILED = GONE.replace(b'"Expired","code":410', b'"InternalError","code":500')
HALF_A_LINE = b'{"type":"MODIFIED","object":{"metad'


@dataclass(slots=True, kw_only=True)
class ProxiedRequest:
    """A request: its path without the query, when it came (`time.monotonic`), what it got.

    `status` is None as long as there is no answer, and 0 when there never will be one.
    """

    method: str
    path: str
    watch: bool
    at: float
    status: int | None = None


Which = Callable[[ProxiedRequest], bool]


def everything(_: ProxiedRequest) -> bool:
    """Any request."""
    return True


def writes(seen: ProxiedRequest) -> bool:
    """Any request that changes something, leases and events too."""
    return seen.method not in ("GET", "HEAD")


def object_writes(seen: ProxiedRequest) -> bool:
    """Writes of the project's own kinds."""
    return writes(seen) and seen.path.startswith("/apis/vpplb.dev/")


def watches(seen: ProxiedRequest) -> bool:
    """Watches of any kind."""
    return seen.watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to a request: first it waits `delay` seconds, then one of the others, if any.

    `status` is answered in the server's place; `reset` breaks the connection, and `lost` does so
    after the server has done what was asked; `hang` never answers. Only each `every`-th request
    is hit.
    """

    delay: float = 0.0
    status: int = 0
    retry_after: int | None = None
    reset: bool = False
    lost: bool = False
    hang: bool = False
    every: int = 1


@dataclass(slots=True, eq=False)
class _Exchange:
    seen: ProxiedRequest
    request: web.BaseRequest
    dead: bool = False
    order: asyncio.Future[bytes | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    """How a running watch is to end: with these bytes, or broken (None)."""

    def abort(self) -> None:
        if self.request.transport is not None:
            self.request.transport.abort()


class ApiProxy:
    """A proxy for the server of a kubeconfig; `kubeconfig` is the same by way of the proxy."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        self._upstream = kubeconfig
        self._directory = directory
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._faults: list[tuple[Fault, Which, Iterator[int]]] = []
        self._running: set[_Exchange] = set()
        self._frozen = False
        self._log: list[ProxiedRequest] = []
        self._site: web.TCPSite | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._start())
        self.kubeconfig = self._write_kubeconfig()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # --- what tests see and command ---------------------------------------------------------

    def requests(self, which: Which = everything, since: float = 0.0) -> list[ProxiedRequest]:
        """Return what was asked, by the order of its coming."""
        return [seen for seen in list(self._log) if seen.at >= since and which(seen)]

    @contextmanager
    def failing(self, fault: Fault, only: Which = everything) -> Iterator[None]:
        """Have requests fail that come meanwhile; of nested faults the innermost counts."""
        entry = (fault, only, count(1))
        self._faults.insert(0, entry)
        try:
            yield
        finally:
            self._faults.remove(entry)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Refuse connections, as when no server runs; those that are open are reset."""
        self._do(self._close())
        try:
            yield
        finally:
            self._do(self._listen())

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let nothing pass, as when packets are dropped; what is open now never wakes again."""
        self._do(self._freeze())
        try:
            yield
        finally:
            self._frozen = False

    def cut(self, only: Which = watches, *, last: bytes = b"") -> None:
        """End running watches, with these bytes last."""
        self._do(self._order(only, last))

    def reset(self, only: Which = watches) -> None:
        """Break the connections of running watches."""
        self._do(self._order(only, None))

    # --- on the proxy's loop ----------------------------------------------------------------

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        access = await load_access(self._upstream)
        tls: ssl.SSLContext | bool = access.tls or False
        self._server = access.server
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        await self._listen()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        if self._site is not None:
            await self._site.stop()
        for connection in self._runner.server.connections if self._runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()

    async def _stop(self) -> None:
        await self._close()
        await self._runner.cleanup()
        await self._session.close()
        await asyncio.sleep(0.05)  # transports close a moment later

    async def _freeze(self) -> None:
        self._frozen = True
        for exchange in self._running:
            exchange.dead = True

    async def _order(self, only: Which, order: bytes | None) -> None:
        for exchange in self._running:
            if only(exchange.seen) and not exchange.order.done():
                exchange.order.set_result(order)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        seen = ProxiedRequest(
            method=request.method,
            path=request.path,
            watch=request.query.get("watch") in ("true", "1"),
            at=time.monotonic(),
        )
        self._log.append(seen)
        exchange = _Exchange(seen, request, dead=self._frozen)
        self._running.add(exchange)
        try:
            return await self._exchange(exchange)
        finally:
            self._running.discard(exchange)

    async def _exchange(self, exchange: _Exchange) -> web.StreamResponse:
        fault = self._fault(exchange.seen)
        await asyncio.sleep(fault.delay)
        if fault.hang or exchange.dead:
            return await _hang(exchange)
        if fault.reset:
            return await _break(exchange)
        if fault.status:
            exchange.seen.status = fault.status
            return _failure(fault)
        return await self._forward(exchange, lost=fault.lost)

    async def _forward(self, exchange: _Exchange, *, lost: bool) -> web.StreamResponse:
        request = exchange.request
        async with self._session.request(
            request.method,
            self._server + request.raw_path,
            headers=_kept(request.headers),
            data=await request.read() or None,
        ) as answer:
            if exchange.seen.watch and answer.status == 200:
                return await _stream(exchange, answer)
            body = await answer.read()
        if lost:
            return await _break(exchange)
        if exchange.dead:
            return await _hang(exchange)
        exchange.seen.status = answer.status
        return web.Response(status=answer.status, body=body, headers=_kept(answer.headers))

    def _fault(self, seen: ProxiedRequest) -> Fault:
        for fault, only, hits in self._faults:
            if only(seen) and next(hits) % fault.every == 0:
                return fault
        return Fault()

    def _write_kubeconfig(self) -> Path:
        config = yaml.safe_load(self._upstream.read_text())
        for cluster in config["clusters"]:
            cluster["cluster"] = {"server": f"http://127.0.0.1:{self.port}"}
        path = self._directory / f"by-proxy-{self.port}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path


async def _hang(exchange: _Exchange) -> web.StreamResponse:
    """Wait until the client leaves, which cancels this."""
    exchange.seen.status = 0
    await asyncio.Event().wait()
    raise AssertionError


async def _break(exchange: _Exchange) -> web.StreamResponse:
    exchange.seen.status = 0
    exchange.abort()
    return await _hang(exchange)


async def _stream(exchange: _Exchange, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Hand on a watch until it ends, or as it is ordered to."""
    response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
    await response.prepare(exchange.request)
    exchange.seen.status = answer.status
    while True:
        reading = asyncio.ensure_future(answer.content.readany())
        try:
            either: set[asyncio.Future[Any]] = {reading, exchange.order}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
        if exchange.dead:
            return await _hang(exchange)
        if exchange.order.done():
            last = exchange.order.result()
            if last is None:
                return await _break(exchange)
            await response.write(last)
            return response
        data = reading.result()
        if not data:
            return response
        with suppress(ConnectionError):  # the client has left; that cancels this in a moment
            await response.write(data)


def _failure(fault: Fault) -> web.Response:
    """Answer as the API server would."""
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "as the test wants it",
        "reason": _REASONS.get(fault.status, "InternalError"),
        "code": fault.status,
    }
    return web.json_response(status, status=fault.status, headers=headers)


_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
}


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Leave out the headers that are about a connection."""
    return {name: value for name, value in headers.items() if name.lower() not in _OF_A_CONNECTION}


_OF_A_CONNECTION = {"host", "connection", "content-length", "transfer-encoding", "keep-alive"}
