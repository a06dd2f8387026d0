"""A connection to VPP's binary API: pipelined calls over asyncio, no thread, no hang.

VPP answers in order; calls are sent without waiting, up to `window` at a time and no faster than
the socket takes them. Each has a deadline. Whatever goes wrong (end of stream, a frame that
cannot be, an answer to nothing, silence) ends the connection: every pending call then fails with
LoadBalancerGone, and the only remedy is a new connection.
"""

import asyncio
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from vpplb.engine.ports import LoadBalancerGone, LoadBalancerUnsuitable
from vpplb.vpp import messages
from vpplb.vpp.framing import BadFrame, FrameReader, frame
from vpplb.vpp.messages import BadMessage, Catalogue, Fields, Value

Request = tuple[str, Fields]
CallHook = Callable[[str, int], None]
"""Called for each answered request with its name and VPP's retval."""

WINDOW = 256
"""Calls under way at most: enough to keep VPP busy, few enough that a deadline means something."""

_REGISTER = "sockclnt_create"


class _Batch:
    """Calls whose answers are awaited together, in the order of the requests."""

    __slots__ = ("answers", "done", "left")

    def __init__(self, size: int) -> None:
        self.answers: list[Fields] = [{}] * size
        self.left = size
        self.done: asyncio.Future[list[Fields]] = asyncio.get_running_loop().create_future()

    def answer(self, index: int, fields: Fields) -> None:
        self.answers[index] = fields
        self.left -= 1
        if self.left == 0 and not self.done.done():
            self.done.set_result(self.answers)

    def fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(LoadBalancerGone(reason))
            self.done.exception()  # whoever waits gets it; nobody waiting is no mistake


class _Call:
    """A request under way. A dump gathers `details` until the call at `until` is answered."""

    __slots__ = ("batch", "deadline", "details", "index", "name", "reply", "until")

    def __init__(self, name: str, reply: str, batch: _Batch, index: int, deadline: float) -> None:
        self.name, self.reply = name, reply
        self.batch, self.index, self.deadline = batch, index, deadline
        self.details: list[Fields] | None = None
        self.until: _Call | None = None


class Connection(asyncio.Protocol):
    """One registered client of one VPP; made by `connect`."""

    def __init__(self, *, timeout: float, window: int, on_call: CallHook) -> None:
        self.lost: str | None = None
        self._timeout, self._window, self._on_call = timeout, window, on_call
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._registration = messages.Registration()
        self._registered: asyncio.Future[dict[str, int]] = self._loop.create_future()
        self._catalogue = Catalogue({})
        self._client_index = 0
        self._context = 0
        self._pending: dict[int, _Call] = {}
        self._out = bytearray()
        self._room = asyncio.Event()
        self._writable = True
        self._watch: asyncio.TimerHandle | None = None

    # --- calls ------------------------------------------------------------------------------

    async def call(self, name: str, fields: Fields) -> Fields:
        """Send one request; return its answer. LoadBalancerGone when there is none."""
        return (await self.call_many([(name, fields)]))[0]

    async def call_many(self, requests: Sequence[Request]) -> Sequence[Fields]:
        """Send requests in order, pipelined; return their answers in that order."""
        batch = _Batch(len(requests))
        for index, (name, fields) in enumerate(requests):
            await self._has_room()
            self._send(name, fields, f"{name}_reply", batch, index)
        self._flush()
        return await batch.done if requests else []

    async def dump(self, name: str, fields: Fields) -> Sequence[Fields]:
        """Send a `…_dump` request; return all of its details, in VPP's order."""
        batch = _Batch(1)
        await self._has_room()
        details = self._send(name, fields, name.replace("_dump", "_details"), batch, 0)
        details.details = []
        ending = self._send("control_ping", {}, "control_ping_reply", batch, 0)
        details.until = ending
        ending.details = details.details
        self._flush()
        return await batch.done

    async def _has_room(self) -> None:
        while self.lost is None and (len(self._pending) >= self._window or not self._writable):
            self._flush()
            self._room.clear()
            await self._room.wait()
        if self.lost is not None:
            raise LoadBalancerGone(self.lost)

    def _send(self, name: str, fields: Fields, reply: str, batch: _Batch, index: int) -> _Call:
        self._context = self._context % 0xFFFFFFFF + 1
        message = self._catalogue.by_name[name]
        self._out += frame(message.pack(self._client_index, self._context, fields))
        call = _Call(name, reply, batch, index, self._loop.time() + self._timeout)
        self._pending[self._context] = call
        if self._watch is None:
            self._watch = self._loop.call_at(call.deadline, self._check_deadline)
        return call

    def _flush(self) -> None:
        if self._out and self._transport is not None and self.lost is None:
            self._transport.write(bytes(self._out))
        self._out.clear()

    def _check_deadline(self) -> None:
        """Look at the oldest call: answers come in order, so no other is overdue before it."""
        self._watch = None
        oldest = next(iter(self._pending.values()), None)
        if oldest is None:
            return
        if oldest.deadline <= self._loop.time():
            self.lose(f"no answer to {oldest.name} in {self._timeout:g} s")
        else:
            self._watch = self._loop.call_at(oldest.deadline, self._check_deadline)

    # --- what comes in ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register at once (asyncio.Protocol)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(frame(self._registration.request("vpplb")))

    def data_received(self, data: bytes) -> None:
        """Take in answers (asyncio.Protocol)."""
        try:
            for message in self._reader.feed(data):
                if self.lost is not None:
                    return
                self._receive(message)
        except (BadFrame, BadMessage) as error:
            self.lose(f"not VPP's binary API: {error}")
        self._room.set()

    def _receive(self, message: bytes) -> None:
        if not self._registered.done():
            self._client_index, table = self._registration.accept(message)
            self._registered.set_result(table)
            return
        number = int.from_bytes(message[:2])
        definition = self._catalogue.by_number.get(number)
        if definition is None:
            raise BadMessage(f"message {number} was not asked for")
        fields = definition.unpack(message)
        context = fields.get("context", 0)
        assert isinstance(context, int)
        call = self._pending.get(context)
        if call is None or call.reply != definition.name:
            raise BadMessage(f"{definition.name} with context {context} answers no call")
        if call.until is None:
            self._answered(context, call, fields)
        elif call.details is not None:
            call.details.append(fields)
            call.deadline = call.until.deadline = self._loop.time() + self._timeout

    def _answered(self, context: int, call: _Call, fields: Fields) -> None:
        del self._pending[context]
        if call.details is not None:  # the ping after a dump; the dump was sent just before it
            dump = self._pending.pop((context - 2) % 0xFFFFFFFF + 1)
            self._on_call(dump.name, 0)
            call.batch.answer(call.index, {"details": b""})
            return
        self._on_call(call.name, _number(fields.get("retval", 0)))
        call.batch.answer(call.index, fields)

    def pause_writing(self) -> None:
        """Hold back: the socket is full (asyncio.Protocol)."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on (asyncio.Protocol)."""
        self._writable = True
        self._room.set()
