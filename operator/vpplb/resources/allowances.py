"""What a person has to ask for, since it is right for few and hurts others.

The API server cannot know what was asked for, so these rules are not in the CRDs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from vpplb.model.vip import Encap, IPNetwork
from vpplb.resources.addresses import LOOPBACK

_NAT = (Encap.NAT4, Encap.NAT6)
_NAT_SAYS = (
    "must not be NAT4 or NAT6: VPP (seen up to 26.10) forwards only UDP through them, answers from"
    " a wrong port, and aborts after some removals (--allow-nat allows it; see docs/router.md)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressAllowances:
    """What was asked for: loopback addresses of VIPs and servers, VIPs by NAT."""

    loopback: bool = False
    nat: bool = False

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
