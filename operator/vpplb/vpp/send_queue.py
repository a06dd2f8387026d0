"""Changes that wait to be sent to one VPP, and the burst of them that is under way."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vpplb.sync.ports import LoadBalancerGone
from vpplb.vpp.message_fields import Fields
from vpplb.vpp.messages import ApiMessage
from vpplb.vpp.pacing import CallPacer


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


class SendQueue:
    """Sends calls in bursts, as `pacing` has it: urgent ones before others, else in order.

    `send` is given the calls of a burst, of `most` at most; first a call that `make_ping` made,
    whose answer says when VPP began.
    """

    def __init__(
        self, send: Callable[[Sequence[ApiCall]], None], make_ping: Callable[[], ApiCall], most: int
    ) -> None:
        self._send, self._make_ping, self._most = send, make_ping, most
        self._loop = asyncio.get_running_loop()
        self._pacer = CallPacer()
        self._urgent, self._bulk = deque[ApiCall](), deque[ApiCall]()
        self._burst: Sequence[ApiCall] = ()
        self._ping: ApiCall | None = None
        self._sent = self._begun = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add_calls(self, calls: Sequence[ApiCall], *, urgent: bool) -> None:
        (self._urgent if urgent else self._bulk).extend(calls)
        self._start_burst()

    def on_answer(self, call: ApiCall) -> None:
        """Note that a call was answered, of the current burst or not."""
        if call is self._ping:
            self._begun = self._loop.time()
        elif self._burst and call is self._burst[-1]:
            now = self._loop.time()
            waited = self._begun - self._sent
            self._pacer.on_calls_done(now, now - self._begun, len(self._burst), waited)
            self._burst = ()
            self._start_burst()

    def fail_all(self, reason: str) -> None:
        """Fail all calls that wait, and send no more."""
        if self._timer is not None:
            self._timer.cancel()
        for lane in (self._urgent, self._bulk):
            for call in lane:
                call.batch.set_failure(reason)
            lane.clear()

    def _start_burst(self) -> None:
        """Send a burst, unless one is under way, nothing waits, or VPP needs a pause."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lane = self._urgent or self._bulk
        if self._burst or not lane:
            return
        now, urgent = self._loop.time(), lane is self._urgent
        if (wait := self._pacer.seconds_to_wait(now, urgent=urgent)) > 0:
            self._timer = self._loop.call_later(wait, self._start_burst)
            return
        burst: list[ApiCall] = []
        most = min(self._most, self._pacer.max_calls(now, urgent=urgent))
        while lane and len(burst) < most:
            call = lane.popleft()
            if not call.batch.done.done():  # else given up
                burst.append(call)
        if burst:
            self._burst, self._ping = burst, self._make_ping()
            self._sent = self._begun = now
            self._send([self._ping, *burst])
        else:
            self._start_burst()
