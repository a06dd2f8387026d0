"""The operator's end of the direct road: a server to which every agent keeps one connection.

Nobody gets further than a few seconds and a few kilobytes without a token (`verify`). What an agent
says is bounded, and who says what cannot be understood is told so and let go. An agent that is
silent is asked, and one that does not answer is gone (`SILENT`): asking is left to the side with
thousands of connections, which looks at all of them once a second.
"""

import asyncio
import logging
import resource
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from itertools import count
from typing import Self

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web

from vpplb.direct.agent_connection import (
    CLOSING,
    AgentConnection,
    AgentHandler,
    AgentSilent,
)
from vpplb.direct.certificate import ServerCertificate
from vpplb.direct.messages import (
    MOST_BYTES,
    PATH,
    PROTOCOL,
    AgentHello,
    MessageError,
    ProgrammedReport,
    VipsAnswer,
    load_message,
)
from vpplb.direct.refusal_log import RefusalLog
from vpplb.direct.tls_connections import MOST_WAITING, PATIENCE, TlsConnections
from vpplb.direct.tokens import TokenRefused
from vpplb.model.names import ObjectKey

log = logging.getLogger(__name__)

MOST_AGENTS = 5000
"""Agents that are served at a time: what a cluster has nodes at most."""
BACKLOG = 128
"""Connections that are accepted at a time: of a thousand that come at once the rest waits outside,
where it costs nothing."""
LOOK_EVERY = 1.0
ASK_AFTER = 6.0
SILENT = 9.0
"""Seconds between looks; of silence after which an agent is asked; and after which it is gone."""
REPLACED = 4000
"""Code of closing where the node has a newer connection (RFC 6455 leaves 4000 and up to us)."""
_STOPPING = "this operator is stopping"
_NODE = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"

VerifyToken = Callable[[str, str], Awaitable[object]]
"""Returns where a token is that of the agent of a node; TokenRefused else."""


class RefusalReason(StrEnum):
    """Why somebody was not served, or not any more.

    HANDSHAKE: no TLS. SLOW: no request in time. CROWDED: too many who wait. NOT_FOUND: no path of
    ours. TOKEN: 401 or 403. UNVERIFIED: no token can be verified at present. FULL: too many agents.
    PROTOCOL: no websocket, or one of another protocol. GARBAGE, OVERSIZED: what was said. SILENT:
    nothing was said any more.
    """

    HANDSHAKE = "handshake"
    SLOW = "slow"
    CROWDED = "crowded"
    NOT_FOUND = "not_found"
    TOKEN = "token"
    UNVERIFIED = "unverified"
    FULL = "full"
    PROTOCOL = "protocol"
    GARBAGE = "garbage"
    OVERSIZED = "oversized"
    SILENT = "silent"


class _AgentRefused(Exception):
    def __init__(self, reason: RefusalReason, status: int, said: str) -> None:
        super().__init__(said)
        self.reason, self.status = reason, status


@dataclass(slots=True, kw_only=True)
class DirectServer:
    """Serves agents, as `async with DirectServer(…)`: on `host` (None: all) and `port` (0: any).

    `handler` is told of each connection. Entering raises OSError. Connections have `patience`
    seconds to show a token; `ask_after` and `silent` are as the constants are. The figures are for
    metrics: messages of both directions, `last_heard` by the loop's clock, and the refusals.
    """

    host: str | None
    port: int
    certificate: ServerCertificate
    verify: VerifyToken
    handler: AgentHandler
    most_agents: int = MOST_AGENTS
    most_waiting: int = MOST_WAITING
    patience: float = PATIENCE
    ask_after: float = ASK_AFTER
    silent: float = SILENT
    heard: int = 0
    last_heard: float | None = None
    refused: Counter[RefusalReason] = field(default_factory=Counter)
    _refusals: RefusalLog = field(default_factory=RefusalLog)
    _sent_before: int = 0
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _connections: dict[str, AgentConnection] = field(default_factory=dict)
    _leaving: set[asyncio.Task[None]] = field(default_factory=set)
    _listener: TlsConnections = field(init=False)
    _runner: web.AppRunner = field(init=False)
    _server: asyncio.Server | None = None
    _watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._answer_refusal])
        app.router.add_get(PATH.replace("{node}", f"{{node:{_NODE}}}"), self._serve_agent)
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=CLOSING
        )
        await self._runner.setup()
        make = self._runner.server
        assert make is not None
        self._listener = TlsConnections(
            context=self.certificate.context,
            make_handler=make,
            on_refused=self._count_refusal,
            most_waiting=self.most_waiting,
            patience=self.patience,
        )
        _raise_descriptor_limit()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._listener.make_protocol, self.host, self.port, backlog=BACKLOG
            )
        except OSError:
            await self._runner.cleanup()
            raise
        self._watch = asyncio.create_task(self._watch_silence())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        assert self._watch is not None
        self._server.close()
        self._watch.cancel()
        for connection in list(self._connections.values()):
            self._close_soon(connection, WSCloseCode.GOING_AWAY, _STOPPING)
        if self._leaving:
            await asyncio.wait(self._leaving)
        await self._runner.cleanup()

    # --- figures -----------------------------------------------------------------------------

    @property
    def listen_port(self) -> int:
        """The port that it listens on; 0 where it does not."""
        if self._server is None or not self._server.sockets:
            return 0
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def agent_count(self) -> int:
        return len(self._connections)

    @property
    def behind_count(self) -> int:
        return sum(one.is_behind for one in self._connections.values())

    @property
    def sent(self) -> int:
        """How many messages were sent to agents, also on connections that are over."""
        return self._sent_before + sum(one.sent for one in self._connections.values())

    async def request_vips(self, node: str, frontend: ObjectKey | None) -> Mapping[str, object]:
        """Ask the agent of a node what its VPP has (AgentSilent)."""
        connection = self._connections.get(node)
        if connection is None:
            raise AgentSilent(f"the agent of {node} is not connected to this operator")
        return await connection.request_vips(next(self._numbers), frontend)

    # --- requests ----------------------------------------------------------------------------

    @web.middleware
    async def _answer_refusal(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer who is not served in plain words, and end the connection."""
        try:
            return await handler(request)
        except web.HTTPNotFound:
            said = f"agents connect to {PATH}, and nothing else is here"
            refused = _AgentRefused(RefusalReason.NOT_FOUND, HTTPStatus.NOT_FOUND, said)
        except web.HTTPError as error:
            refused = _AgentRefused(RefusalReason.PROTOCOL, error.status, error.reason)
        except _AgentRefused as error:
            refused = error
        self._count_refusal(refused.reason)
        self._log_refusal(request, str(refused))
        response = web.Response(status=refused.status, text=f"{refused}\n")
        response.force_close()
        return response

    def _log_refusal(self, request: web.Request, why: str) -> None:
        node, remote = request.match_info.get("node"), request.remote or "an unknown address"
        if node is None:
            log.debug("%s is not served: %s", remote, why)
        else:
            now = asyncio.get_running_loop().time()
            self._refusals.note_refusal(node, remote, why, now)

    async def _serve_agent(self, request: web.Request) -> web.StreamResponse:
        node = request.match_info["node"]
        await self._verify_request(request, node)
        if len(self._connections) >= self.most_agents and node not in self._connections:
            raise _AgentRefused(
                RefusalReason.FULL,
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self.most_agents} agents are served already",
            )
        websocket = web.WebSocketResponse(
            timeout=CLOSING,
            autoping=False,
            compress=False,
            max_msg_size=MOST_BYTES + 1,  # the first size that aiohttp refuses
            protocols=(PROTOCOL,),
        )
        if websocket.can_prepare(request).protocol != PROTOCOL:
            raise _AgentRefused(
                RefusalReason.PROTOCOL,
                HTTPStatus.BAD_REQUEST,
                f"agents open a websocket here, of the protocol {PROTOCOL}",
            )
        writer = await websocket.prepare(request)
        connection = AgentConnection(node, request, websocket, writer, self.handler)
        self._listener.keep_connection(request.protocol, connection.note_heard)
        await self._serve_connection(connection, websocket)
        return websocket

    async def _verify_request(self, request: web.Request, node: str) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise _AgentRefused(
                RefusalReason.TOKEN,
                HTTPStatus.UNAUTHORIZED,
                "an agent shows its token here, as Authorization: Bearer",
            )
        try:
            await self.verify(token.strip(), node)
        except TokenRefused as error:
            unverified = error.status == HTTPStatus.SERVICE_UNAVAILABLE
            reason = RefusalReason.UNVERIFIED if unverified else RefusalReason.TOKEN
            raise _AgentRefused(reason, error.status, str(error)) from error

    # --- connections -------------------------------------------------------------------------

    async def _serve_connection(
        self, connection: AgentConnection, websocket: web.WebSocketResponse
    ) -> None:
        node = connection.node
        if older := self._connections.get(node):
            self._sent_before += older.sent
            self._close_soon(older, REPLACED, "this node has a newer connection")
        self._connections[node] = connection
        self._refusals.note_served(node)
        try:
            self.handler.on_connect(connection)
            await self._read_messages(connection, websocket)
        finally:
            if self._connections.get(node) is connection:
                del self._connections[node]
                self._sent_before += connection.sent
                self.handler.on_disconnect(connection)

    async def _read_messages(
        self, connection: AgentConnection, websocket: web.WebSocketResponse
    ) -> None:
        """Read until the connection ends, or says what cannot be understood."""
        while True:
            received = await websocket.receive()
            match received.type:
                case WSMsgType.TEXT:
                    if not await self._take_text(connection, received.data):
                        return
                case WSMsgType.PING:
                    connection.send_pong(received.data)
                case WSMsgType.PONG:
                    pass
                case WSMsgType.ERROR:
                    self._note_error(connection, received.data)
                    return
                case WSMsgType.BINARY:
                    await self._refuse_garbage(connection, "messages are text here")
                    return
                case _:
                    return

    async def _take_text(self, connection: AgentConnection, text: str) -> bool:
        """Hand a message on; False where it makes no sense, and the connection is closed."""
        try:
            message = load_message(text)
        except MessageError as error:
            await self._refuse_garbage(connection, str(error))
            return False
        self.heard += 1
        self.last_heard = connection.heard
        match message:
            case AgentHello() | ProgrammedReport():
                self.handler.on_message(connection, message)
            case VipsAnswer():
                connection.take_answer(message)
        return True

    async def _refuse_garbage(self, connection: AgentConnection, why: str) -> None:
        self._count_refusal(RefusalReason.GARBAGE)
        log.warning("the agent of %s is not understood: %s", connection.node, why)
        await connection.close(WSCloseCode.INVALID_TEXT, why)

    def _note_error(self, connection: AgentConnection, error: object) -> None:
        """Take note of what aiohttp has refused, and closed the connection for."""
        if not isinstance(error, WebSocketError):
            return  # the connection broke
        large = error.code == WSCloseCode.MESSAGE_TOO_BIG
        self._count_refusal(RefusalReason.OVERSIZED if large else RefusalReason.GARBAGE)
        log.warning("the agent of %s is not understood: %s", connection.node, error)

    def _close_soon(self, connection: AgentConnection, code: int, reason: str) -> None:
        closing = asyncio.create_task(connection.close(code, reason))
        self._leaving.add(closing)
        closing.add_done_callback(self._leaving.discard)

    async def _watch_silence(self) -> None:
        """Ask whoever is silent, and end the connections of those who do not answer.

        While this process did not run it heard nobody, so that is nobody's silence.
        """
        pause, clock = min(LOOK_EVERY, self.silent / 4), asyncio.get_running_loop().time
        while True:
            due = clock() + pause
            await asyncio.sleep(pause)
            now = clock()
            deaf = now - due
            for connection in list(self._connections.values()):
                connection.heard = min(now, connection.heard + deaf)
                silent = now - connection.heard
                if silent >= self.silent:
                    self._count_refusal(RefusalReason.SILENT)
                    log.warning("the agent of %s is silent: %.0f s", connection.node, silent)
                    connection.abort()
                elif silent >= self.ask_after and not connection.asked:
                    connection.send_ping()

    def _count_refusal(self, reason: str) -> None:
        self.refused[RefusalReason(reason)] += 1


def _raise_descriptor_limit() -> None:
    """Let this process have all the descriptors that it may, since each agent takes one.

    It begins with 1024 under systemd and under container runtimes (containerd 2), for the sake of
    programs that do not ask; with none left it could not even renew its lease.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
