"""Errors of the kernel, as what they mean for a probe."""

import errno
import os

NO_SOURCE = "no such source address"
NO_PORT = "no free local port"

SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""The prober itself lacks something: this says nothing about the backend."""

UNANSWERED = frozenset(
    {
        errno.EACCES,
        errno.EADDRNOTAVAIL,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EINVAL,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENODEV,
        errno.EPERM,
        errno.ETIMEDOUT,
    }
)
"""The own host says so, or a router on the way: no word of the backend."""


class ProberShort(Exception):
    """The prober could not probe, for a lack of its own; the text says of what."""


def words(code: int) -> str:
    """Say an errno as people read it: `connection refused`, `no route to host`."""
    text = os.strerror(code)
    return text[:1].lower() + text[1:]
