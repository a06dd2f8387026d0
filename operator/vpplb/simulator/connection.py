"""One client's end of the API socket: its messages are answered in order, but for faults."""

import asyncio
import logging
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from vpplb.simulator import wire
from vpplb.simulator.faults import (
    DelayAnswer,
    Fault,
    PlainFault,
    RefuseRequest,
)
from vpplb.simulator.message_handlers import AnswerMessage
from vpplb.simulator.messages import REQUESTS, ApiVersion
from vpplb.simulator.rows import VppAborted

if TYPE_CHECKING:
    from vpplb.simulator.server import VppSimulator

log = logging.getLogger(__name__)

_OUTPUT_AT_ONCE = 65536  # bytes that are gathered before they are written


class ClientConnection(asyncio.Protocol):
    """Answers one client, in the order of its messages."""

    def __init__(self, vpp: "VppSimulator") -> None:
        self.name = ""
        """The client's name, as it registered."""
        self._vpp = vpp
        self._index: int
        self._full = self._hung = self._ended = False
        self._delay: asyncio.TimerHandle | None = None
        self._input = bytearray()
        self._output = bytearray()
        self._late = b""
        self._transport: asyncio.Transport

    # --- the transport -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._index = self._vpp.clients.add_client(self)
        self.set_hung(self._vpp.hung)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._delay is not None:
            self._delay.cancel()
        if self._is_registered():
            self._vpp.on_client_end(self._index)

    def data_received(self, data: bytes) -> None:
        if self._is_registered():
            self._input += data
            self._answer_input()

    def _is_registered(self) -> bool:
        """Say whether VPP still knows this client; if it ought to, that is its death.

        VPP quirk: another client's index. `sockclnt_delete` frees that one's registration and
        closes the socket of who asked; VPP aborts when the other's is read.
        """
        if not self._ended and self._vpp.clients.find_client(self._index) is not self:
            log.critical("VPP aborts: a client has lost its registration")
            self._vpp.die()
            self.abort()
        return not self._ended

    def pause_writing(self) -> None:
        self._full = True
        self._go_on()

    def resume_writing(self) -> None:
        self._full = False
        self._go_on()

    def set_hung(self, hung: bool) -> None:
        """Stop to read from the client, or go on."""
        self._hung = hung
        self._go_on()

    @property
    def _is_held(self) -> bool:
        return self._full or self._hung or self._delay is not None or self._transport.is_closing()

    def _go_on(self) -> None:
        if self._transport.is_closing():
            return
        if self._is_held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
            self._answer_input()

    def _answer_input(self) -> None:
        """Answer the messages that have come, as long as the client takes the answers."""
        while not self._is_held and (message := wire.take_frame(self._input)) is not None:
            self._handle_message(message)
            if len(self._output) > _OUTPUT_AT_ONCE:
                self.flush()
        self.flush()

    def close(self) -> None:
        """Hang up after all output is sent; drop what still comes in."""
        self._ended = True
        self._vpp.clients.remove_client(self._index)
        self._transport.close()

    def abort(self) -> None:
        """Hang up at once, as the system does for a process that dies."""
        self._ended = True
        self._vpp.clients.remove_client(self._index)
        self._output.clear()
        self._transport.abort()

    # --- messages ----------------------------------------------------------------------------

    @property
    def _api_version(self) -> ApiVersion:
        return self._vpp.service.api_version

    def _handle_message(self, message: bytes) -> None:
        """Answer one message, or drop it with a line in the log as VPP does."""
        number = int.from_bytes(message[:2], "big")
        layout = wire.LAYOUTS.get(self._api_version.message_name(number) or "")
        if layout is None or layout.message.kind not in REQUESTS:
            log.warning("no handler for msg id %d", number)
            return
        name = layout.message.name
        try:
            fields = layout.unpack(message)
        except wire.MalformedMessage as error:
            log.warning("truncated message dropped: %s", error)
            return
        if name == "sockclnt_create":
            self._register_client(name, fields)
        elif (client := self._vpp.clients.find_client(fields["client_index"])) is None:
            log.warning("%s dropped: no client %#x", name, fields["client_index"])
        elif name == "sockclnt_delete":
            self._delete_client(name, fields)
        else:
            client.answer_message(name, fields)
            if client is not self:
                client.flush()

    def _register_client(self, name: str, fields: dict[str, Any]) -> None:
        table = self._api_version.message_table()
        self.name = fields["name"]
        self._vpp.record_call(name, _plain_fields(fields), 0)
        reply = {"response": 0, "index": self._index, "count": len(table), "message_table": table}
        answer = ("sockclnt_create_reply", {"client_index": 0, **reply})
        self._queue_answers(self._vpp.faults.take_fault(name), fields, [answer])

    def _delete_client(self, name: str, fields: dict[str, Any]) -> None:
        known = self._vpp.clients.find_client(fields["index"]) is not None
        response = 1 if known else -1
        self._vpp.record_call(name, _plain_fields(fields), response)
        answer = ("sockclnt_delete_reply", {"response": response})
        self._queue_answers(self._vpp.faults.take_fault(name), fields, [answer])
        if known:
            self._vpp.clients.remove_client(fields["index"])
            self.flush()
            self.close()

    def answer_message(self, name: str, fields: dict[str, Any]) -> None:
        """Do what a message asks, and answer it as the armed faults allow."""
        fault = self._vpp.faults.take_fault(name)
        match fault:
            case PlainFault.DIE:
                self._vpp.die()
                return
            case RefuseRequest(retval=refusal):
                reply = f"{name}_reply"
                blank = wire.LAYOUTS[reply].blank_fields()
                answers: Sequence[AnswerMessage] = [(reply, {**blank, "retval": refusal})]
            case _:
                try:
                    answers = self._vpp.answer_message(name, fields)
                except VppAborted as why:
                    log.critical("VPP aborts: %s", why)
                    self._vpp.record_call(name, _plain_fields(fields), None)
                    self._vpp.die()
                    return
        retval = answers[0][1].get("retval") if answers else None
        self._vpp.record_call(name, _plain_fields(fields), retval)
        self._queue_answers(fault, fields, answers)

    def _queue_answers(
        self, fault: Fault | None, fields: wire.WireFields, answers: Sequence[AnswerMessage]
    ) -> None:
        """Append the answers to the output, as the fault changes them."""
        context = fields["context"] ^ (0xFFFFFFFF if fault is PlainFault.WRONG_CONTEXT else 0)
        number = self._api_version.message_id
        frames = [
            wire.frame_message(wire.LAYOUTS[name].pack({**own, "context": context}, number(name)))
            for name, own in answers
        ]
        self._vpp.clients.on_replies([len(one) for one in frames])
        data = b"".join(frames)
        if fault is None or (data := self._spoil_answer(fault, data)):
            self._output += data + self._late
            self._late = b""

    def _spoil_answer(self, fault: Fault, data: bytes) -> bytes:
        """Return the bytes of `data` that the fault lets out at once."""
        match fault:
            case PlainFault.DROP:
                return b""
            case PlainFault.LATE:
                self._late += data
                return b""
            case DelayAnswer(seconds=seconds):
                self._delay_output(seconds, data)
                return b""
            case PlainFault.CUT:
                self._output += data[: len(data) // 2]
                self.flush()
                self.close()
                return b""
            case PlainFault.OVERSIZE if data:
                return data[:8] + b"\xff" * 4 + data[12:]
            case PlainFault.WRONG_ID if data:
                return data[:16] + b"\xff\xff" + data[18:]
            case _:
                return data

    def _delay_output(self, seconds: float, data: bytes) -> None:
        """Send `data` after a delay, and answer nothing until then."""
        loop = asyncio.get_running_loop()
        self._delay = loop.call_later(seconds, self._on_delay_over, data)
        self._go_on()

    def _on_delay_over(self, data: bytes) -> None:
        self._delay = None
        self._output += data
        self._go_on()

    def flush(self) -> None:
        if self._output:
            self._transport.write(bytes(self._output))
            self._output.clear()


def _plain_fields(fields: wire.WireFields) -> dict[str, Any]:
    """Return a message's own fields in JSON's types."""
    return {k: _plain_value(v) for k, v in fields.items() if k not in ("client_index", "context")}


def _plain_value(value: Any) -> Any:
    match value:
        case bool() | int() | str():
            return value
        case wire.WireAddress() | wire.WirePrefix() | IPv4Address() | IPv6Address():
            return str(value)
        case _:
            return list(value)
