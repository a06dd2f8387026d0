"""Addresses with ports, as configurations of proxies write them. No name is looked up."""

from collections.abc import Iterator
from typing import NamedTuple

from vpplb.model.vip import IPAddress
from vpplb.resources.addresses import read_address

MOST_PORTS = 64
"""Ports of one range; each is a VIP of its own."""


class ServiceEndpoint(NamedTuple):
    """An address, None for all of `version` (0: both families), and a port, 0 where none is."""

    address: IPAddress | None
    port: int
    version: int = 0


def read_endpoints(text: str) -> Iterator[ServiceEndpoint]:
    """Read `192.0.2.1:80`, `:80`, `*:80-82`, `[2001:db8::1]:80`, `2001:db8::1:80`, `ipv4@…`.

    ValueError for sockets of other kinds, names, and more ports than MOST_PORTS.
    """
    family, at, rest = text.rpartition("@")
    if at and family not in ("ipv4", "ipv6", "tcp", "tcp4", "tcp6"):
        raise ValueError(f"{family}@ is no address that VPP could have")
    if rest.startswith("/"):
        raise ValueError("a Unix socket is no address that VPP could have")
    host, port = _split_port(rest)
    version = (
        6 if family.endswith("6") or host in ("::", "[::]") else 4 if family[-1:] == "4" else 0
    )
    address = None
    if host not in ("", "*", "0.0.0.0", "::", "[::]"):
        address = read_host(host)
        version = address.version
    elif host == "0.0.0.0":
        version = 4
    for number in _read_ports(port):
        yield ServiceEndpoint(address, number, version)


def _split_port(text: str) -> tuple[str, str]:
    """Split at the last colon, but for an address of IPv6 in brackets that has no port."""
    if text.endswith("]"):
        return text, ""
    host, colon, port = text.rpartition(":")
    return (host, port) if colon else (text, "")


def read_host(host: str) -> IPAddress:
    """Read an address, of IPv6 with or without brackets; ValueError for a name, too."""
    try:
        return read_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValueError(f"{host:.80} is no address, and names are not looked up") from None


def read_port(text: str) -> int:
    """Read a port, 0 among them; ValueError for another."""
    if not text.isdecimal() or len(text) > 5 or int(text) > 65535:
        raise ValueError(f"{text:.20} is no port")
    return int(text)


def _read_ports(text: str) -> range:
    low, dash, high = text.partition("-")
    if not text:
        return range(1)
    first = read_port(low)
    last = read_port(high) if dash else first
    if not 1 <= first <= last:
        raise ValueError(f"{text:.20} is no port")
    if last - first >= MOST_PORTS:
        raise ValueError(f"ports {text} are too many: each is a VIP of its own")
    return range(first, last + 1)
