"""`TokenBucket`: so much at once, and so much a second in the long run."""

import math


class TokenBucket:
    """Fills by `rate` tokens a second, up to `size`, and is full at first.

    More may be taken than there is: a debt, of `most_debt` at most. `now` is in seconds of a clock
    that never goes back. With an infinite `size` there is always enough.

    (Libraries such as aiolimiter wait themselves, in the order in which they are asked. Here who
    waits is chosen when a token comes, and some need not wait; that takes no more than this.)
    """

    __slots__ = ("_at", "_left", "_most_debt", "_rate", "_size")

    def __init__(self, rate: float, size: float, *, most_debt: float = 0.0) -> None:
        self._rate, self._size, self._most_debt = rate, size, most_debt
        self._left, self._at = size, -math.inf

    def count_tokens(self, now: float) -> float:
        """Return how many tokens there are; a debt is below 0."""
        self._left = min(self._size, self._left + self._rate * (now - self._at))
        self._at = now
        return self._left

    def take_tokens(self, now: float, count: float = 1.0) -> None:
        self._left = max(self.count_tokens(now) - count, -self._most_debt)

    def seconds_until(self, now: float, count: float = 1.0) -> float:
        """Return in how many seconds there are so many tokens; 0 where there are."""
        return max(0.0, (count - self.count_tokens(now)) / self._rate)
