"""Errors of the kernel, as what they mean for a probe."""

import errno
import os
from enum import StrEnum

NO_SOURCE = "no such source address"
NO_ADDRESS = "no address to send from"
NOBODY_LISTENS = "nobody listens there: the connection was to itself"
NO_PORT = "no free local port"

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


class ShortageKind(StrEnum):
    """What the prober itself was short of, so that a probe says nothing about the backend."""

    CPU = "cpu"
    DESCRIPTORS = "descriptors"
    BUFFERS = "buffers"
    PORTS = "ports"
    FAULT = "fault"  # of its own code
    DEATH = "death"  # of the process, while it was busy with the probe


ADVICE = {
    ShortageKind.CPU: "give it more CPU, or probe less often",
    ShortageKind.DESCRIPTORS: "raise its limit of open files",
    ShortageKind.BUFFERS: "give it more memory, or probe less often",
    ShortageKind.PORTS: "see net.ipv4.ip_local_port_range",
    ShortageKind.FAULT: "the log has the traceback: please report it",
    ShortageKind.DEATH: "the log names the checks: please report them",
}

_SHORTAGES = {
    errno.EMFILE: ShortageKind.DESCRIPTORS,
    errno.ENFILE: ShortageKind.DESCRIPTORS,
    errno.ENOBUFS: ShortageKind.BUFFERS,
    errno.ENOMEM: ShortageKind.BUFFERS,
}

SHORTAGE = frozenset(_SHORTAGES)
"""The prober itself lacks something: this says nothing about the backend."""


class ProberShortage(Exception):
    """The prober could not probe, for a lack of its own; the text says of what."""

    def __init__(self, shortage: ShortageKind, text: str) -> None:
        super().__init__(text)
        self.shortage = shortage


def shortage_error(code: int) -> ProberShortage:
    """Return what an errno in SHORTAGE, or EAGAIN on sending, says."""
    return ProberShortage(_SHORTAGES.get(code, ShortageKind.BUFFERS), describe_errno(code))


def describe_errno(code: int) -> str:
    """Say an errno as people read it: `connection refused`, `no route to host`."""
    text = os.strerror(code)
    return text[:1].lower() + text[1:]
