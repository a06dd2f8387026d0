"""The TCP probe: a connection is established, and that is all."""

from vpplb.model.health import ProbeCode
from vpplb.probers.conversation import Finding, Layer, Step

CONNECTED = Finding(ProbeCode.L4OK, "connected")


class TcpConversation:
    """Ends as soon as it is connected: nothing is sent, nothing is read."""

    __slots__ = ("layer", "parting")

    def __init__(self) -> None:
        self.layer = Layer.CONNECT
        self.parting = b""

    def connected(self) -> Step:
        """Pass."""
        return CONNECTED

    def received(self, data: bytes) -> Step:
        """Never needed; passes too, for who is sent something is connected."""
        return CONNECTED


class Foregone:
    """A probe whose finding is known before it begins: its settings cannot be used."""

    __slots__ = ("_finding", "layer", "parting")

    def __init__(self, finding: Finding) -> None:
        self.layer = Layer.CONNECT
        self.parting = b""
        self._finding = finding

    def connected(self) -> Step:
        """Fail as was foreseen."""
        return self._finding

    def received(self, data: bytes) -> Step:
        """Fail as was foreseen."""
        return self._finding
