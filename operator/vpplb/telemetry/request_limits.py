"""How often somebody may fail to sign in, and act: by whom it is, in all, and in bounded memory."""

from collections import OrderedDict
from dataclasses import dataclass, field

from vpplb.model.token_bucket import TokenBucket

MOST_NAMES = 1024
"""Peers and persons that are remembered; a new one pushes out whoever was away longest."""


@dataclass(slots=True, kw_only=True)
class NamedLimits:
    """`rate` a second and `burst` at once for each name; the same of all by `all_rate`."""

    rate: float
    burst: float
    all_rate: float
    all_burst: float
    _named: OrderedDict[str, TokenBucket] = field(default_factory=OrderedDict)
    _all: TokenBucket = field(init=False)

    def __post_init__(self) -> None:
        self._all = TokenBucket(self.all_rate, self.all_burst)

    def seconds_until(self, name: str, now: float) -> float:
        """Return in how many seconds this one may again; 0: now."""
        return max(
            self._find_bucket(name).seconds_until(now),
            self._all.seconds_until(now),
        )

    def take_turn(self, name: str, now: float) -> None:
        """Count one against the name, and against all."""
        self._find_bucket(name).take_tokens(now)
        self._all.take_tokens(now)

    def give_back(self, name: str, now: float) -> None:
        """Count one less: it was none of what is limited."""
        self._find_bucket(name).take_tokens(now, -1.0)
        self._all.take_tokens(now, -1.0)

    def _find_bucket(self, name: str) -> TokenBucket:
        bucket = self._named.pop(name, None) or TokenBucket(self.rate, self.burst)
        self._named[name] = bucket
        if len(self._named) > MOST_NAMES:
            self._named.popitem(last=False)
        return bucket
