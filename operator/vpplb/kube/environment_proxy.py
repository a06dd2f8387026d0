"""The proxy that the environment names for the API server, as kubectl reads it.

That is Go's reading (golang.org/x/net/http/httpproxy), which knows more than Python's: NO_PROXY may
name networks and ports, and what is on loopback is never asked by a proxy.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies_environment

_PORTS = {"http": 80, "https": 443}
_LOOPBACK = ("localhost", "127.0.0.0/8", "::1")


def find_proxy(server: str) -> str | None:
    """Return the URL of the proxy to a server by HTTP(S)_PROXY; None: it is asked directly."""
    proxies, url = getproxies_environment(), urlsplit(server)
    exempted = (*_LOOPBACK, *proxies.get("no", "").lower().split(","))
    if any(_is_exempted(url, one.strip()) for one in exempted):
        return None
    return proxies.get(url.scheme)


def _is_exempted(url: SplitResult, entry: str) -> bool:
    """Tell whether an entry names the server: all, a network, an address, or a domain."""
    host = url.hostname or ""
    address = _find_address(host)
    if entry == "*" or (address is not None and _is_within(address, entry)):
        return True
    try:
        named = urlsplit(f"//{entry}")
        name, port = named.hostname or "", named.port
    except ValueError:
        return False
    if not name or port not in (None, url.port or _PORTS.get(url.scheme)):
        return False
    if address is not None:
        return address == _find_address(name)
    domain = name.removeprefix("*")
    # A dot before a domain means what is below it alone.
    return host.endswith(domain) if domain.startswith(".") else f".{host}".endswith(f".{domain}")


def _is_within(address: IPv4Address | IPv6Address, network: str) -> bool:
    try:
        return address in ip_network(network, strict=False)
    except ValueError:
        return False


def _find_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
