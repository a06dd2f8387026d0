"""`StatusRepair`: statuses that somebody else has written are put right, at once or later.

Restore tools write statuses of another time, people edit them, and a second operator may take
them for its own. What is true is known here, so it is written again. But two that each know
better must not write for ever: each further time within a while waits twice as long.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from vpplb.kube.api_types import JsonObject, key_of
from vpplb.model.backoff import backoff_seconds
from vpplb.model.names import ObjectKey, ObjectKind

log = logging.getLogger(__name__)

FIRST, LONGEST = 0.5, 60.0
"""First and longest wait, in seconds, before a status is put right that was only just so."""
QUIET = 300.0
"""Seconds without a foreign write after which the next is put right at once again."""
FIGHT = 4
"""So many foreign writes in a while are a fight."""


class _ForeignWrites(NamedTuple):
    """How many there were in a while, and when the last was, by the loop's clock."""

    times: int
    last: float


@dataclass(slots=True)
class StatusRepair:
    """Has the status of an object written again (`submit`), some time after it was overwritten.

    `on_repair` is told the kind of each.
    """

    submit: Callable[[ObjectKind, ObjectKey], None]
    on_repair: Callable[[str], None] = lambda kind: None
    _writes: dict[tuple[ObjectKind, ObjectKey], _ForeignWrites] = field(default_factory=dict)
    _timers: dict[tuple[ObjectKind, ObjectKey], asyncio.TimerHandle] = field(default_factory=dict)

    def note_overwrite(self, kind: ObjectKind, raw: JsonObject) -> None:
        """Take note that the object, as it is now, has a status which is not ours."""
        loop, key = asyncio.get_running_loop(), key_of(raw)
        now, before = loop.time(), self._writes.get((kind, key), _ForeignWrites(0, 0.0))
        count = before.times + 1 if now - before.last < QUIET else 1
        self._writes[kind, key] = _ForeignWrites(count, now)
        _log_overwrite(kind, key, count, writer_of(raw))
        if (kind, key) not in self._timers:
            wait = backoff_seconds(count - 1, FIRST, LONGEST)
            self._timers[kind, key] = loop.call_later(wait, self._repair_status, kind, key)

    def forget_object(self, kind: ObjectKind, key: ObjectKey) -> None:
        self._writes.pop((kind, key), None)
        timer = self._timers.pop((kind, key), None)
        if timer is not None:
            timer.cancel()

    def _repair_status(self, kind: ObjectKind, key: ObjectKey) -> None:
        del self._timers[kind, key]
        self.on_repair(kind)
        self.submit(kind, key)


def writer_of(raw: JsonObject) -> str:
    """Name who wrote the status last, as the object's `managedFields` tell; empty: they do not."""
    writes = [
        (str(entry.get("time", "")), str(entry.get("manager", "")))
        for entry in raw["metadata"].get("managedFields") or ()
        if "f:status" in (entry.get("fieldsV1") or {})
    ]
    return max(writes, default=("", ""))[1]


def _log_overwrite(kind: ObjectKind, key: ObjectKey, count: int, writer: str) -> None:
    by = f" by {writer}" if writer else ""
    if count == FIGHT:
        log.error(
            "the status of %s %s was written%s again and again; another program takes it for its"
            " own, and it is put right less and less often", kind, key, by,
        )  # fmt: skip
    else:
        level = logging.WARNING if count == 1 else logging.DEBUG
        log.log(level, "the status of %s %s was written%s and is put right", kind, key, by)
