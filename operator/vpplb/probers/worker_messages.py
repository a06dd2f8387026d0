"""Messages between the pool and its workers: pickles with their length before them.

Both ends are this program, started one by the other, over a socket pair nobody else has:
pickle is the shortest way, and nothing from outside is ever unpickled.

Besides, a worker notes which check it is busy with where its end cannot lose it: in memory that
both share, as one number, the generation of the check in hand (0: none).
"""

import mmap
import os
import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from vpplb.model.names import ObjectKey
from vpplb.reconcile.ports import (
    CheckVerdict,
    ProbeAssignment,
    ProbeRecord,
    ProbeStats,
    ResponseChange,
    VerdictReason,
)

REPORT_EVERY = 1.0
"""Seconds from one report with statistics, and a condition, to the next."""
_LENGTH = struct.Struct("!I")


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignChecks:
    """To a worker: start these checks."""

    assignments: tuple[ProbeAssignment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelChecks:
    """To a worker: stop these checks."""

    backends: tuple[ObjectKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowProbes:
    """To a worker: record the probes of these backends, and of no others."""

    backends: frozenset[ObjectKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCondition:
    """How a worker is.

    `short`: how many checks have had no result lately, by what it is short of. `obstacle` is
    why it does not probe at all, empty if it does. `lateness`: by how many seconds a probe started
    too late, at worst since the last report.
    """

    short: Mapping[str, int] = field(default_factory=dict)
    obstacle: str = ""
    lateness: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """From a worker: verdicts and changes, now and then the rest, and log lines (level, text).

    `condition` None: as said before.
    """

    verdicts: tuple[CheckVerdict, ...] = ()
    changes: tuple[ResponseChange, ...] = ()
    reasons: tuple[VerdictReason, ...] = ()
    records: tuple[ProbeRecord, ...] = ()
    stats: ProbeStats | None = None
    condition: WorkerCondition | None = None
    log: tuple[tuple[int, str], ...] = ()


WorkerMessage = AssignChecks | CancelChecks | FollowProbes | WorkerReport


def pack_message(message: WorkerMessage) -> bytes:
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class MessageUnpacker:
    """Reads messages from a stream of bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed_bytes(self, data: bytes) -> list[WorkerMessage]:
        """Take these bytes; return the messages that are complete now. ValueError: it is none."""
        buffer = self._buffer
        buffer += data
        messages: list[WorkerMessage] = []
        at = 0
        while len(buffer) - at >= _LENGTH.size:
            begin = at + _LENGTH.size
            end = begin + int(_LENGTH.unpack_from(buffer, at)[0])
            if len(buffer) < end:
                break
            message = pickle.loads(buffer[begin:end])
            if not isinstance(message, WorkerMessage):
                raise ValueError(f"not a message: {type(message).__name__}")
            messages.append(message)
            at = end
        del buffer[:at]
        return messages


_NOTE_SIZE = 8  # of a number that a view of memory can write at once, so it costs next to nothing


def open_note() -> int:
    """Return the descriptor of memory for a note, for both processes to map."""
    descriptor = os.memfd_create("vpplb-in-hand")
    os.ftruncate(descriptor, _NOTE_SIZE)
    return descriptor


def map_note(descriptor: int = -1) -> memoryview:
    """Return the note in the memory of `open_note`; by default one that nobody else reads."""
    return memoryview(mmap.mmap(descriptor, _NOTE_SIZE)).cast("Q")
