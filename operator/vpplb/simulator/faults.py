"""What can be made to go wrong with the answer to a message, and the list of what is to.

A fault is armed for messages of one name or of any, and for so many of them. Of those armed for a
message the one armed first strikes. All but `RefuseRequest` and `DIE` leave the message done in
VPP: what goes wrong is the answer.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from vpplb.simulator.messages import MESSAGES, REQUESTS


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayAnswer:
    """The answer comes later, and all that this client asks after it later still."""

    seconds: float

    def __post_init__(self) -> None:
        """TypeError or ValueError for what is no time."""
        if not 0 <= self.seconds < math.inf:
            raise ValueError(f"cannot wait {self.seconds} seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseRequest:
    """The message is not done, and answered with this retval. Dumps have none."""

    retval: int

    def __post_init__(self) -> None:
        """TypeError or ValueError for what is no refusal."""
        if not -(1 << 31) <= self.retval < 0:
            raise ValueError(f"a refusal has a retval below 0, not {self.retval}")


class PlainFault(StrEnum):
    """A fault that takes nothing more to say."""

    DROP = "drop"  # no answer comes
    LATE = "late"  # the answer comes after the next one: out of order
    WRONG_CONTEXT = "wrong-context"  # the answer has a context that the client never used
    WRONG_ID = "wrong-id"  # the answer has a message id that there is not
    OVERSIZE = "oversize"  # the answer's frame says that it is 4 GiB long
    CUT = "cut"  # half of the answer comes, then the connection is closed
    DIE = "die"  # VPP dies instead of doing it


Fault = DelayAnswer | RefuseRequest | PlainFault

BY_NAME: dict[str, type[DelayAnswer | RefuseRequest] | PlainFault] = {
    "delay": DelayAnswer,
    "drop": PlainFault.DROP,
    "refuse": RefuseRequest,
    **{one.value: one for one in PlainFault},
}


@dataclass(slots=True)
class _ArmedFault:
    fault: Fault
    message: str | None
    left: int | None


class FaultInjector:
    """The faults that are armed, in order."""

    def __init__(self) -> None:
        self._armed: list[_ArmedFault] = []

    def arm(self, fault: Fault, message: str | None = None, times: int | None = 1) -> None:
        """Have a fault strike the next `times` messages of a name; None: any message, always.

        ValueError when no client can send the message, or when the fault cannot strike it.
        """
        if message is not None and _message_kind(message) not in REQUESTS:
            raise ValueError(f"clients do not send {message}")
        if isinstance(fault, RefuseRequest) and (
            message is None or _message_kind(message) != "request"
        ):
            raise ValueError(f"no retval answers {message or 'every message'}")
        if times is not None and times < 1:
            raise ValueError(f"cannot strike {times} times")
        self._armed.append(_ArmedFault(fault, message, times))

    def disarm(self) -> None:
        self._armed.clear()

    def take_fault(self, message: str) -> Fault | None:
        """Return the fault that strikes a message that has come, if any."""
        for armed in self._armed:
            if armed.message in (None, message):
                if armed.left is not None:
                    armed.left -= 1
                    if not armed.left:
                        self._armed.remove(armed)
                return armed.fault
        return None


def _message_kind(message: str) -> str:
    known = MESSAGES.get(message)
    return known.kind if known else "unknown"
