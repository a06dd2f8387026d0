"""What is under way on a connection: calls, and who waits for their answers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from vpplb.sync.ports import LoadBalancerGone
from vpplb.vpp.messages import ApiMessage, Fields


class CallBatch:
    """Calls whose answers are awaited together, in the order of the requests."""

    __slots__ = ("answers", "done", "left")

    def __init__(self, size: int) -> None:
        self.answers: list[Fields] = [{}] * size
        self.left = size
        self.done: asyncio.Future[Sequence[Fields]] = asyncio.get_running_loop().create_future()

    def set_answer(self, index: int, fields: Fields) -> None:
        """Set the answer of one call; the last one ends the wait."""
        self.answers[index] = fields
        self.left -= 1
        if self.left == 0 and not self.done.done():
            self.done.set_result(self.answers)

    def set_failure(self, reason: str) -> None:
        """Have the wait raise LoadBalancerGone, unless all is answered."""
        if not self.done.done():
            self.done.set_exception(LoadBalancerGone(reason))
            self.done.exception()  # seen: if nobody waits any more, that is no mistake


@dataclass(slots=True, kw_only=True, eq=False)
class ApiCall:
    """A request, packed to be sent. `deadline`, by the loop's time, is set when it is.

    A dump has its `details`, and `latest`, beyond which they do not put off the deadline; the ping
    sent after it `ends` it (the dump's context). A `quiet` one is our own, and counted by nobody.
    """

    message: ApiMessage
    context: int
    packed: bytes
    batch: CallBatch
    index: int = 0
    deadline: float = 0.0
    latest: float = 0.0
    details: list[Fields] | None = None
    ends: int = 0
    quiet: bool = False
