"""The wall clock."""

from datetime import UTC, datetime


class SystemClock:
    """Implements `ports.Clock` by the machine's clock."""

    def now(self) -> datetime:
        """Return the present in UTC."""
        return datetime.now(UTC)
