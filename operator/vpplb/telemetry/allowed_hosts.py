"""Which `Host` a request may name.

A page of somebody else's can have its name resolve to an address of this server (DNS rebinding),
and then read from it as from its own. Its requests name its host; those of people and programs
that may ask name an address, this machine, or a service of the cluster.
"""

import socket
from collections.abc import Collection
from ipaddress import ip_address

ANY = "*"


def is_own_host(host: str | None, also: Collection[str] = ()) -> bool:
    """Tell whether a request for this host (`name`, `name:port`, or None) is meant for us.

    Meant are addresses, `localhost`, names without a dot, this machine's name, services of the
    cluster (`….svc`, `….svc.cluster.local`), and the names of `also`; `*` there means all.
    """
    if host is None or ANY in also:
        return True
    name = _without_port(host).lower().rstrip(".")
    if _is_address(name):
        return True
    return (
        "." not in name
        or name.endswith((".svc", ".localhost"))
        or name.endswith(".svc.cluster.local")
        or name == socket.gethostname().lower()  # asks no DNS: this is the loop that decides
        or name in {one.lower() for one in also}
    )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
