"""A connection to VPP's binary API: pipelined calls over asyncio, no thread, no hang.

VPP answers in order. Changes are sent in bursts, so that VPP has time for its packets (`pacing`);
what only reads is sent at once. Each call has a deadline from then on. Whatever goes wrong (end of
stream, a frame that cannot be, an answer to nothing, more than can be true, silence) ends the
connection: every call then fails with LoadBalancerGone, and the only remedy is a new connection.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from vpplb.sync.ports import LoadBalancerGone, LoadBalancerUnsuitable
from vpplb.vpp import messages
from vpplb.vpp.framing import BadFrame, FrameReader, frame_message
from vpplb.vpp.message_fields import Fields
from vpplb.vpp.messages import BadMessage, ClientRegistration, MessageCatalogue
from vpplb.vpp.pacing import MOST_CALLS
from vpplb.vpp.send_queue import ApiCall, CallBatch, SendQueue

Request = tuple[str, Fields]
CallHook = Callable[[str, int], None]
"""Called for each answered request with its name and VPP's retval (0 for a dump)."""

TIMEOUT = 5.0
"""Seconds within which VPP has to answer a call; connecting takes no longer either."""
DUMP_TIMEOUT = 6
"""Timeouts that a dump may take as long as details keep coming."""
MOST_DETAILS = 100_000
"""Details of a dump: beyond what VPP can serve as it is meant to, below what hurts us."""
LEAVE = 1.0
"""Seconds that taking leave may last."""
NAME = "vpplb"
"""As what every client of ours registers."""
_FILLS = 200
"""Details on end after which VPP's socket may have been full (200 servers are safe, 300 not)."""
_BYTES = 512
"""Bytes of a long answer that take as much room as a detail."""
_FAIL: Fields = {"cmd": b"exec /dev/null/vpplb-resets-errno"}
"""A CLI command that fails at a system call, as no such file can be."""


async def open_connection(
    path: Path,
    *,
    on_call: CallHook,
    timeout: float = TIMEOUT,
    most: int = MOST_CALLS,
) -> "ApiConnection":
    """Connect to the API socket, register, and check that VPP has all that is needed.

    At most so many changes are under way at a time.

    LoadBalancerGone when there is no VPP or it does not answer, LoadBalancerUnsuitable when it
    lacks a message.
    """
    loop = asyncio.get_running_loop()
    connection = ApiConnection(timeout=timeout, most=most, on_call=on_call)
    try:
        async with asyncio.timeout(timeout):
            await loop.create_unix_connection(lambda: connection, str(path))
            await connection.wait_registered()
    except TimeoutError as error:
        connection.abort("closed")
        raise LoadBalancerGone(f"{path}: VPP does not answer in {timeout:g} s") from error
    except OSError as error:
        raise LoadBalancerGone(f"{path}: {error.strerror or error}") from error
    except BaseException:
        connection.abort("closed")
        raise
    return connection


class ApiConnection(asyncio.Protocol):
    """One registered client of one VPP; made by `open_connection`."""

    def __init__(self, *, timeout: float, most: int, on_call: CallHook) -> None:
        self.lost: str | None = None
        self._timeout, self._on_call = timeout, on_call
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._frames = FrameReader()
        self._registration = ClientRegistration()
        self._welcome = CallBatch(1)
        self._table: dict[str, int] = {}
        self._catalogue = MessageCatalogue({})
        self._client = 0
        self._context = self._answer_size = 0
        self._pending: dict[int, ApiCall] = {}
        self._queue = SendQueue(
            self._send_calls, lambda: self._make_call("control_ping", {}, quiet=True), most
        )
        self._watch: asyncio.TimerHandle | None = None

    async def wait_registered(self) -> None:
        """Wait for the registration, and check that VPP has our messages.

        LoadBalancerGone, LoadBalancerUnsuitable.
        """
        await self._welcome.done
        if lacking := messages.missing_messages(self._table):
            raise LoadBalancerUnsuitable(
                f"VPP lacks {', '.join(lacking)}: VPP 26.10 or newer (lb API 1.2) with the lb "
                "plugin is needed"
            )
        self._catalogue = messages.build_catalogue(self._table)
        await self._reset_errno().done

    async def call(self, name: str, fields: Fields) -> Fields:
        """Send one request at once; return its answer. LoadBalancerGone when there is none."""
        call = self._make_call(name, fields)
        self._send_calls([call])
        return (await call.batch.done)[0]

    async def call_many(
        self, requests: Sequence[Request], *, urgent: bool = False
    ) -> Sequence[Fields]:
        """Send requests in order, as VPP can take them; return their answers in that order.

        Urgent ones go before all others that wait.
        """
        self._check_alive()
        if not requests:
            return []
        batch = CallBatch(len(requests))
        calls = [
            self._make_call(name, fields, batch, index)
            for index, (name, fields) in enumerate(requests)
        ]
        self._queue.add_calls(calls, urgent=urgent)
        return await batch.done

    async def dump(self, name: str, fields: Fields) -> Sequence[Fields]:
        """Send a `…_dump` request at once; return all of its details, in VPP's order."""
        details = list[Fields]()
        dump = self._make_call(name, fields)
        dump.details = details
        dump.latest = self._loop.time() + DUMP_TIMEOUT * self._timeout
        ping = self._make_call("control_ping", {}, dump.batch)
        ping.ends = dump.context
        self._send_calls([dump, ping])
        await dump.batch.done
        return details

    def _check_alive(self) -> None:
        if self.lost is not None:
            raise LoadBalancerGone(self.lost)

    def _make_call(
        self,
        name: str,
        fields: Fields,
        batch: CallBatch | None = None,
        index: int = 0,
        *,
        quiet: bool = False,
    ) -> ApiCall:
        """Pack a request (ValueError and struct.error where its fields do not fit)."""
        message = self._catalogue.by_name[name]
        context = self._context = self._context % 0xFFFFFFFF + 1
        packed = frame_message(message.pack(self._client, context, fields))
        return ApiCall(
            message=message,
            context=context,
            packed=packed,
            batch=batch or CallBatch(1),
            index=index,
            quiet=quiet,
        )

    def _send_calls(self, calls: Sequence[ApiCall]) -> None:
        """Send calls at once, and start their deadline (LoadBalancerGone)."""
        self._check_alive()
        assert self._transport is not None
        deadline = self._loop.time() + self._timeout
        for call in calls:
            call.deadline = deadline
            self._pending[call.context] = call
        if self._watch is None:
            self._watch = self._loop.call_at(deadline, self._check_deadline)
        self._transport.write(b"".join(call.packed for call in calls))

    def _check_deadline(self) -> None:
        """End the connection when the oldest call is overdue; answers come in order."""
        self._watch = None
        oldest = next(iter(self._pending.values()), None)
        if oldest is None:
            return
        if oldest.deadline <= self._loop.time():
            what, seconds = "answer to", self._timeout
            if oldest.details and oldest.deadline == oldest.latest:
                what, seconds = "end of", DUMP_TIMEOUT * self._timeout
            self.abort(f"no {what} {oldest.message.name} in {seconds:g} s")
        else:
            self._watch = self._loop.call_at(oldest.deadline, self._check_deadline)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(frame_message(self._registration.pack_request(NAME)))

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._frames.read_messages(data):
                if self.lost is None:
                    self._receive_message(message)
        except (BadFrame, BadMessage) as error:
            self.abort(f"this is not VPP's binary API: {error}")
        if not self._pending and self.lost is None:
            if self._answer_size > _FILLS:
                self._reset_errno()
            self._answer_size = 0

    def _reset_errno(self) -> CallBatch:
        """Have a system call of VPP's fail.

        VPP quirk: clients that hang up. Answers that filled the socket, to whomever, have left an
        errno with which VPP does not notice the end of a client that is killed.
        """
        call = self._make_call("cli_inband", _FAIL, quiet=True)
        self._send_calls([call])
        return call.batch

    def _receive_message(self, message: bytes) -> None:
        if self._welcome.left:
            self._client, self._table = self._registration.unpack_reply(message)
            self._welcome.set_answer(0, {})
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
            if len(call.details) == MOST_DETAILS:
                raise BadMessage(f"{call.message.name} with over {MOST_DETAILS} details")
            call.details.append(fields)
            self._answer_size += 1
            call.deadline = min(self._loop.time() + self._timeout, call.latest)
            return
        self._answer_size += len(message) // _BYTES
        del self._pending[call.context]
        answered = self._pending.pop(call.ends) if call.ends else call
        retval = fields.get("retval", 0)
        if not call.quiet:
            self._on_call(answered.message.name, retval if isinstance(retval, int) else 0)
        call.batch.set_answer(call.index, fields)
        self._queue.on_answer(call)

    def connection_lost(self, exc: Exception | None) -> None:
        self.abort(f"VPP closed the connection{f': {exc}' if exc else ''}")

    async def close(self) -> None:
        """Take leave of VPP and end the connection; waits LEAVE seconds at most, never raises.

        VPP quirk: clients that hang up. VPP should be told, or it may keep the socket for ever.
        VPP quirk: another client's index. It is the death of VPP, so this is ours and no other.
        """
        if self.lost is None:
            with suppress(LoadBalancerGone, TimeoutError):
                async with asyncio.timeout(LEAVE):
                    await self.call("sockclnt_delete", {"index": self._client})
        self.abort("closed")

    def abort(self, reason: str) -> None:
        """End the connection at once; only the first `reason` counts."""
        if self.lost is not None:
            return
        self.lost = reason
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._welcome.set_failure(reason)
        for call in self._pending.values():
            call.batch.set_failure(reason)
        self._pending.clear()
        self._queue.fail_all(reason)
