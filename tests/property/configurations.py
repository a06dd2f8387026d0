"""Configurations of a load balancer at random: every kind of VIP that VPP takes, few of each."""

from ipaddress import ip_address, ip_network
from typing import NamedTuple

from hypothesis import strategies as st

from vpplb.model.vip import Encap, IPNetwork, Protocol

PREFIXES = [ip_network("192.0.2.1/32"), ip_network("2001:db8::/64")]
PORTS = [(Protocol.TCP, 80), (Protocol.UDP, 53)]
ENCAPS = {
    4: [Encap.GRE4, Encap.GRE4, Encap.GRE6, Encap.L3DSR],
    6: [Encap.GRE4, Encap.GRE6, Encap.GRE6],
}
"""By the family of the VIP. A NAT VIP that is made anew is the death of VPP, whatever is called."""
SERVERS = {
    encap: [ip_address(f"{network}{n}") for n in (1, 2, 10)]
    for encap in Encap
    for network in ["fd00::" if encap is Encap.GRE6 else "10.0.0."]
}


Load = tuple[tuple[int | None, bool], ...]
"""By server: its weight (None: not there), and whether its flows are to be cut."""


class Wish(NamedTuple):
    """One VIP of a configuration."""

    port: tuple[Protocol, int]
    length: int
    sticky: bool
    load: Load


class Corner(NamedTuple):
    """All VIPs of one prefix: VPP wants one encapsulation, and all ports or single ones."""

    prefix: IPNetwork
    encap: Encap
    all_ports: bool
    wishes: tuple[Wish, ...]


def _all_ports(encap: Encap) -> st.SearchStrategy[bool]:
    """VPP does L3DSR for all ports only."""
    return st.just(True) if encap is Encap.L3DSR else st.booleans()


servers = st.tuples(st.sampled_from([None, 0, 0, 1, 50, 100]), st.booleans())
loads = st.tuples(*[servers] * len(SERVERS[Encap.GRE4]))
wishes = st.builds(
    Wish, st.sampled_from(PORTS), st.sampled_from([128, 128, 64]), st.booleans(), loads
)
wishes_of_one = st.lists(wishes, unique_by=lambda wish: wish.port, min_size=1, max_size=2).map(
    tuple
)
corners = st.one_of(
    [
        st.builds(Corner, st.just(prefix), st.just(encap), _all_ports(encap), wishes_of_one)
        for prefix in PREFIXES
        for encap in ENCAPS[prefix.version]
    ]
)
configurations = st.lists(corners, unique_by=lambda corner: corner.prefix, min_size=1, max_size=2)
refusals = st.one_of(st.just(frozenset[int]()), st.frozensets(st.integers(0, 9), max_size=3))
"""Numbers of the calls that VPP refuses."""
