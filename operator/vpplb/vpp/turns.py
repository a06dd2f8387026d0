"""Changes that wait to be sent to one VPP, and the turn of them that is under way."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from vpplb.vpp.calls import Call
from vpplb.vpp.pacer import Pacer


class Turns:
    """Sends calls in turns, as `pacer` has it: urgent ones before others, else in order.

    `send` is given the calls of a turn, of `most` at most; first a call that `make_ping` made,
    whose answer says when VPP began.
    """

    def __init__(
        self, send: Callable[[Sequence[Call]], None], make_ping: Callable[[], Call], most: int
    ) -> None:
        self._send, self._make_ping, self._most = send, make_ping, most
        self._loop = asyncio.get_running_loop()
        self._pacer = Pacer(self._loop.time())
        self._urgent, self._bulk = deque[Call](), deque[Call]()
        self._turn: Sequence[Call] = ()
        self._ping: Call | None = None
        self._sent = self._begun = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, calls: Sequence[Call], *, urgent: bool) -> None:
        """Have these sent."""
        (self._urgent if urgent else self._bulk).extend(calls)
        self._begin()

    def answered(self, call: Call) -> None:
        """Take in that a call has been answered, whether of a turn or not."""
        if call is self._ping:
            self._begun = self._loop.time()
        elif self._turn and call is self._turn[-1]:
            now = self._loop.time()
            waited = self._begun - self._sent
            self._pacer.spent(now, now - self._begun, len(self._turn), waited)
            self._turn = ()
            self._begin()

    def fail(self, reason: str) -> None:
        """Send no more; fail what waits."""
        if self._timer is not None:
            self._timer.cancel()
        for lane in (self._urgent, self._bulk):
            for call in lane:
                call.batch.fail(reason)
            lane.clear()

    def _begin(self) -> None:
        """Begin a turn, unless one is under way, nothing waits, or VPP is to be left alone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lane = self._urgent or self._bulk
        if self._turn or not lane:
            return
        now, urgent = self._loop.time(), lane is self._urgent
        if (wait := self._pacer.wait(now, urgent=urgent)) > 0:
            self._timer = self._loop.call_later(wait, self._begin)
            return
        turn: list[Call] = []
        most = min(self._most, self._pacer.calls(now, urgent=urgent))
        while lane and len(turn) < most:
            call = lane.popleft()
            if not call.batch.done.done():  # else given up
                turn.append(call)
        if turn:
            self._turn, self._ping = turn, self._make_ping()
            self._sent = self._begun = now
            self._send([self._ping, *turn])
        else:
            self._begin()
