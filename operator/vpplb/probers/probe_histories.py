"""The last probes of the backends that somebody looks at.

A record of each probe of ten thousand backends would cost memory and time for nobody. So workers
record those of the backends that they are told to follow, which are those whose history was asked
for within the last minute (decision 49).
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey
from vpplb.reconcile.ports import ProbeHistory, ProbeRecord

LENGTH = 60
"""Probes of a backend that are kept."""
KEPT = 60.0
"""Seconds after the last question until a history ends."""
MOST = 1000
"""Backends that are followed at a time; others have no history meanwhile."""


@dataclass(slots=True)
class _FollowedBackend:
    since: datetime
    until: float
    records: deque[tuple[int, ProbeRecord]] = field(default_factory=lambda: deque(maxlen=LENGTH))


class ProbeHistories:
    """Histories by backend. `tell` is told whose there are, as often as that changes."""

    def __init__(
        self,
        tell: Callable[[frozenset[ObjectKey]], None],
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell, self._clock, self._monotonic = tell, clock, monotonic
        self._followed: dict[ObjectKey, _FollowedBackend] = {}
        self._numbers = count(1)

    @property
    def backends(self) -> frozenset[ObjectKey]:
        """Whose probes are recorded."""
        return frozenset(self._followed)

    def follow_backends(self, backends: Sequence[ObjectKey]) -> None:
        """Go on with the histories of these, or begin them."""
        before, now = len(self._followed), self._monotonic()
        for each in backends:
            found = self._followed.get(each)
            if found is not None:
                found.until = now + KEPT
            elif len(self._followed) < MOST:
                self._followed[each] = _FollowedBackend(self._clock.now(), now + KEPT)
        if len(self._followed) > before:
            self._tell(self.backends)

    def show_history(self, backend: ObjectKey, *, is_probed: bool) -> ProbeHistory:
        found = self._followed.get(backend)
        if found is None:
            return ProbeHistory(is_probed, None, ())
        return ProbeHistory(is_probed, found.since, tuple(found.records))

    def add_records(self, records: Iterable[ProbeRecord]) -> None:
        """Take in what workers recorded; of backends that are no longer followed it is dropped."""
        for each in records:
            found = self._followed.get(each.backend)
            if found is not None:
                found.records.append((next(self._numbers), each))

    def end_unasked(self) -> None:
        """End the histories for which nobody has asked for so long."""
        now = self._monotonic()
        ended = [key for key, found in self._followed.items() if found.until < now]
        for each in ended:
            del self._followed[each]
        if ended:
            self._tell(self.backends)
