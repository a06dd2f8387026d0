"""What a connection needs of its VPP."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from vpplb.simulator.faults import Faults
from vpplb.simulator.service import Answer, Service

if TYPE_CHECKING:
    from vpplb.simulator.connection import Connection


class Vpp(Protocol):
    """What a connection needs of its VPP."""

    service: Service
    faults: Faults
    hung: bool

    def answer(self, name: str, fields: dict[str, Any]) -> Sequence[Answer]:
        """Do what a message asks, and return the answers in order."""
        ...

    def replied(self, sizes: Sequence[int]) -> None:
        """Take in that replies of these sizes, in bytes, go out at once."""
        ...

    def record(self, name: str, args: dict[str, Any], retval: int | None) -> None:
        """Note a received message."""
        ...

    def admit(self, connection: "Connection") -> int:
        """Give a connection its client index."""
        ...

    def client(self, index: int) -> "Connection | None":
        """Return the connection of a client index."""
        ...

    def forget(self, index: int) -> None:
        """Free a client index: VPP hangs up on it."""
        ...

    def ended(self, index: int) -> None:
        """Take in that a client has hung up."""
        ...

    def die(self) -> None:
        """Die as a process does."""
        ...
