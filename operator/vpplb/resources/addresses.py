"""Types of fields that are addresses, read as Kubernetes' CEL functions `ip()` and `cidr()` do."""

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from vpplb.model.vip import IPAddress, IPNetwork
from vpplb.resources.address_ranges import (
    LOW,
    LOW_SAYS,
    NO_HOSTS,
    AddressRange,
    require_unicast,
)
from vpplb.resources.schema import Schema, make_cel_rule, make_string_schema, read_text


def read_address(text: str) -> IPAddress:
    """Read as Kubernetes' `ip()` does: neither zones nor IPv4 in IPv6's clothes."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and (address.scope_id or address.ipv4_mapped):
        raise ValueError(text)
    return address


def _read_prefix(text: str) -> IPNetwork:
    """Read an address or a prefix; host bits are cleared as VPP does (`ip46_prefix_normalize`)."""
    address, slash, length = text.partition("/")
    network = ip_network(read_address(address))
    if not slash:
        return network
    if re.fullmatch("0|[1-9][0-9]{0,2}", length, re.ASCII) is None:
        raise ValueError(text)
    return network.supernet(new_prefix=int(length))


def _validate_address(says: str, kind: type[IPAddress] | None = None) -> PlainValidator:
    def read(value: object) -> IPAddress:
        address = read_text(read_address, value, says)
        if kind is not None and not isinstance(address, kind):
            raise ValueError(says)
        if address.is_unspecified or address.is_multicast or address == _BROADCAST:
            raise ValueError(_HOST_SAYS)
        if isinstance(address, IPv6Address) and address.is_link_local:
            raise ValueError(_ZONE_SAYS)
        return address

    return PlainValidator(read)


_BROADCAST = IPv4Address("255.255.255.255")
_HOST_SAYS = "must be the address of one host"
_HOST = make_cel_rule(
    "!isIP(self) || ip(self).isGlobalUnicast() || ip(self).isLoopback()"
    " || ip(self).isLinkLocalUnicast()",
    _HOST_SAYS,
)
_ZONE_SAYS = "must not be link-local: which link it is on cannot be said"
_NO_ZONE = make_cel_rule("!isIP(self) || !ip(self).isLinkLocalUnicast()", _ZONE_SAYS)
_ANY_SAYS = "must be an IPv4 or IPv6 address"
_V4_SAYS = "must be an IPv4 address"
_V6_SAYS = "must be an IPv6 address"
_as_str = PlainSerializer(str, return_type=str)


def _unicast_cel() -> Iterator[Schema]:
    """Return the rules that say the same as `require_unicast` to the API server."""
    yield from (_range_cel(one) for one in NO_HOSTS)
    yield make_cel_rule(
        f"!(isIP(self) && cidr('{LOW}').containsIP(self))"
        f" && !(isCIDR(self) && cidr('{LOW}').containsIP(cidr(self).masked().ip()))",
        LOW_SAYS,
    )


def _range_cel(one: AddressRange) -> Schema:
    networks = ", ".join(f"'{network}'" for network in one.networks)
    return make_cel_rule(
        f"[{networks}].all(r, !(isIP(self) && cidr(r).containsIP(self))"
        " && !(isCIDR(self) && cidr(r).containsCIDR(self)))",
        one.says,
    )


def _read_server(value: object) -> IPAddress:
    address = read_text(read_address, value, _ANY_SAYS)
    require_unicast(ip_network(address))
    return address


_UNICAST = tuple(_unicast_cel())

ServerAddress = Annotated[
    IPv4Address | IPv6Address,
    PlainValidator(_read_server),
    _as_str,
    make_string_schema(39, make_cel_rule("isIP(self)", _ANY_SAYS), *_UNICAST),
]
AddressV4 = Annotated[
    IPv4Address,
    _validate_address(_V4_SAYS, IPv4Address),
    _as_str,
    make_string_schema(15, make_cel_rule("isIP(self) && ip(self).family() == 4", _V4_SAYS), _HOST),
]
AddressV6 = Annotated[
    IPv6Address,
    _validate_address(_V6_SAYS, IPv6Address),
    _as_str,
    make_string_schema(
        39, make_cel_rule("isIP(self) && ip(self).family() == 6", _V6_SAYS), _HOST, _NO_ZONE
    ),
]

_PREFIX_SAYS = "must be an address or a prefix, such as 192.0.2.10 or 2001:db8::/64"


def _read_vip(value: object) -> IPNetwork:
    prefix = read_text(_read_prefix, value, _PREFIX_SAYS)
    require_unicast(prefix)
    return prefix


VipPrefix = Annotated[
    IPNetwork,
    PlainValidator(_read_vip),
    _as_str,
    make_string_schema(43, make_cel_rule("isIP(self) || isCIDR(self)", _PREFIX_SAYS), *_UNICAST),
]

# What we wrote ourselves is read as it is, and is no user's to be checked. The same few servers
# are in many VIPs and in each of their versions: one value for each is quick to compare, too.
_stored_address = lru_cache(maxsize=1 << 14)(ip_address)
_stored_prefix = lru_cache(maxsize=1 << 14)(ip_network)

StoredAddress = Annotated[
    IPv4Address | IPv6Address,
    PlainValidator(lambda value: read_text(_stored_address, value, _ANY_SAYS)),
    _as_str,
    WithJsonSchema({"type": "string"}),
]
StoredPrefix = Annotated[
    IPNetwork,
    PlainValidator(lambda value: read_text(_stored_prefix, value, _PREFIX_SAYS)),
    _as_str,
    WithJsonSchema({"type": "string"}),
]
