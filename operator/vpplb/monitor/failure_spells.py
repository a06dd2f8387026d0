"""Spells of failures: from when to when a VIP failed, as seen from outside.

A spell begins with the start of the first probe that failed, and ends with the start of the first
that passed after the last failure: no customer who came before or after it was hurt. Failures that
are less than `QUIET` apart are of one spell, so one server in four that fails is one spell too.
"""

from collections import deque
from dataclasses import dataclass

QUIET = 1.0
"""Seconds without a failure after which a spell is over."""
_KEPT = 4096  # starts of passed probes: those of a minute and more


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureSpell:
    """A spell of failures; times are of a steady clock, in seconds. `ended` None: it goes on.

    `kind` and `detail` are those of its first failure.
    """

    began: float
    ended: float | None
    failed: int
    kind: str
    detail: str

    def seconds_until(self, now: float) -> float:
        return (now if self.ended is None else self.ended) - self.began


class FailureSpells:
    """The spells of one VIP. Results may come in another order than their probes began.

    `news` has each spell when it begins and when it is over, until somebody takes it.
    """

    def __init__(self) -> None:
        self.count = 0
        self.longest = 0.0
        self.news: deque[FailureSpell] = deque(maxlen=1000)
        self._began = self._last = 0.0
        self._failed = 0  # 0: there is no spell at present
        self._first = ("", "")
        self._passes: deque[float] = deque(maxlen=_KEPT)

    def note_pass(self, started: float) -> None:
        self._passes.append(started)
        if self._failed and started > self._last + QUIET:
            self._end_spell()

    def note_failure(self, started: float, kind: str, detail: str) -> None:
        if self._failed and started > self._last + QUIET and self._find_end() is not None:
            self._end_spell()
        self._failed += 1
        if self._failed == 1:
            self.count += 1
            self._began = self._last = started
            self._first = (kind, detail)
            self.news.append(self._describe_spell(None))
        self._began = min(self._began, started)
        self._last = max(self._last, started)

    def find_present(self) -> FailureSpell | None:
        """Return the spell that is not over, if there is one."""
        return self._describe_spell(self._find_end()) if self._failed else None

    def longest_until(self, now: float) -> float:
        """Return the seconds of the longest spell, the present one as long as it is by now."""
        present = self.find_present()
        return max(self.longest, present.seconds_until(now) if present else 0.0)

    def end_run(self) -> None:
        """Count the present spell as over if anything has passed since its last failure."""
        if self._failed and self._find_end() is not None:
            self._end_spell()

    def _find_end(self) -> float | None:
        return min((each for each in self._passes if each > self._last), default=None)

    def _end_spell(self) -> None:
        ended = self._find_end()
        assert ended is not None
        spell = self._describe_spell(ended)
        self.longest = max(self.longest, spell.seconds_until(ended))
        self.news.append(spell)
        self._failed = 0

    def _describe_spell(self, ended: float | None) -> FailureSpell:
        kind, detail = self._first
        return FailureSpell(
            began=self._began, ended=ended, failed=self._failed, kind=kind, detail=detail
        )
