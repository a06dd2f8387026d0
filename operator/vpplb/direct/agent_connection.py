"""One agent's connection: what it is still to be sent, and the sending.

What is due waits as a set of names, and is rendered when it is sent: whoever reads slowly gets the
newest of each, and nothing grows. Frames are written at once, without a task of the connection's
own, and the same content makes the same frame for all agents: so a change reaches a thousand agents
in the tick in which it is decided.
"""

import asyncio
import struct
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Protocol

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from vpplb.direct.messages import (
    BATCH_SIZE,
    AgentHello,
    ProgrammedReport,
    VipsAnswer,
    VipsRequest,
    dump_request,
    join_batch,
)
from vpplb.model.names import ObjectKey

CLOSING = 2.0
"""Seconds that a peer has to answer when a connection is closed."""
PIECE = 4096
"""Bytes that are written at a time: TLS keeps for good a buffer of the largest it was given."""
ANSWER_TIMEOUT = 3.0
"""Seconds that an agent has to answer a question."""
MOST_ASKED = 16
"""Questions to an agent that may wait for their answers at a time."""
_TEXT, _PING, _PONG = 0x81, 0x89, 0x8A
"""First bytes of frames that are whole (RFC 6455, 5.2)."""
_MOST_REASON = 123
"""Bytes of a reason (RFC 6455, 5.5.1)."""


class AgentSilent(Exception):
    """An agent does not say what it is asked; the text says why."""


class AgentHandler(Protocol):
    """Who is told of connections, and gives what is due. Must not block or raise."""

    @property
    def term(self) -> int:
        """The term in which this operator leads."""

    def render_entry(self, node: str, key: ObjectKey) -> str | None:
        """Write what is decided on a frontend, for a node; None where there is nothing to say."""

    def on_connect(self, connection: "AgentConnection") -> None:
        """Take a connection; one that the node has had before is over."""

    def on_disconnect(self, connection: "AgentConnection") -> None:
        """Take note that a connection is over, and that the node has no newer one."""

    def on_message(
        self, connection: "AgentConnection", message: AgentHello | ProgrammedReport
    ) -> None:
        """Take a message of an agent: its hello, or what its VPP has."""


class AgentConnection:
    """The connection of a node's agent, on which a websocket is open.

    `heard` is when something came last, by the loop's clock; `sent` counts messages.
    """

    def __init__(
        self,
        node: str,
        request: web.Request,
        websocket: web.WebSocketResponse,
        writer: AbstractStreamWriter,
        handler: AgentHandler,
    ) -> None:
        assert request.transport is not None
        self.node, self.sent = node, 0
        self.heard = asyncio.get_running_loop().time()
        self.asked = False
        """Whether a ping was sent since something was heard."""
        self._transport, self._protocol = request.transport, request.protocol
        self._websocket, self._writer, self._handler = websocket, writer, handler
        self._role: bytes | None = None
        self._due = OrderedDict[ObjectKey, None]()  # what has waited for longest goes first
        self._begins = False
        self._asked: dict[int, asyncio.Future[VipsAnswer]] = {}
        self._draining: asyncio.Task[None] | None = None
        # Writing is paused while anything waits that the kernel has no room for: see `flush`.
        self._transport.set_write_buffer_limits(high=1)

    # --- what is due -------------------------------------------------------------------------

    def set_role(self, text: str) -> None:
        """Have this role sent, before anything else."""
        self._role = _frame_text(text)

    def begin_state(self, keys: Iterable[ObjectKey]) -> None:
        """Have the whole state sent, which is that of these frontends."""
        self._due, self._begins = OrderedDict.fromkeys(keys), True

    def drop_state(self) -> None:
        """Have no decisions sent any more: this operator does not lead."""
        self._due, self._begins = OrderedDict(), False

    def add_due(self, key: ObjectKey) -> None:
        """Have what is decided on a frontend sent, once `flush` is called."""
        self._due[key] = None

    def flush(self) -> None:
        """Send what is due as far as the peer takes it; the rest follows as soon as it does."""
        while (self._role is not None or self._due or self._begins) and not self.is_closing:
            if self._protocol.writing_paused:
                if self._draining is None:
                    self._draining = asyncio.create_task(self._flush_later())
                return
            frame = self._take_frame()
            if frame:
                self._write_frame(frame)
                self.sent += 1

    def _write_frame(self, frame: bytes) -> None:
        for start in range(0, len(frame), PIECE):
            self._transport.write(frame[start : start + PIECE])

    async def _flush_later(self) -> None:
        try:
            await self._writer.drain()
        except ConnectionError:
            return
        finally:
            self._draining = None
        self.flush()

    def _take_frame(self) -> bytes:
        """Take the next frame out of what is due; empty where that is nothing any more."""
        if self._role is not None:
            role, self._role = self._role, None
            return role
        texts: list[str] = []
        size = 0
        while self._due and size < BATCH_SIZE:
            key, _ = self._due.popitem(last=False)
            text = self._handler.render_entry(self.node, key)
            if text is not None:
                texts.append(text)
                size += len(text)
        whole = self._begins and not self._due
        if whole:
            self._begins = False
        return _frame_batch(self._handler.term, tuple(texts), whole) if texts or whole else b""

    @property
    def is_behind(self) -> bool:
        """Whether the peer has not taken yet all that is due."""
        return bool(self._due) or self._begins or self._role is not None

    # --- questions ---------------------------------------------------------------------------

    async def request_vips(self, number: int, frontend: ObjectKey | None) -> Mapping[str, object]:
        """Ask what VPP has of a frontend, or of all, as the agent shows it (AgentSilent).

        `number` is that of no other question, also on the node's connections of before: what was
        asked there may be answered here.
        """
        if self._protocol.writing_paused or len(self._asked) >= MOST_ASKED:
            raise AgentSilent(f"the agent of {self.node} does not take what it is sent")
        request = VipsRequest(number=number, frontend=frontend)
        answered = asyncio.get_running_loop().create_future()  # of a VipsAnswer
        self._asked[request.number] = answered
        self._write_frame(_frame_text(dump_request(request)))
        self.sent += 1
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                answer: VipsAnswer = await answered
        except TimeoutError:
            seconds = f"{ANSWER_TIMEOUT:g} s"
            raise AgentSilent(f"the agent of {self.node} has not answered in {seconds}") from None
        finally:
            del self._asked[request.number]
        if answer.trouble:
            raise AgentSilent(answer.trouble)
        return answer.page

    def take_answer(self, answer: VipsAnswer) -> None:
        """Hand an answer to whoever waits for it still."""
        answered = self._asked.get(answer.number)
        if answered is not None and not answered.done():
            answered.set_result(answer)

    # --- being there -------------------------------------------------------------------------

    @property
    def is_closing(self) -> bool:
        return self._websocket.closed or self._transport.is_closing()

    def note_heard(self) -> None:
        """Take note that something has come: a message may take long, and is a sign of life."""
        self.heard, self.asked = asyncio.get_running_loop().time(), False

    def send_ping(self) -> None:
        """Ask whether the agent is there."""
        self.asked = True
        self._transport.write(bytes((_PING, 0)))

    def send_pong(self, content: bytes) -> None:
        """Answer a ping, whose content is 125 bytes at most; not of one that reads nothing."""
        if not self._protocol.writing_paused:
            self._transport.write(bytes((_PONG, len(content))) + content)

    async def close(self, code: int, reason: str) -> None:
        """Close it, saying why; the peer is waited for, but not for long."""
        try:
            async with asyncio.timeout(CLOSING):
                await self._websocket.close(code=code, message=_cut_reason(reason))
        except (TimeoutError, ConnectionError):
            self.abort()

    def abort(self) -> None:
        """End it at once: nobody is there."""
        self._transport.abort()


def _frame_text(text: str) -> bytes:
    """Make the frame of a text message as a server sends it, without a mask (RFC 6455, 5.2)."""
    content = text.encode()
    size = len(content)
    if size < 126:
        head = struct.pack("!BB", _TEXT, size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", _TEXT, 126, size)
    else:
        head = struct.pack("!BBQ", _TEXT, 127, size)
    return head + content


@lru_cache(maxsize=16)
def _frame_batch(term: int, texts: tuple[str, ...], whole: bool) -> bytes:
    """Make the frame of a batch: what all agents are sent is written once."""
    return _frame_text(join_batch(term, texts, whole=whole))


def _cut_reason(reason: str) -> bytes:
    return reason.encode()[:_MOST_REASON].decode(errors="ignore").encode()
