"""`DecisionOrder`: which of two decisions on a frontend is the newer one."""

from dataclasses import dataclass

LATEST = 2**53 - 1
"""Largest term and sequence: JSON's numbers are whole up to there."""
LATEST_BELIEVED = LATEST - 2**40
"""Latest term that is taken from a clock or an object, however wrong it is: so many can follow."""


@dataclass(frozen=True, slots=True, order=True)
class DecisionOrder:
    """A decision's place among all: the leader's term, then the count of that leader.

    Terms are microseconds since 1970, as the Lease's `acquireTime`. (0, 0) is the order of what a
    version decided that knew no order.
    """

    term: int = 0
    sequence: int = 0

    @property
    def is_known(self) -> bool:
        """Whether it was decided by a version that numbers its decisions."""
        return self.term > 0


UNORDERED = DecisionOrder()


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionMark:
    """What a node remembers of a decision over a restart: on which object, and which it was."""

    uid: str
    order: DecisionOrder
    revision: str = ""
