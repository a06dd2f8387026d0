"""Packets of a TCP port of this machine that are dropped without a word, as a firewall does it."""

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def dropping(port: int) -> Iterator[None]:
    """Drop whatever comes to this port, and whatever comes from it.

    They are dropped where they arrive: dropped where they are sent, the sender would be told.
    """
    table = f"vpplb-test-{secrets.token_hex(4)}"
    rules = f"tcp dport {port} drop; tcp sport {port} drop;"
    chain = f"chain arriving {{ type filter hook input priority 0; {rules} }};"
    _nft(f"table inet {table} {{ {chain} }}")
    try:
        yield
    finally:
        _nft(f"delete table inet {table}")


def _nft(command: str) -> None:
    subprocess.run(["nft", command], check=True, capture_output=True, timeout=10)
