"""What a probe over a connection is: bytes in, bytes out, and in the end a result.

A conversation owns no socket and no clock. Its driver (`stream_probe`) tells it what happened and
sends what it answers; the tests feed it byte by byte.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.probers.body_regexp import BodyRegexp


@dataclass(frozen=True, slots=True, kw_only=True)
class BodySearch:
    """A wish: search `body` (`Regexp.found_in`), and go on by telling `then` what came of it.

    Meanwhile the conversation can be told of what is received.
    """

    regexp: BodyRegexp
    body: bytes
    whole: bool
    then: "Callable[[bool], Step]"


Step = bytes | ProbeResult | BodySearch
"""What a conversation does next: send these bytes (none: wait), have a body searched, or end."""


class ProbeLayer(Enum):
    """How far a probe has come: what a timeout or a broken connection is called from here on."""

    CONNECT = (ProbeCode.L4TOUT, "no connection in time", ProbeCode.L4CON)
    TLS = (ProbeCode.L6TOUT, "no TLS handshake in time", ProbeCode.L6RSP)
    # The handshake is done, the server may still refuse a client without a certificate.
    JUDGED = (ProbeCode.L6OK, "TLS handshake done", ProbeCode.L6RSP)
    ANSWER = (ProbeCode.L7TOUT, "no complete answer in time", ProbeCode.L7RSP)

    def __init__(self, code: ProbeCode, detail: str, broken: ProbeCode) -> None:
        self.timeout = ProbeResult(code=code, detail=detail)
        self.broken = broken


class ProbeConversation(Protocol):
    """One probe over one connection. After a ProbeResult it is not called again.

    `parting` is what is still to be sent, at best, when it has ended.
    """

    layer: ProbeLayer
    parting: bytes

    def on_connected(self) -> Step:
        """Go on: the connection is established. Called once, first."""

    def on_data(self, data: bytes) -> Step:
        """Go on with these bytes; none means that the peer has closed its side."""


CONNECTED = ProbeResult(code=ProbeCode.L4OK, detail="connected")


class TcpConversation:
    """Ends as soon as it is connected: nothing is sent, nothing is read."""

    layer = ProbeLayer.CONNECT
    parting = b""
    __slots__ = ()

    def on_connected(self) -> Step:
        return CONNECTED

    def on_data(self, data: bytes) -> Step:
        """Never needed; passes too, for who is sent something is connected."""
        return CONNECTED


class RefusedConversation:
    """A probe whose result is known before it begins: its settings cannot be used."""

    layer = ProbeLayer.CONNECT
    parting = b""
    __slots__ = ("_result",)

    def __init__(self, result: ProbeResult) -> None:
        self._result = result

    def on_connected(self) -> Step:
        return self._result

    def on_data(self, data: bytes) -> Step:
        return self._result
