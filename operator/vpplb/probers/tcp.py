"""The TCP probe: a connection is established, and that is all."""

from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.probers.conversation import ProbeLayer, Step

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
