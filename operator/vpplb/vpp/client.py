"""A connection to VPP's binary API: pipelined calls over asyncio, no thread, no hang.

VPP answers in order; calls are sent without waiting for answers, up to `window` at a time and no
faster than the socket takes them. Each has a deadline. Whatever goes wrong (end of stream, a
frame that cannot be, an answer to nothing, silence) ends the connection: every pending call then
fails with LoadBalancerGone, and the only remedy is a new connection.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vpplb.engine.ports import LoadBalancerGone, LoadBalancerUnsuitable
from vpplb.vpp import messages
from vpplb.vpp.framing import BadFrame, FrameReader, frame
from vpplb.vpp.messages import BadMessage, Catalogue, Fields, Message, Registration

Request = tuple[str, Fields]
CallHook = Callable[[str, int], None]
"""Called for each answered request with its name and VPP's retval (0 for a dump)."""

TIMEOUT = 5.0
"""Seconds within which VPP has to answer a call; connecting takes no longer either."""
WINDOW = 256
"""Calls under way at most: enough to keep VPP busy, few enough that a deadline means something."""
LEAVE = 1.0
"""Seconds that taking leave may last."""
_CHUNK = 2 << 10
"""Bytes gathered before they are written: a system call for each frame would cost more."""


async def connect(
    path: Path,
    *,
    on_call: CallHook,
    timeout: float = TIMEOUT,
    window: int = WINDOW,
) -> "Connection":
    """Connect to the API socket, register, and check that VPP has all that is needed.

    LoadBalancerGone when there is no VPP or it does not answer, LoadBalancerUnsuitable when it
    lacks a message.
    """
    loop = asyncio.get_running_loop()
    connection = Connection(timeout=timeout, window=window, on_call=on_call)
    try:
        async with asyncio.timeout(timeout):
            await loop.create_unix_connection(lambda: connection, str(path))
            await connection.registered()
    except TimeoutError as error:
        connection.lose("closed")
        raise LoadBalancerGone(f"{path}: VPP does not answer in {timeout:g} s") from error
    except OSError as error:
        raise LoadBalancerGone(f"{path}: {error.strerror or error}") from error
    except BaseException:
        connection.lose("closed")
        raise
    return connection


class _Batch:
    """Calls whose answers are awaited together, in the order of the requests."""

    __slots__ = ("answers", "done", "left")

    def __init__(self, size: int) -> None:
        self.answers: list[Fields] = [{}] * size
        self.left = size
        self.done: asyncio.Future[Sequence[Fields]] = asyncio.get_running_loop().create_future()

    def answer(self, index: int, fields: Fields) -> None:
        self.answers[index] = fields
        self.left -= 1
        if self.left == 0 and not self.done.done():
            self.done.set_result(self.answers)

    def fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(LoadBalancerGone(reason))
            self.done.exception()  # seen: if nobody waits any more, that is no mistake


@dataclass(slots=True)
class _Call:
    """A request under way.

    A dump has its `details`; the ping sent after it `ends` it (the dump's context).
    """

    message: Message
    deadline: float
    batch: _Batch
    index: int = 0
    details: list[Fields] | None = None
    ends: int = 0


class Connection(asyncio.Protocol):
    """One registered client of one VPP; made by `connect`."""

    def __init__(self, *, timeout: float, window: int, on_call: CallHook) -> None:
        self.lost: str | None = None
        self._timeout, self._window, self._on_call = timeout, window, on_call
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._frames = FrameReader()
        self._registration = Registration()
        self._welcome = _Batch(1)
        self._table: dict[str, int] = {}
        self._catalogue = Catalogue({})
        self._client = 0
        self._context = 0
        self._pending: dict[int, _Call] = {}
        self._out = bytearray()
        self._room = asyncio.Event()
        self._writable = True
        self._watch: asyncio.TimerHandle | None = None

    async def registered(self) -> None:
        """Wait to be registered and check VPP's messages (LoadBalancerUnsuitable, Gone)."""
        await self._welcome.done
        if lacking := messages.missing(self._table):
            raise LoadBalancerUnsuitable(
                f"VPP lacks {', '.join(lacking)}: VPP 26.10 or newer (lb API 1.2) with the lb "
                "plugin is needed"
            )
        self._catalogue = messages.catalogue(self._table)

    async def call(self, name: str, fields: Fields) -> Fields:
        """Send one request; return its answer. LoadBalancerGone when there is none."""
        return (await self.call_many([(name, fields)]))[0]

    async def call_many(self, requests: Sequence[Request]) -> Sequence[Fields]:
        """Send requests in order, pipelined; return their answers in that order."""
        if not requests:
            return []
        batch = _Batch(len(requests))
        for index, (name, fields) in enumerate(requests):
            if not self._has_room():
                await self._wait_for_room()
            self._send(name, fields, batch, index)
        self._flush()
        return await batch.done

    async def dump(self, name: str, fields: Fields) -> Sequence[Fields]:
        """Send a `…_dump` request; return all of its details, in VPP's order."""
        await self._wait_for_room()
        batch, details = _Batch(1), list[Fields]()
        context = self._send(name, fields, batch, details=details)
        self._send("control_ping", {}, batch, ends=context)
        self._flush()
        await batch.done
        return details

    def _has_room(self) -> bool:
        return self.lost is None and self._writable and len(self._pending) < self._window

    async def _wait_for_room(self) -> None:
        while not self._has_room():
            if self.lost is not None:
                raise LoadBalancerGone(self.lost)
            self._flush()
            self._room.clear()
            await self._room.wait()

    def _send(
        self,
        name: str,
        fields: Fields,
        batch: _Batch,
        index: int = 0,
        details: list[Fields] | None = None,
        ends: int = 0,
    ) -> int:
        """Put a request into the next write; return its context."""
        message = self._catalogue.by_name[name]
        context = self._context = self._context % 0xFFFFFFFF + 1
        self._out += frame(message.pack(self._client, context, fields))
        if len(self._out) >= _CHUNK:
            self._flush()
        deadline = self._loop.time() + self._timeout
        self._pending[context] = _Call(message, deadline, batch, index, details, ends)
        if self._watch is None:
            self._watch = self._loop.call_at(deadline, self._check_deadline)
        return context

    def _flush(self) -> None:
        if self._out and self._transport is not None and self.lost is None:
            self._transport.write(bytes(self._out))
        self._out.clear()

    def _check_deadline(self) -> None:
        """Look at the oldest call: answers come in order, so none is overdue before it."""
        self._watch = None
        oldest = next(iter(self._pending.values()), None)
        if oldest is None:
            return
        if oldest.deadline <= self._loop.time():
            self.lose(f"no answer to {oldest.message.name} in {self._timeout:g} s")
        else:
            self._watch = self._loop.call_at(oldest.deadline, self._check_deadline)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register at once (asyncio.Protocol)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(frame(self._registration.request("vpplb")))

    def data_received(self, data: bytes) -> None:
        """Take in answers (asyncio.Protocol)."""
        try:
            for message in self._frames.feed(data):
                if self.lost is None:
                    self._receive(message)
        except (BadFrame, BadMessage) as error:
            self.lose(f"this is not VPP's binary API: {error}")
        self._room.set()

    def _receive(self, message: bytes) -> None:
        if self._welcome.left:
            self._client, self._table = self._registration.accept(message)
            self._welcome.answer(0, {})
            return
        number = int.from_bytes(message[:2], "big")
        definition = self._catalogue.by_number.get(number)
        if definition is None:
            raise BadMessage(f"message {number} was not asked for")
        fields = definition.unpack(message)
        context = fields["context"]
        call = self._pending.get(context) if isinstance(context, int) else None
        if call is None or call.message.answer != definition.name:
            raise BadMessage(f"{definition.name} with context {context!r} answers no call")
        if call.details is not None:
            call.details.append(fields)
            call.deadline = self._loop.time() + self._timeout
            return
        del self._pending[fields["context"]]  # type: ignore[arg-type]  # it found `call` above
        answered = self._pending.pop(call.ends) if call.ends else call
        retval = fields.get("retval", 0)
        self._on_call(answered.message.name, retval if isinstance(retval, int) else 0)
        call.batch.answer(call.index, fields)

    def pause_writing(self) -> None:
        """Hold back: the socket is full (asyncio.Protocol)."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on (asyncio.Protocol)."""
        self._writable = True
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is pending (asyncio.Protocol)."""
        self.lose(f"VPP closed the connection{f': {exc}' if exc else ''}")

    async def leave(self) -> None:
        """Take leave of VPP and end the connection; waits LEAVE seconds at most, never raises.

        VPP quirk: clients that hang up. VPP must be told, or it keeps the socket for ever.
        """
        if self.lost is None:
            with suppress(LoadBalancerGone, TimeoutError):
                async with asyncio.timeout(LEAVE):
                    await self.call("sockclnt_delete", {"index": self._client})
        self.lose("closed")

    def lose(self, reason: str) -> None:
        """End the connection for this reason; only the first one counts. Never waits."""
        if self.lost is not None:
            return
        self.lost = reason
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._welcome.fail(reason)
        for call in self._pending.values():
            call.batch.fail(reason)
        self._pending.clear()
        self._out.clear()
        self._room.set()
