"""A tap in the line between an agent and its VPP: every message that the agent sends is noted.

It works with any VPP, simulated or real, and knows only the framing of the socket, the table of
message names that VPP sends at connect, and the layout of one message.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from lab.simulated_vpp import CHANGING

_HEADER = struct.Struct(">QII")
_CREATE_REPLY = struct.Struct(">HIIiIH")
_TABLE_ENTRY = struct.Struct(">H64s")
# lb_as_set_weight: id, client, context, prefix (family, address, length), protocol, port,
# server (family, address), weight, flush.
_SET_WEIGHT = struct.Struct(">HIIB16sBBHB16sB?")


@dataclass(frozen=True, slots=True)
class Call:
    """A message: its name without CRC, its bytes, and when it came by (`time.time()`)."""

    name: str
    body: bytes
    at: float

    @property
    def weight_set(self) -> tuple[str, int, bool] | None:
        """Return server, weight and whether its flows are flushed, for lb_as_set_weight."""
        if self.name != "lb_as_set_weight":
            return None
        fields = _SET_WEIGHT.unpack(self.body)
        family, address, weight, flush = fields[8:12]
        return str(ip_address(address if family else address[:4])), weight, flush


class VppTap:
    """Listens on `socket`, passes everything on to `vpp`, and keeps `calls`."""

    def __init__(self, path: Path, vpp: Path) -> None:
        self.path = path
        self.calls: list[Call] = []
        self._vpp = vpp
        self._listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def names(self, since: int = 0) -> list[str]:
        """Return the names of the calls from number `since` on, pings left out."""
        return [call.name for call in self.calls[since:] if call.name != "control_ping"]

    def changes(self, since: int = 0) -> list[Call]:
        """Return the calls from number `since` on that change something."""
        return [call for call in self.calls[since:] if call.name in CHANGING]

    def _accept(self) -> None:
        while True:
            try:
                agent, _ = self._listener.accept()
            except OSError:
                return
            vpp = socket.socket(socket.AF_UNIX)
            try:
                vpp.connect(str(self._vpp))
            except OSError:  # no VPP: the agent sees a connection that ends at once
                agent.close()
                vpp.close()
                continue
            line = _Line(self.calls)
            threading.Thread(target=_pump, args=(agent, vpp, line.sent), daemon=True).start()
            threading.Thread(target=_pump, args=(vpp, agent, line.answered), daemon=True).start()


class _Line:
    """One connection's message table."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = calls
        self._names: dict[int, str] = {}

    def answered(self, body: bytes) -> None:
        if self._names or int.from_bytes(body[:2]) != 16:  # sockclnt_create_reply is always 16
            return
        *_, count = _CREATE_REPLY.unpack_from(body)
        table = body[_CREATE_REPLY.size :][: count * _TABLE_ENTRY.size]
        for number, name in _TABLE_ENTRY.iter_unpack(table):
            self._names[number] = name.rstrip(b"\0").decode().rsplit("_", 1)[0]

    def sent(self, body: bytes) -> None:
        number = int.from_bytes(body[:2])
        name = self._names.get(number, "sockclnt_create" if number == 15 else f"message {number}")
        self._calls.append(Call(name, body, time.time()))


def _pump(source: socket.socket, target: socket.socket, note: Callable[[bytes], None]) -> None:
    """Pass on whole messages from `source` to `target` until either ends; then end both.

    Each of a line's two pumps closes its own source.
    """
    pending = b""
    with suppress(OSError):
        while data := source.recv(1 << 20):
            pending += data
            while len(pending) >= _HEADER.size:
                _, length, _ = _HEADER.unpack_from(pending)
                whole = _HEADER.size + length
                if len(pending) < whole:
                    break
                note(pending[_HEADER.size : whole])
                target.sendall(pending[:whole])
                pending = pending[whole:]
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()
