"""The health counter of one backend: HAProxy's rise and fall, as a value and a step.

One integer h in [0, rise + fall - 1]; healthy when h >= rise (HAProxy, check.c,
`set_server_check_status`). A pass raises it, and from rise on it snaps to the top; a failure
lowers it, and below rise it snaps to 0. So `fall` consecutive failures take a healthy backend
down, `rise` consecutive passes bring it back, and one opposite result in between starts the
count again. While `fresh` (nothing seen yet) the first result decides alone; a counter that is
`resumed` from a verdict turns it as any other does.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCounter:
    """State of the counter. `fresh`: no result yet, `h` says nothing."""

    rise: int
    fall: int
    h: int = 0
    fresh: bool = True

    @classmethod
    def resume_verdict(cls, rise: int, fall: int, *, up: bool) -> "HealthCounter":
        """Return a counter that stands firmly at a verdict, as if it had never been away."""
        return cls(rise=rise, fall=fall, h=rise + fall - 1 if up else 0, fresh=False)

    @property
    def top(self) -> int:
        """Highest value of h."""
        return self.rise + self.fall - 1

    @property
    def is_healthy(self) -> bool:
        """The verdict; meaningless while fresh."""
        return self.h >= self.rise

    @property
    def is_settled(self) -> bool:
        """Whether h is at one of its ends, so that no change is under way."""
        return not self.fresh and self.h in (0, self.top)


def count_result(counter: HealthCounter, *, passed: bool) -> HealthCounter:
    """Count one result: h stays within [0, top], and the counter is fresh no more.

    A result that changes nothing, as almost all do, returns the counter itself.
    """
    top = counter.rise + counter.fall - 1
    if counter.fresh:
        h = top if passed else 0
    elif passed:
        h = top if counter.h + 1 >= counter.rise else counter.h + 1
    else:
        h = counter.h - 1 if counter.h - 1 >= counter.rise else 0
    if h == counter.h and not counter.fresh:
        return counter
    return replace(counter, h=h, fresh=False)
