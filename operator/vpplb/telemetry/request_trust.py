"""What is asked of a request that carries a password or changes something.

It has to come from a page of this server: other pages may have a browser send requests with its
cookies (CSRF), from a sibling name too, for which `SameSite` is no bound (argo-cd, CVE-2024-22424).
And nobody may have been able to read along: what carries a token came over TLS, or from this
machine, as through `kubectl port-forward`.
"""

from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from aiohttp import web

from vpplb.telemetry.request_errors import RequestRefused

OWN_HEADER = "X-Vpplb-Request"
"""A header that a page of another origin cannot send without being asked first (CORS)."""
_FORWARDED = "X-Forwarded-Proto"


def name_peer(request: web.Request) -> str:
    """Return the address at the other end, an IPv6 one by its network, of which one has many.

    What a header says of it (`X-Forwarded-For`) anybody can say.
    """
    peer = _read_peer(request)
    if isinstance(peer, IPv6Address) and not peer.is_loopback:
        return str(ip_network((int(peer), 64), strict=False))
    return str(peer)


def _read_peer(request: web.Request) -> object:
    found = request.transport.get_extra_info("peername") if request.transport else None
    if not isinstance(found, tuple):
        return ""
    peer = ip_address(str(found[0]).partition("%")[0])
    return (peer.ipv4_mapped or peer) if isinstance(peer, IPv6Address) else peer


def is_over_tls(request: web.Request) -> bool:
    """Tell whether a browser sees TLS: ours, or that of a proxy on this machine."""
    transport = request.transport  # None: whoever asked is gone
    if transport is not None and transport.get_extra_info("sslcontext") is not None:
        return True
    return _is_local(request) and request.headers.get(_FORWARDED, "").lower() == "https"


def _is_local(request: web.Request) -> bool:
    return bool(getattr(_read_peer(request), "is_loopback", False))


def check_private(request: web.Request) -> None:
    """RequestRefused (403) where somebody on the way could have read what a request carries."""
    forwarded = request.headers.get(_FORWARDED, "https").lower()
    if is_over_tls(request) or (_is_local(request) and forwarded == "https"):
        return
    raise RequestRefused(
        403,
        "tokens and passwords are taken over TLS, or from this machine (kubectl port-forward): this"
        " request came in the clear; --http-tls-cert and --http-tls-key switch TLS on",
    )


def check_own_page(request: web.Request) -> None:
    """RequestRefused unless a request can only be of a page of this server, or of no page."""
    if OWN_HEADER not in request.headers:
        raise RequestRefused(403, f"a request that changes something has a header {OWN_HEADER}")
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None and site != "same-origin":
        raise RequestRefused(403, "the request is of a page of another origin")
    # A browser that says where a request is from needs no second word: a proxy may have put
    # another Host.
    if site is None and origin is not None and not _is_own_origin(request, origin):
        raise RequestRefused(403, "the request is of a page of another origin")
    if request.method == "POST" and request.content_type != "application/json":
        raise RequestRefused(415, "only application/json is read")


def _is_own_origin(request: web.Request, origin: str) -> bool:
    try:
        # Not `request.host`: where there is no header it asks DNS, and all else waits.
        return urlsplit(origin).netloc == request.headers.get("Host")
    except ValueError:  # such as `http://[`
        return False
