"""A connection to VPP's binary API: pipelined calls over asyncio, no thread, no hang.

VPP answers in order; calls are sent without waiting for answers, up to `window` at a time and no
faster than the socket takes them. Each has a deadline. Whatever goes wrong (end of stream, a
frame that cannot be, an answer to nothing, silence) ends the connection: every pending call then
fails with LoadBalancerGone, and the only remedy is a new connection.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from vpplb.engine.ports import LoadBalancerGone, LoadBalancerUnsuitable
from vpplb.vpp import messages
from vpplb.vpp.calls import Batch, Call
from vpplb.vpp.framing import BadFrame, FrameReader, frame
from vpplb.vpp.messages import BadMessage, Catalogue, Fields, Registration

Request = tuple[str, Fields]
CallHook = Callable[[str, int], None]
"""Called for each answered request with its name and VPP's retval (0 for a dump)."""

TIMEOUT = 5.0
"""Seconds within which VPP has to answer a call; connecting takes no longer either."""
WINDOW = 256
"""Calls under way at most: enough to keep VPP busy, few enough that a deadline means something."""
LEAVE = 1.0
"""Seconds that taking leave may last."""
NAME = "vpplb"
"""As what every client of ours registers."""
_FILLS = 200
"""Answers on end after which VPP's socket may have been full (200 servers are safe, 300 not)."""
_BYTES = 512
"""Bytes of an answer that take as much room as a short one."""
_FAIL: Fields = {"cmd": b"exec /dev/null/vpplb-resets-errno"}
"""A CLI command that fails at a system call, as no such file can be."""
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


class Connection(asyncio.Protocol):
    """One registered client of one VPP; made by `connect`."""

    def __init__(self, *, timeout: float, window: int, on_call: CallHook) -> None:
        self.lost: str | None = None
        self._timeout, self._window, self._on_call = timeout, window, on_call
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._frames = FrameReader()
        self._registration = Registration()
        self._welcome = Batch(1)
        self._resetting: Batch | None = None
        self._table: dict[str, int] = {}
        self._catalogue = Catalogue({})
        self._client = 0
        self._context = self._burst = 0
        self._pending: dict[int, Call] = {}
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
        await self._reset_errno().done

    async def call(self, name: str, fields: Fields) -> Fields:
        """Send one request; return its answer. LoadBalancerGone when there is none."""
        return (await self.call_many([(name, fields)]))[0]

    async def call_many(self, requests: Sequence[Request]) -> Sequence[Fields]:
        """Send requests in order, pipelined; return their answers in that order."""
        if not requests:
            return []
        batch = Batch(len(requests))
        for index, (name, fields) in enumerate(requests):
            if not self._has_room():
                await self._wait_for_room()
            self._send(name, fields, batch, index)
        self._flush()
        return await batch.done

    async def dump(self, name: str, fields: Fields) -> Sequence[Fields]:
        """Send a `…_dump` request; return all of its details, in VPP's order."""
        await self._wait_for_room()
        batch, details = Batch(1), list[Fields]()
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
        batch: Batch,
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
        self._pending[context] = Call(message, deadline, batch, index, details, ends)
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
        transport.write(frame(self._registration.request(NAME)))

    def data_received(self, data: bytes) -> None:
        """Take in answers (asyncio.Protocol)."""
        try:
            for message in self._frames.feed(data):
                if self.lost is None:
                    self._receive(message)
        except (BadFrame, BadMessage) as error:
            self.lose(f"this is not VPP's binary API: {error}")
        if not self._pending:
            if self._burst > _FILLS:
                self._reset_errno()
            self._burst = 0
        self._room.set()

    def _reset_errno(self) -> Batch:
        """Have a system call of VPP's fail.

        VPP quirk: clients that hang up. Answers that filled the socket, to whomever, have left an
        errno with which VPP does not notice the end of a client that is killed.
        """
        self._resetting = Batch(1)
        self._send("cli_inband", _FAIL, self._resetting)
        self._flush()
        return self._resetting

    def _receive(self, message: bytes) -> None:
        if self._welcome.left:
            self._client, self._table = self._registration.accept(message)
            self._welcome.answer(0, {})
            return
        self._burst += 1 + len(message) // _BYTES
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
        if call.batch is not self._resetting:
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

        VPP quirk: clients that hang up. VPP should be told, or it may keep the socket for ever.
        VPP quirk: another client's index. It is the death of VPP, so this is ours and no other.
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
