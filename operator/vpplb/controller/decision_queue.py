"""Tells people of decisions once nodes have been told: logs and events take their time afterwards.

A line of the log costs as much as a decision. When a thousand servers die in one second, whoever
dies last must not wait for the lines of all that died before.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from vpplb.plan.decisions import Decisions

log = logging.getLogger(__name__)

QUIET = 0.05
"""Seconds without a decision after which those before are told."""
PATIENCE = 1.0
"""Seconds after which they are told in any case, one at a time."""


class DecisionQueue:
    """Hands decisions on to `consumers`, in order, behind the work that is more urgent."""

    def __init__(self, *consumers: Callable[[Decisions], None]) -> None:
        self._consumers = consumers
        self._waiting: deque[Decisions] = deque()
        self._news = asyncio.Event()
        self._first = self._last = 0.0

    def put_decisions(self, decisions: Decisions) -> None:
        self._last = asyncio.get_running_loop().time()
        if not self._waiting:
            self._first = self._last
        self._waiting.append(decisions)
        self._news.set()

    async def run(self) -> None:
        """Hand on until cancelled; what is left then is handed on at once."""
        clock = asyncio.get_running_loop().time
        try:
            while True:
                await self._news.wait()
                due = min(self._last + QUIET, self._first + PATIENCE)
                if (wait := due - clock()) > 0:
                    # One shorter than the clock tells apart would end before it began, for ever.
                    await asyncio.sleep(max(wait, 0.001))
                    continue
                self._hand_on_first()
                await asyncio.sleep(0)  # a verdict that has come meanwhile goes first
        finally:
            self.flush()

    def flush(self) -> None:
        """Hand on at once what waits."""
        while self._waiting:
            self._hand_on_first()

    def _hand_on_first(self) -> None:
        decisions = self._waiting.popleft()
        if not self._waiting:
            self._news.clear()
        for consume in self._consumers:
            try:
                consume(decisions)
            except Exception:  # a mistake in what is said is no reason to end
                log.exception("decisions are not announced")
