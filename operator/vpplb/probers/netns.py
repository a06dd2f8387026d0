"""Entering a network namespace (setns(2)): only a worker does, the operator stays where it is."""

import ctypes
import os
from pathlib import Path

NAMED = Path("/var/run/netns")
"""Where ip-netns(8) keeps the named ones."""

_CLONE_NEWNET = 0x40000000


def namespace_path(name: str) -> Path:
    """Return the file of a namespace: `name` is a path when it has a slash, else a name."""
    return Path(name) if "/" in name else NAMED / name


def enter(name: str) -> None:
    """Move this thread into the namespace; sockets opened from now on belong to it.

    OSError when it does not exist or that is not permitted (CAP_SYS_ADMIN).
    """
    path = namespace_path(name)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # os.setns came with Python 3.12.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(descriptor)
