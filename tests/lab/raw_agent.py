"""An agent's end of the direct road without any of the product's own: aiohttp's websocket alone."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp

from vpplb.direct.messages import PATH, PROTOCOL, Message, load_message


def trust_anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class RawAgent:
    """Reads and writes one connection."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self.websocket = websocket

    async def hear(self) -> Message:
        """Return the next message, whatever it is."""
        message = load_message(await self.websocket.receive_str(timeout=5))
        assert message is not None
        return message

    async def wait_closed(self) -> tuple[int | None, str]:
        """Read on until the connection is closed; return code and reason."""
        while True:
            received = await self.websocket.receive(timeout=10)
            if received.type is aiohttp.WSMsgType.CLOSE:
                return received.data, received.extra or ""
            if received.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                return self.websocket.close_code, ""

    def pause(self) -> None:
        """Read nothing more, not even from the socket."""
        self._transport.pause_reading()

    def resume(self) -> None:
        self._transport.resume_reading()

    @property
    def _transport(self) -> asyncio.Transport:
        connection = self.websocket._conn  # aiohttp has no public way to it
        assert connection is not None
        assert isinstance(connection.transport, asyncio.Transport)
        return connection.transport

    async def say(self, text: str) -> None:
        await self.websocket.send_str(text)

    def send_frame(self, first: int, content: bytes) -> None:
        """Send a frame as it is: its first byte is given (RFC 6455, 5.2), its mask is zeros."""
        self._transport.write(_make_frame(first, content))

    async def trickle(self, text: str, seconds: float) -> None:
        """Send over a line so slow that one message takes this long."""
        frame = _make_frame(_TEXT, text.encode())
        size = len(frame) // 20 + 1
        for at in range(0, len(frame), size):
            self._transport.write(frame[at : at + size])
            await asyncio.sleep(seconds / 20)


_TEXT = 0x81
"""The first byte of a text message that is whole."""


def _make_frame(first: int, content: bytes) -> bytes:
    return struct.pack("!BBQI", first, 0x80 | 127, len(content), 0) + content


def url_of(port: int, node: str, scheme: str = "https") -> str:
    return f"{scheme}://127.0.0.1:{port}{PATH.format(node=node)}"


@asynccontextmanager
async def connect_agent(
    port: int,
    node: str = "n1",
    *,
    token: str = "good",
    protocols: Sequence[str] = (PROTOCOL,),
    autoping: bool = True,
) -> AsyncIterator[RawAgent]:
    """Connect as the agent of a node."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            url_of(port, node),
            ssl=trust_anybody(),
            headers={"Authorization": f"Bearer {token}"},
            protocols=protocols,
            autoping=autoping,
        ) as websocket,
    ):
        yield RawAgent(websocket)
