"""What of programming a VPP is counted and logged, and is in no status."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from vpplb.model.clock import SystemClock
from vpplb.model.token_bucket import TokenBucket
from vpplb.model.vip import StrangeVip
from vpplb.plan.ops import VppChange
from vpplb.plan.render import call_text, strange_in_words
from vpplb.telemetry.metrics import AgentMetrics

log = logging.getLogger(__name__)


class DriftRepairs(NamedTuple):
    """How often somebody else's changes of this VPP were undone since we began; when last."""

    repaired: int = 0
    last: datetime | None = None


LINES, LINES_A_SECOND = 50, 5
"""Changes that have a line of their own: so many at once, and so many a second in the long run."""


class SyncLog:
    """Implements that part of `sync.ports.SyncListener`. `monotonic` is in seconds."""

    def __init__(
        self, metrics: AgentMetrics, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._metrics, self._monotonic = metrics, monotonic
        self._lines = TokenBucket(LINES_A_SECOND, LINES)
        self.drift_repairs = DriftRepairs()

    def on_vpp_changed(self, changes: Sequence[VppChange]) -> None:
        """Log each change in a line, such as `= 10.0.0.1 weight 0 flush`; of many, the rest in one.

        A mass failover, or a start, would have thousands.
        """
        for kind, count in Counter(one.kind for one in changes).items():
            self._metrics.record_change(kind, count)
        if not log.isEnabledFor(logging.INFO):
            return
        room = int(self._lines.count_tokens(self._monotonic()))
        told, rest = (changes, ()) if len(changes) <= room else (changes[:room], changes[room:])
        self._lines.take_tokens(self._monotonic(), len(told))
        for one in told:
            log.info("VPP: %s", call_text(one.op))
        if rest:
            kinds = Counter(one.kind.value for one in rest)
            said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
            log.info("VPP: %d changes more: %s", len(rest), said)

    def on_drift(self, count: int) -> None:
        self._metrics.record_drift(count)
        self.drift_repairs = DriftRepairs(self.drift_repairs.repaired + count, SystemClock().now())
        log.warning("VPP: %d VIPs or settings were changed by someone else and are repaired", count)

    def on_contention(self, count: int) -> None:
        """Something else changes as many prefixes again and again."""
        self._metrics.set_contested(count)

    def on_strange_vips(self, strange: Sequence[StrangeVip]) -> None:
        """There are VIPs that no frontend can have, or none any more."""
        self._metrics.set_strange(len(strange))
        log.warning("%s", strange_in_words(strange))

    def on_flows_forgotten(self, buckets: int) -> None:
        log.warning("VPP forgets all known flows: it has %d sticky buckets a core now", buckets)
