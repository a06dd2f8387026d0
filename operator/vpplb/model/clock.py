"""The wall clock."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall-clock time, for what people read (`since`, `at`); delays use the loop's clock."""

    def now(self) -> datetime:
        """Return the present, aware, in UTC."""


class SystemClock:
    """Implements `Clock` by the machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)
