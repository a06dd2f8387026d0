"""What keeps VIPs of one prefix from being made, before anything is taken away for them.

VPP has two rules on a prefix (lb.c, lb_vip_add): all VIPs have one encapsulation (else -73), and
a VIP of all ports is alone there (else -81). What is to be removed stands in nobody's way. What
stays does: VIPs of others, ours that remain as they are, and, since those cannot be replaced, ours
that would be. So the judgement is made anew until it changes no more.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from vpplb.model.vip import Encap, IPAddress, IPNetwork, StrangeVip, Vip, VipId, VipProtocol

FlushEpochs = Mapping[IPAddress, int]
"""The flush epochs last applied to a VIP's servers; one that is not in it has had none (0)."""


_NAT = (Encap.NAT4, Encap.NAT6)
# VPP quirk: NAT made anew. VPP aborts when such a VIP is removed one day (vpp/nat_guard.py).
_NAT_STAYS = (
    "VPP cannot make a NAT VIP anew: what it has stays as it was made; to change it, delete the"
    " Frontend, and create it again two minutes later"
)


def by_prefix(strange: Iterable[StrangeVip]) -> dict[IPNetwork, list[StrangeVip]]:
    """Return those that may be in the way of others, by the prefix on which they are."""
    found: dict[IPNetwork, list[StrangeVip]] = {}
    for one in strange:
        if one.prefix is not None:
            found.setdefault(one.prefix, []).append(one)
    return found


class VipCase(NamedTuple):
    """A VIP to be planned for: what it is, and what it shall be.

    `want` None removes it, unless it is `foreign`, which stays. `flushed` None: nothing is known
    of it. `heir` is what its frontend wants instead, and `heir_id` names that if it is on the
    same prefix.
    """

    vip: VipId
    have: Vip | None
    want: Vip | None
    flushed: FlushEpochs | None
    foreign: bool = False
    heir: Vip | None = None
    heir_id: VipId | None = None

    @property
    def is_made(self) -> bool:
        """Whether the VIP is to be made, also in place of another."""
        want, have = self.want, self.have
        return want is not None and (have is None or have.settings != want.settings)

    @property
    def nat_anew(self) -> bool:
        """Whether a VIP by NAT is to be made anew, by NAT again."""
        want, have = self.want, self.have
        by_nat = want is not None and have is not None and want.settings.encap in _NAT
        return by_nat and self.is_made and have is not None and have.settings.encap in _NAT


class _VipKind(NamedTuple):
    """What VPP's rules look at. `encap` None stands for one that no other equals."""

    all_ports: bool
    encap: Encap | None

    def find_exclusion(self, other: "_VipKind") -> str:
        """Say which rule forbids both on one prefix; empty when none does."""
        if self.encap is None:
            return "VPP cannot tell it from what is wanted"
        if self.all_ports or other.all_ports:
            return "a VIP of all ports is alone on its prefix"
        if self.encap is not other.encap:
            return f"all VIPs of a prefix have one encapsulation, here {self.encap}"
        return ""


def find_kind(vip: VipId, have: Vip) -> _VipKind:
    """Return what VPP's rules look at in a VIP."""
    return _VipKind(vip.protocol is VipProtocol.ANY, have.settings.encap)


def are_exclusive(vip: VipId, have: Vip, other: VipId, want: Vip) -> bool:
    """Say whether VPP takes only one of two VIPs of a prefix."""
    return bool(find_kind(vip, have).find_exclusion(find_kind(other, want)))


def find_obstacles(
    cases: Sequence[VipCase], strange: Sequence[StrangeVip] = ()
) -> Mapping[VipId, str]:
    """Say of those VIPs of a prefix that cannot be made what is in their way.

    Of several that exclude each other the first is made.
    """
    made = [case for case in cases if case.is_made]
    blocked = {case.vip: _NAT_STAYS for case in made if case.nat_anew}
    if not made or (len(cases) == 1 and not strange):
        return blocked
    staying = {_VipKind(one.all_ports, one.encap): f"{one.text}, not ours" for one in strange}
    for case in cases:
        if case.have is not None and not case.is_made and (case.foreign or case.want is not None):
            whose = ", not ours" if case.foreign else ""
            staying.setdefault(find_kind(case.vip, case.have), f"{case.vip}{whose}")
    news = dict(blocked)
    while True:
        for case in cases:
            if case.have is not None and (case.vip in news or case.heir_id in news):
                staying.setdefault(find_kind(case.vip, case.have), str(case.vip))
        news = _find_blocked(made, staying, blocked)
        if not news:
            return blocked
        blocked |= news


def _find_blocked(
    made: Iterable[VipCase], staying: Mapping[_VipKind, str], known: Mapping[VipId, str]
) -> dict[VipId, str]:
    """Say which VIPs more cannot be made, beside what stays and what is made before them."""
    there = dict(staying)
    found: dict[VipId, str] = {}
    for case in made:
        if case.vip in known or case.want is None:
            continue
        mine = find_kind(case.vip, case.want)
        reasons = ((text, one.find_exclusion(mine)) for one, text in there.items())
        text, rule = next(((text, rule) for text, rule in reasons if rule), ("", ""))
        if rule:
            kept = "; what VPP has stays as it was made" if case.have else ""
            found[case.vip] = f"VPP has {text}: {rule}{kept}"
        else:
            there.setdefault(mine, str(case.vip))
    return found


def keep_settings(vip: VipId, have: Vip, want: Vip) -> Vip | None:
    """Return a VIP that has to stay as it was made, with the servers that are wanted now.

    None where it must be left alone: its encapsulation is for servers of the other family, or it
    could not have a server at all. VPP quirk: servers of all-port NAT VIPs. VPP dies of the first.
    """
    encap = have.settings.encap
    if vip.protocol is VipProtocol.ANY and encap in _NAT:
        return None
    version = 6 if encap in (Encap.GRE6, Encap.NAT6) else 4
    if any(address.version != version for address in want.servers):
        return None
    return Vip(settings=have.settings, servers=want.servers)
