"""Which addresses probes may go to, by prefix.

Whoever may write Backends and HealthChecks has the prober send requests to addresses of his choice,
from where the prober stands. So an administrator can say where that may be.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from vpplb.model.names import ObjectKind
from vpplb.model.objects import Backend
from vpplb.model.problem import Problem
from vpplb.model.vip import IPAddress, IPNetwork

_NAT64 = IPv6Network("64:ff9b::/96")
"""Addresses of IPv4 as hosts with IPv6 alone write them (RFC 6052): the last 32 bits are it."""

_ALL_IPV4, _ALL_IPV6 = IPv4Network("0.0.0.0/0"), IPv6Network("::/0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReach:
    """Where probes may go: the most specific prefix that holds an address decides.

    What no prefix holds may be probed, unless something is in `allow`. A prefix in both is denied.
    """

    allow: tuple[IPNetwork, ...] = ()
    deny: tuple[IPNetwork, ...] = ()

    def refuse_address(self, address: IPAddress) -> str:
        """Say why an address must not be probed; empty: it may be."""
        for face in _list_faces(address):
            denied = self._find_denied(face)
            if denied is not None:
                return f"{address} is in {denied}, where probes may not go"
        if self.allow and _find_longest(address, self.allow) is None:
            return f"{address} is in none of the prefixes to which probes may go"
        return ""

    def describe_gap(self) -> str:
        """Say that IPv4 or IPv6 is denied whole, as `allow` has the other alone; else empty.

        Also empty where it is denied by its name: then it is meant.
        """
        versions = {prefix.version for prefix in self.allow}
        everything = _ALL_IPV6 if versions == {4} else _ALL_IPV4
        if len(versions) != 1 or everything in self.deny:
            return ""
        return (
            f"no IPv{everything.version} address is probed, as --probe-allow names none:"
            f" --probe-allow {everything} allows all, --probe-deny {everything} says that it is"
            " meant"
        )

    def _find_denied(self, address: IPAddress) -> IPNetwork | None:
        denied = _find_longest(address, self.deny)
        allowed = _find_longest(address, self.allow)
        if denied is None or (allowed is not None and allowed.prefixlen > denied.prefixlen):
            return None
        return denied


ANYWHERE = ProbeReach()


def unprobed_by_reach(backend: Backend, reach: ProbeReach) -> Problem | None:
    """Return the problem of a backend that is to be checked where probes may not go."""
    said = reach.refuse_address(backend.address) if backend.health_check is not None else ""
    if not said:
        return None
    return Problem(
        kind=ObjectKind.BACKEND,
        key=backend.key,
        reason="ProbeDenied",
        message=f"{said} (--probe-allow, --probe-deny), so nothing is probed",
        field="spec.address",
    )


def _list_faces(address: IPAddress) -> tuple[IPAddress, ...]:
    if isinstance(address, IPv6Address) and address in _NAT64:
        return address, IPv4Address(int(address) & 0xFFFF_FFFF)
    return (address,)


def _find_longest(address: IPAddress, prefixes: Iterable[IPNetwork]) -> IPNetwork | None:
    """Return the most specific of the prefixes that hold an address."""
    holding = (prefix for prefix in prefixes if address in prefix)
    return max(holding, key=lambda prefix: prefix.prefixlen, default=None)
