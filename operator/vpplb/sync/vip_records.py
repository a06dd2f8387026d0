"""What is known of VIPs, and what is to be done with them: the records of `VipState`."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vpplb.model.names import ObjectKey
from vpplb.model.vip import Vip, VipId
from vpplb.plan.diff import CallChain
from vpplb.plan.fitting import fit_vip, is_serving
from vpplb.plan.obstacles import FlushEpochs


class WantedVip(NamedTuple):
    """What one frontend wants. `revision` is another one whenever the rest is."""

    vip: VipId
    desired: Vip
    revision: str


class VipRequest(NamedTuple):
    """A frontend wants a VIP. `rival` is who gets it, if that is another frontend."""

    key: ObjectKey
    wanted: WantedVip
    rival: ObjectKey | None


@dataclass(slots=True, eq=False)
class VipRecord:
    """All about one VIP: what it is, whose it is, who wants it, which flushes it has had."""

    vip: VipId
    group: "PrefixGroup"
    have: Vip | None = None
    owner: ObjectKey | None = None
    flushed: FlushEpochs | None = None
    wanted: dict[ObjectKey, WantedVip] = field(default_factory=dict)
    adopting: bool = True
    """Whether it serves, and not as we said, for as long as what is wanted is tentative."""

    @property
    def winner(self) -> ObjectKey | None:
        """The frontend that gets the VIP: the last to want it."""
        return next(reversed(self.wanted), None)

    @property
    def wanted_vip(self) -> Vip | None:
        """What the VIP shall be for its winner, given what it is; None where nobody wants it."""
        winner = self.winner
        return None if winner is None else self.fit_desired(self.wanted[winner].desired)

    def fit_desired(self, desired: Vip) -> Vip:
        return fit_vip(desired, self.have, adopting=self.adopting)

    def note_tentative(self, desired: Vip) -> None:
        """Note whether the VIP serves while `desired` is tentative, before anything is done."""
        self.adopting = not desired.tentative or (self.adopting and is_serving(self.have))

    @property
    def only_changes(self) -> bool:
        """Whether the VIP stays, whatever becomes of its servers."""
        want = self.wanted_vip
        if want is None:
            return self.owner is None
        return self.have is not None and self.have.settings == want.settings

    def gives_way(self, frontends: Container[ObjectKey]) -> bool:
        """Whether the VIP would be made anew, or give way to another of a frontend."""
        want = self.wanted_vip
        if self.have is None:
            return False
        return self.owner in frontends if want is None else self.have.settings != want.settings

    @property
    def is_blank(self) -> bool:
        return self.have is None and self.owner is None and not self.wanted


@dataclass(slots=True, eq=False)
class PrefixGroup:
    """The VIPs of one prefix."""

    records: dict[VipId, VipRecord] = field(default_factory=dict)

    @property
    def only_changes(self) -> bool:
        """Whether none of the VIPs is to be made, made anew or removed: servers and weights are."""
        return all(record.only_changes for record in self.records.values())


class VipChange(NamedTuple):
    """A VIP in a round: what it shall be, and the calls for that, if there are any.

    `obstacle` says why it cannot be as its frontend wants it; `desired` is then the next best.
    """

    record: VipRecord
    desired: Vip | None
    chain: CallChain | None
    obstacle: str = ""


class RoundPlan(NamedTuple):
    """What is to be done on some groups, and for what, as it was when it was planned."""

    changes: Sequence[VipChange]
    requests: Sequence[VipRequest]
