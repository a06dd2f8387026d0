"""Network namespaces (setns(2)): only a worker enters one, the operator stays where it is."""

import ctypes
import os
from pathlib import Path

NAMED = Path("/var/run/netns")
"""Where ip-netns(8) keeps the named ones."""

_CLONE_NEWNET = 0x40000000


def namespace_path(name: str) -> Path:
    """Return the file of a namespace: `name` is a path when it has a slash, else a name."""
    return Path(name) if "/" in name else NAMED / name


class NetworkNamespace:
    """A network namespace by its name. One that is made anew under that name is another."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._path = namespace_path(name)
        self._entered: tuple[int, int] | None = None  # its device and inode

    def enter_namespace(self) -> None:
        """Move this thread into the namespace; sockets opened from now on belong to it.

        OSError when it does not exist or that is not permitted (CAP_SYS_ADMIN).
        """
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # os.setns came with Python 3.12.
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(descriptor, _CLONE_NEWNET) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), str(self._path))
            self._entered = _identity_of(os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def describe_loss(self) -> str | None:
        """Say that the name no longer stands for what was entered; None: it does.

        Costs a system call. What cannot be looked at is taken for unchanged.
        """
        try:
            found = _identity_of(self._path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return "is gone"
        except OSError:
            return None
        return None if found == self._entered else "was made anew"


def _identity_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
