"""Where to listen, as flags write it."""

from typing import NamedTuple


class ListenAddress(NamedTuple):
    """A host (None: all addresses) and a port (0: any that is free)."""

    host: str | None
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.host and ":" in self.host else self.host or ""
        return f"{host}:{self.port}"


def parse_address(text: str) -> ListenAddress | None:
    """Read `:9091`, `127.0.0.1:9091` or `[::1]:9091`; empty is None: do not listen.

    ValueError when it is anything else.
    """
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not bracketed):
        raise ValueError(f"not an address such as :9091, 127.0.0.1:9091 or [::1]:9091: {text!r}")
    return ListenAddress(host.strip("[]") or None, int(port))
