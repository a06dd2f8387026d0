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


class Lack(StrEnum):
    """What the prober itself was short of, so that a probe says nothing about the backend."""

    CPU = "cpu"
    DESCRIPTORS = "descriptors"
    BUFFERS = "buffers"
    PORTS = "ports"
    FAULT = "fault"  # of its own code
    DEATH = "death"  # of the process, while it was busy with the probe


ADVICE = {
    Lack.CPU: "give it more CPU, or probe less often",
    Lack.DESCRIPTORS: "raise its limit of open files",
    Lack.BUFFERS: "give it more memory, or probe less often",
    Lack.PORTS: "see net.ipv4.ip_local_port_range",
    Lack.FAULT: "the log has the traceback: please report it",
    Lack.DEATH: "the log names the checks: please report them",
}

_LACKS = {
    errno.EMFILE: Lack.DESCRIPTORS,
    errno.ENFILE: Lack.DESCRIPTORS,
    errno.ENOBUFS: Lack.BUFFERS,
    errno.ENOMEM: Lack.BUFFERS,
}

SHORTAGE = frozenset(_LACKS)
"""The prober itself lacks something: this says nothing about the backend."""


class ProberShort(Exception):
    """The prober could not probe, for a lack of its own; the text says of what."""

    def __init__(self, lack: Lack, text: str) -> None:
        super().__init__(text)
        self.lack = lack


def short_of(code: int) -> ProberShort:
    """Return what an errno in SHORTAGE, or EAGAIN on sending, says."""
    return ProberShort(_LACKS.get(code, Lack.BUFFERS), words(code))


def words(code: int) -> str:
    """Say an errno as people read it: `connection refused`, `no route to host`."""
    text = os.strerror(code)
    return text[:1].lower() + text[1:]
