"""Who reads the HTTP server, and who did not keep up."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from vpplb.telemetry import catalog
from vpplb.telemetry.metrics import make_gauge


class StaleReason(StrEnum):
    """Why a reader is stale: events that it had not read are gone, or it takes nothing."""

    RESET = "reset"
    TIMEOUT = "timeout"


@dataclass(slots=True, eq=False)
class HttpReaders(Collector):
    """The readers of a server's events now, and how often which were stale."""

    streams: int = 0
    stale: Counter[StaleReason] = field(default_factory=Counter)

    def note_stale(self, reason: StaleReason) -> None:
        self.stale[reason] += 1

    def collect(self) -> Iterator[Metric]:
        yield make_gauge(catalog.EVENT_READERS, self.streams)
        stale = catalog.STALE_READERS.make_family()
        for reason in StaleReason:  # counted from 0, so that the first is seen
            stale.add_metric((reason.value,), self.stale[reason])
        yield stale
