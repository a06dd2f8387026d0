"""Addresses that are no host's, which neither a VIP nor a server may have.

Each range is stated once: in Python here for files, and in CEL for the API server by
`resources.addresses`. A prefix is refused when all of it lies in a range. Loopback is judged apart
(`resources.allowances`): a flag may allow it, which the API server cannot know.
"""

from dataclasses import dataclass
from ipaddress import ip_network

from vpplb.model.vip import IPNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRange:
    """Networks, and what to say of an address in them."""

    networks: tuple[IPNetwork, ...]
    says: str

    def holds_prefix(self, prefix: IPNetwork) -> bool:
        return any(_is_within(prefix, network) for network in self.networks)


LOOPBACK = AddressRange(
    networks=(ip_network("127.0.0.0/8"),),
    says="must not be loopback: it never leaves a host (--allow-loopback allows it for trials)",
)
"""IPv6 has its loopback among those that VPP takes for IPv4: nothing allows it."""

NO_HOSTS = (
    AddressRange(
        networks=(ip_network("0.0.0.0/8"), ip_network("::/128")),
        says="must not be unspecified: it names no host",
    ),
    AddressRange(
        networks=(ip_network("224.0.0.0/4"), ip_network("ff00::/8")),
        says="must not be multicast: it names no one host",
    ),
    AddressRange(
        networks=(ip_network("255.255.255.255/32"),),
        says="must not be broadcast: it names no one host",
    ),
    AddressRange(
        networks=(ip_network("169.254.0.0/16"), ip_network("fe80::/10")),
        says="must not be link-local: nothing says on which of VPP's links",
    ),
)

# VPP quirk: low IPv6 prefixes. An address whose first 96 bits are 0 is one of IPv4 to VPP
# (ip46_address_is_ip4), whatever the length of the prefix: ::/64 reads back as 0.0.0.0/64, ::1
# as 0.0.0.1, and neither can be removed under its own name.
LOW = ip_network("::/96")
LOW_SAYS = "must not begin with 96 zero bits: VPP takes it for IPv4"


def is_low(prefix: IPNetwork) -> bool:
    """Whether VPP takes a prefix of IPv6 for one of IPv4."""
    return prefix.version == 6 and prefix.network_address in LOW


def require_unicast(prefix: IPNetwork) -> None:
    """Raise ValueError, with a sentence for people, when a prefix is no host's or no hosts'."""
    for one in NO_HOSTS:
        if one.holds_prefix(prefix):
            raise ValueError(one.says)
    if is_low(prefix):
        raise ValueError(LOW_SAYS)


def _is_within(inner: IPNetwork, outer: IPNetwork) -> bool:
    same = inner.version == outer.version and inner.prefixlen >= outer.prefixlen
    return same and inner.network_address in outer
