"""What a person has to ask for, since it is right for few and hurts others.

The API server cannot know what was asked for, so these rules are not in the CRDs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING

from vpplb.model.vip import Encap, IPNetwork
from vpplb.resources.address_ranges import LOOPBACK

if TYPE_CHECKING:
    from vpplb.plan.probe_reach import ProbeReach

_NAT = (Encap.NAT4, Encap.NAT6)
_NAT_SAYS = (
    "must not be NAT4 or NAT6: VPP (seen up to 26.10) forwards only UDP through them, answers from"
    " a wrong port, and aborts after some removals (--allow-nat allows it; see docs/router.md)"
)

_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
# Where nobody's servers are, but what trusts whoever is near: link-local addresses, and those by
# which clouds tell a machine its credentials without being link-local.
_NEVER_SERVERS = (
    ip_network("169.254.0.0/16"),
    ip_network("fe80::/10"),
    ip_network("168.63.129.16/32"),  # Azure
    ip_network("100.100.100.200/32"),  # Alibaba
    ip_network("fd00:ec2::254/128"),  # AWS
    ip_network("fd20:ce::254/128"),  # Google
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressAllowances:
    """What was asked for: loopback addresses of VIPs and servers, VIPs by NAT.

    And where probes may go (`ProbeReach`), beyond what is denied by default.
    """

    loopback: bool = False
    nat: bool = False
    probe_allow: tuple[IPNetwork, ...] = ()
    probe_deny: tuple[IPNetwork, ...] = ()

    @property
    def reach(self) -> "ProbeReach":
        """Return where probes may go; what is denied by default can be allowed by its name."""
        from vpplb.plan.probe_reach import ProbeReach  # only those who probe need it

        default = (*_NEVER_SERVERS, *(() if self.loopback else _LOOPBACK))
        denied = (prefix for prefix in default if prefix not in self.probe_allow)
        return ProbeReach(allow=self.probe_allow, deny=(*self.probe_deny, *denied))

    def refuses_address(self, prefix: IPNetwork) -> Iterator[str]:
        """Say why the address of a VIP or of a server is not allowed."""
        if LOOPBACK.holds_prefix(prefix) and not self.loopback:
            yield LOOPBACK.says

    def refuses_encap(self, encap: Encap | None) -> Iterator[str]:
        """Say why an encapsulation is not allowed."""
        if encap in _NAT and not self.nat:
            yield _NAT_SAYS


NOTHING = AddressAllowances()
EVERYTHING = AddressAllowances(loopback=True, nat=True)
