"""Answers about people that are kept: for a minute, and longer while the API server is away.

A scrape each 15 s then costs the API server a request or two a minute, and goes on while it is
away, which is when metrics are wanted most (kube-rbac-proxy#59). Who asks while it is away does not
wait for it each time.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from vpplb.kube.api_types import ApiError, ApiUnreachable

FRESH = 60.0
"""Seconds for which an answer is not asked for again."""
STALE = 600.0
"""Seconds for which it counts while none can be had."""
REST = 5.0
"""Seconds for which an API server that gave no answer is not asked."""
MOST_ANSWERS = 1024

T = TypeVar("T")


class NoAnswer(Exception):
    """There is no answer at present, and none that counts still; the text says why."""


class _Kept(NamedTuple, Generic[T]):
    answer: T
    at: float


@dataclass(slots=True)
class KeptAnswers(Generic[T]):
    """Answers by what was asked. `now` is in seconds of a clock that never goes back.

    An answer that is `passing` is not kept: so many can have it that they would push out all else.
    """

    passing: T | None = None
    now: Callable[[], float] = lambda: asyncio.get_running_loop().time()
    _kept: OrderedDict[Hashable, _Kept[T]] = field(default_factory=OrderedDict)
    _asking: dict[Hashable, asyncio.Future[T]] = field(default_factory=dict)
    _away_until: float = -math.inf
    _why: str = ""

    def recall_answer(self, asked: Hashable) -> T | None:
        """Return the answer that is kept, whether or not it is asked for again."""
        kept = self._kept.get(asked)
        return kept.answer if kept is not None and self.now() < kept.at + STALE else None

    async def get_answer(self, asked: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """Return the answer that is kept, or what `ask` gives (NoAnswer).

        Whoever asks for the same meanwhile waits for the same answer.
        """
        kept = self._kept.get(asked)
        if kept is not None and self.now() < kept.at + FRESH:
            return kept.answer
        if self.now() < self._away_until:
            return self._use_stale(kept, self._why)
        if asked not in self._asking:
            asking = asyncio.ensure_future(self._ask(asked, ask))
            asking.add_done_callback(_take_outcome)  # whoever asked may be gone
            self._asking[asked] = asking
        try:
            return await asyncio.shield(self._asking[asked])
        except ApiUnreachable as error:
            return self._use_stale(kept, str(error))

    async def _ask(self, asked: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            answer = await ask()
        except ApiUnreachable as error:
            self._note_away(str(error))
            raise
        except ApiError as error:
            # Any other failure is about who asks (429: he asks too often); others may go on.
            if error.status >= 500:
                self._note_away(f"status {error.status}")
            raise ApiUnreachable(str(error)) from error
        finally:
            del self._asking[asked]
        self._kept.pop(asked, None)
        if answer == self.passing:
            return answer
        self._kept[asked] = _Kept(answer, self.now())
        if len(self._kept) > MOST_ANSWERS:
            self._kept.popitem(last=False)
        return answer

    def _note_away(self, why: str) -> None:
        self._away_until, self._why = self.now() + REST, why

    def _use_stale(self, kept: "_Kept[T] | None", why: str) -> T:
        if kept is None or self.now() >= kept.at + STALE:
            raise NoAnswer(f"the API server cannot be asked at present: {why}")
        return kept.answer


def _take_outcome(asking: "asyncio.Future[T]") -> None:
    if not asking.cancelled():
        asking.exception()
