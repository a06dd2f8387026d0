"""Places in the file system where sockets are made."""

import contextlib
import socket
import stat
from pathlib import Path


class SocketInUse(Exception):
    """Another process listens at the path; the text names it."""


def clear_socket_path(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
    """Make room for a socket: remove one that nobody listens on, and make the folder.

    SocketInUse when something else is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise SocketInUse(f"{path} exists and is not a socket")
    with socket.socket(socket.AF_UNIX, kind) as probe, contextlib.suppress(ConnectionRefusedError):
        probe.connect(str(path))
        raise SocketInUse(f"another process listens on {path}")
    path.unlink()
