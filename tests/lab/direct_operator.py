"""An operator's end of the direct road on a TLS socket of this machine, as a test plays it."""

import asyncio
import struct
from typing import Self

from aiohttp import ClientConnectionResetError, WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from lab.authority import Authority, server_context
from vpplb.direct.messages import (
    PATH,
    PROTOCOL,
    AgentHello,
    DecisionBatch,
    Message,
    OperatorAddress,
    OperatorRole,
    ProgrammedReport,
    dump_entry,
    dump_role,
    join_batch,
    load_message,
)


def dump_batch(batch: DecisionBatch) -> str:
    return join_batch(batch.term, map(dump_entry, batch.entries), whole=batch.whole)


class DirectOperator:
    """Serves agents while entered; says `role` to each that connects, then what is told to say.

    `heard` is all that agents have sent; `tokens` what they showed. `protocols` None: whoever
    connects is refused with HTTP 403.
    """

    def __init__(
        self,
        identity: str,
        *,
        leads: bool = False,
        term: int = 0,
        protocols: tuple[str, ...] | None = (PROTOCOL,),
        greet: bool = True,
    ) -> None:
        self.role = OperatorRole(identity=identity, leads=leads, term=term, why="it is a test")
        self.heard: list[Message] = []
        self.tokens: list[str] = []
        self.refuses = protocols is None
        self.connections = 0
        self._protocols, self._greets = protocols or (), greet
        self._sockets: dict[web.WebSocketResponse, web.Request] = {}
        pem = Authority().server_pem("127.0.0.1")
        self._context = server_context(pem)
        fingerprint = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256())
        self._fingerprint = fingerprint.hex()
        self._port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get(PATH, self._serve)
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._context)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()
        await self._runner.cleanup()

    @property
    def address(self) -> OperatorAddress:
        return OperatorAddress(
            identity=self.role.identity,
            address=f"127.0.0.1:{self._port}",
            fingerprint=self._fingerprint,
        )

    async def say(self, said: OperatorRole | DecisionBatch | str | bytes) -> None:
        """Send to all agents that are connected; a role is what later ones are greeted with."""
        if isinstance(said, OperatorRole):
            self.role, said = said, dump_role(said)
        elif isinstance(said, DecisionBatch):
            said = dump_batch(said)
        for socket in list(self._sockets):
            if isinstance(said, bytes):
                await socket.send_bytes(said)
            else:
                await socket.send_str(said)

    async def trickle(self, said: DecisionBatch, seconds: float) -> None:
        """Send over a line so slow that one message takes this long."""
        text = dump_batch(said).encode()
        frame = b"\x81\x7f" + struct.pack("!Q", len(text)) + text
        pieces = [
            frame[at : at + len(frame) // 20] for at in range(0, len(frame), len(frame) // 20)
        ]
        for piece in pieces:
            for request in self._sockets.values():
                assert request.transport is not None
                request.transport.write(piece)
            await asyncio.sleep(seconds / len(pieces))

    async def hang_up(self) -> None:
        """End all connections; agents may come again."""
        for socket in list(self._sockets):
            await socket.close()

    def freeze(self) -> None:
        """Read nothing more, as a machine that is stopped: not a ping is answered."""
        for request in self._sockets.values():
            assert request.transport is not None
            request.transport.pause_reading()

    def thaw(self) -> None:
        for request in self._sockets.values():
            assert request.transport is not None
            request.transport.resume_reading()

    @property
    def hellos(self) -> list[AgentHello]:
        return [one for one in self.heard if isinstance(one, AgentHello)]

    @property
    def reports(self) -> list[ProgrammedReport]:
        return [one for one in self.heard if isinstance(one, ProgrammedReport)]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.refuses:
            raise web.HTTPForbidden
        socket = web.WebSocketResponse(protocols=self._protocols)
        await socket.prepare(request)
        self.tokens.append(request.headers["Authorization"].removeprefix("Bearer "))
        self._sockets[socket] = request
        self.connections += 1
        try:
            if self._greets:
                await socket.send_str(dump_role(self.role))
            async for received in socket:
                if received.type is WSMsgType.TEXT and (message := load_message(received.data)):
                    self.heard.append(message)
        except ClientConnectionResetError:  # it has gone while it was answered
            pass
        finally:
            del self._sockets[socket]
        return socket
