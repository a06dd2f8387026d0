"""VIPs and application servers as VPP has them: one type for what is desired and observed."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from types import MappingProxyType
from typing import NamedTuple

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


class VipProtocol(StrEnum):
    """Protocol of a VIP; ANY stands for all protocols and all ports (VPP's 255/0)."""

    TCP = "TCP"
    UDP = "UDP"
    ANY = "Any"


class Encap(StrEnum):
    """How VPP carries packets to the servers (lb_types.api, lb_encap_type)."""

    GRE4 = "GRE4"
    GRE6 = "GRE6"
    L3DSR = "L3DSR"
    NAT4 = "NAT4"
    NAT6 = "NAT6"


class VipId(NamedTuple):
    """What names a VIP in VPP. `port` is 0 exactly when the protocol is ANY."""

    prefix: IPNetwork
    protocol: VipProtocol
    port: int

    def __str__(self) -> str:
        if self.protocol is VipProtocol.ANY:
            return f"{self.prefix} any"
        return f"{self.prefix} {self.protocol.value.lower()}/{self.port}"

    @classmethod
    def parse_text(cls, text: str) -> "VipId":
        """Read what `str` gives, such as `192.0.2.10/32 tcp/80`; ValueError for anything else."""
        prefix, _, rest = text.partition(" ")
        protocol, _, port = rest.partition("/")
        any_port = rest == "any"
        read = cls(
            ip_network(prefix),
            VipProtocol.ANY if any_port else VipProtocol(protocol.upper()),
            0 if any_port else int(port),
        )
        if str(read) != text or not 0 <= read.port <= 65535:
            raise ValueError(f"not a VIP such as 192.0.2.10/32 tcp/80: {text!r}")
        return read

    @property
    def sort_key(self) -> tuple[int, int, int, str, int]:
        """IPv4 before IPv6, then numeric."""
        net = self.prefix
        return (
            net.version,
            int(net.network_address),
            net.prefixlen,
            self.protocol.value,
            self.port,
        )


def address_order(address: IPAddress) -> tuple[int, int]:
    """Sort key of server addresses: IPv4 before IPv6, then numeric."""
    return (address.version, int(address))


@dataclass(frozen=True, slots=True, kw_only=True)
class VipSettings:
    """What of a VIP cannot be changed in VPP: another value means another VIP.

    `dscp` is 0 but with L3DSR, `target_port` 0 but with NAT. `table_length` is the number
    of buckets of the table of new flows, a power of two from 1 to 65536.
    """

    encap: Encap
    dscp: int = 0
    target_port: int = 0
    src_ip_sticky: bool = False
    table_length: int = 1024


class AppServer(NamedTuple):
    """An application server of a VIP. A tuple: there are so many that their making counts.

    `weight` is 0 to 100: its entries in the table of new flows. `flush_epoch` grows each time
    its flows are to be cut; as observed, it is 0, or the one that is known to be applied.
    `buckets` is its true share of the table (observed side only). `undecided`: not known to be
    up or down (desired side only); see `Vip.tentative`.
    """

    weight: int
    flush_epoch: int = 0
    buckets: int | None = None
    undecided: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vip:
    """A VIP with its servers, in `address_order`.

    What is desired may leave something to what VPP has (`plan.fitting`). `tentative`: a VIP that
    serves keeps its servers, and those that are undecided their weights. `any_length`: a VIP that
    is there keeps its table length.

    They are put in order here, unless they come as a `MappingProxyType`: then they are taken as
    they are, as those of another VIP, or those that `plan.desired` ordered once and for all.
    """

    settings: VipSettings
    servers: Mapping[IPAddress, AppServer]
    tentative: bool = False
    any_length: bool = False

    def __post_init__(self) -> None:
        """Put the servers in order, whatever order they came in."""
        if isinstance(self.servers, MappingProxyType):  # whoever gives a proxy has put it in order
            return
        ordered = sorted(self.servers.items(), key=lambda item: address_order(item[0]))
        object.__setattr__(self, "servers", MappingProxyType(dict(ordered)))

    def __hash__(self) -> int:
        return hash((self.settings, tuple(self.servers.items())))

    def replace_weights(self, weights: Mapping[IPAddress, int]) -> "Vip":
        """Return the VIP as it is with these weights; servers that it does not have stay away.

        Cheaper than a new VIP: a failover does this to every VIP there is.
        """
        servers = self.servers
        assert isinstance(servers, MappingProxyType)
        new = {a: AppServer(weight=weight) for a, weight in weights.items() if a in servers}
        return Vip(settings=self.settings, servers=MappingProxyType(servers | new))


VipTable = Mapping[VipId, Vip]
"""All VIPs of a VPP, wanted or found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrangeVip:
    """A VIP found in VPP that no frontend can have, or that cannot be read back as it is.

    It is only ever left alone. `text` names it for people. `prefix` is the one on which it
    stands in the way of others, None for none; `encap` None says that it excludes all others
    there.
    """

    text: str
    prefix: IPNetwork | None = None
    all_ports: bool = False
    encap: Encap | None = None


_UNSET_IPV4 = IPv4Address("255.255.255.255")
_UNSET_IPV6 = IPv6Address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")


@dataclass(frozen=True, slots=True, kw_only=True)
class LbConf:
    """Settings of the whole plugin (`lb_conf`). VPP's own defaults are the defaults here.

    `flow_timeout` is in seconds; `sticky_buckets_per_core` is a power of two.
    """

    ipv4_source: IPv4Address = _UNSET_IPV4
    ipv6_source: IPv6Address = _UNSET_IPV6
    sticky_buckets_per_core: int = 1024
    flow_timeout: int = 40
