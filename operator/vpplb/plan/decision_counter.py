"""`DecisionCounter`: numbers a leader's decisions, so that each is newer than all before it."""

from vpplb.model.decision_order import LATEST, UNORDERED, DecisionOrder


class DecisionCounter:
    """Counts the decisions of one leader, on whichever frontend; `newest` is the last order given.

    The term is 0 until it leads.
    """

    def __init__(self) -> None:
        self.newest = UNORDERED

    @property
    def term(self) -> int:
        return self.newest.term

    def begin_term(self, term: int) -> None:
        self.newest = DecisionOrder(term, 0)

    def pass_order(self, other: DecisionOrder) -> None:
        """Go to a later term than that of a newer order, which somebody else has given."""
        if other > self.newest:
            self.newest = DecisionOrder(min(other.term + 1, LATEST), 0)

    def next_order(self) -> DecisionOrder:
        """Return the order of the next decision."""
        self.newest = DecisionOrder(self.newest.term, self.newest.sequence + 1)
        return self.newest
