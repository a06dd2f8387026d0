"""Statuses that somebody else has written are put right: at once, and later when it goes on.

Restore tools write statuses of another time, people edit them, and a second operator may take
them for its own. What is true is known here, so it is written again. But two that each know
better must not write for ever: each further time within a while waits twice as long.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from vpplb.kube.api_resources import JsonObject
from vpplb.model.backoff import backoff_seconds
from vpplb.model.names import ObjectKey, ObjectKind

log = logging.getLogger(__name__)

FIRST, LONGEST = 0.5, 60.0
"""First and longest wait, in seconds, before a status is put right that was only just so."""
QUIET = 300.0
"""Seconds without a foreign write after which the next is put right at once again."""
FIGHT = 4
"""So many foreign writes in a while are a fight."""


class _Record(NamedTuple):
    times: int
    last: float


@dataclass(slots=True)
class Mender:
    """Has the status of an object written again (`submit`), some time after it was overwritten."""

    submit: Callable[[ObjectKind, ObjectKey], None]
    on_mend: Callable[[str], None] = lambda kind: None
    _records: dict[tuple[ObjectKind, ObjectKey], _Record] = field(default_factory=dict)
    _due: dict[tuple[ObjectKind, ObjectKey], asyncio.TimerHandle] = field(default_factory=dict)

    def overwritten(self, kind: ObjectKind, key: ObjectKey, raw: JsonObject) -> None:
        """Take note that the object, as it is now, has a status which is not ours."""
        loop = asyncio.get_running_loop()
        now, record = loop.time(), self._records.get((kind, key), _Record(0, 0.0))
        times = record.times + 1 if now - record.last < QUIET else 1
        self._records[kind, key] = _Record(times, now)
        _say(kind, key, times, writer_of(raw))
        if (kind, key) in self._due:
            return
        wait = backoff_seconds(times - 1, FIRST, LONGEST)
        self._due[kind, key] = loop.call_later(wait, self._mend, kind, key)

    def forget(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Forget a deleted object."""
        self._records.pop((kind, key), None)
        due = self._due.pop((kind, key), None)
        if due is not None:
            due.cancel()

    def _mend(self, kind: ObjectKind, key: ObjectKey) -> None:
        del self._due[kind, key]
        self.on_mend(kind)
        self.submit(kind, key)


def writer_of(raw: JsonObject) -> str:
    """Name who wrote the status last, as the object's `managedFields` tell; empty: they do not."""
    writes = [
        (str(entry.get("time", "")), str(entry.get("manager", "")))
        for entry in raw["metadata"].get("managedFields") or ()
        if "f:status" in (entry.get("fieldsV1") or {})
    ]
    return max(writes, default=("", ""))[1]


def _say(kind: ObjectKind, key: ObjectKey, times: int, writer: str) -> None:
    by = f" by {writer}" if writer else ""
    if times == FIGHT:
        log.error(
            "the status of %s %s was written%s again and again; another program takes it for its"
            " own, and it is put right less and less often", kind, key, by,
        )  # fmt: skip
    else:
        level = logging.WARNING if times == 1 else logging.DEBUG
        log.log(level, "the status of %s %s was written%s and is put right", kind, key, by)
