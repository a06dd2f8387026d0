"""What is known of VIPs, and what is to be done with them: the rows of the `VipBook`."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vpplb.model.names import ObjectKey
from vpplb.model.vip import Vip, VipId
from vpplb.plan.diff import Chain
from vpplb.plan.fitting import fitted, serves
from vpplb.plan.obstacles import Flushed


class Wanted(NamedTuple):
    """What one frontend wants. `revision` is another one whenever the rest is."""

    vip: VipId
    desired: Vip
    revision: str


class Claim(NamedTuple):
    """A frontend's want of a VIP. `rival` is who gets it, if that is another frontend."""

    key: ObjectKey
    wanted: Wanted
    rival: ObjectKey | None


@dataclass(slots=True, eq=False)
class Row:
    """All about one VIP: what it is, whose it is, who wants it, which flushes it has had."""

    vip: VipId
    shelf: "Shelf"
    have: Vip | None = None
    owner: ObjectKey | None = None
    flushed: Flushed | None = None
    wanted: dict[ObjectKey, Wanted] = field(default_factory=dict)
    adopting: bool = True
    """Whether it has been in service, and not as we said, for as long as the wish is tentative."""

    @property
    def winner(self) -> ObjectKey | None:
        """The frontend that gets the VIP: the last to want it."""
        return next(reversed(self.wanted), None)

    @property
    def wish(self) -> Vip | None:
        """What the VIP shall be for its winner, given what it is; None where nobody wants it."""
        winner = self.winner
        return None if winner is None else self.fit(self.wanted[winner].desired)

    def fit(self, desired: Vip) -> Vip:
        """Return what is wanted, given what the VIP is."""
        return fitted(desired, self.have, adopting=self.adopting)

    def consider(self, desired: Vip) -> None:
        """Note whether the VIP serves while `desired` is tentative, before anything is done."""
        self.adopting = not desired.tentative or (self.adopting and serves(self.have))

    @property
    def only_changes(self) -> bool:
        """Whether the VIP stays, whatever becomes of its servers."""
        wish = self.wish
        if wish is None:
            return self.owner is None
        return self.have is not None and self.have.settings == wish.settings

    def gives_way(self, frontends: Container[ObjectKey]) -> bool:
        """Whether the VIP would be made anew, or give way to another of a frontend."""
        wish = self.wish
        if self.have is None:
            return False
        return self.owner in frontends if wish is None else self.have.settings != wish.settings

    @property
    def blank(self) -> bool:
        """Whether there is nothing to know."""
        return self.have is None and self.owner is None and not self.wanted


@dataclass(slots=True, eq=False)
class Shelf:
    """The VIPs of one prefix."""

    rows: dict[VipId, Row] = field(default_factory=dict)

    @property
    def only_changes(self) -> bool:
        """Whether none of the VIPs is to be made, made anew or removed: servers and weights are."""
        return all(row.only_changes for row in self.rows.values())


class Work(NamedTuple):
    """A VIP in a round: what it shall be, and the calls for that, if there are any.

    `obstacle` says why it cannot be as its frontend wants it; `desired` is then the next best.
    """

    row: Row
    desired: Vip | None
    chain: Chain | None
    obstacle: str = ""


class Round(NamedTuple):
    """What is to be done on some shelves, and for what, as it was when it was planned."""

    works: Sequence[Work]
    claims: Sequence[Claim]
