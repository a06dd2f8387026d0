"""What of programming a VPP is counted and logged, and is in no status."""

import logging
from collections.abc import Sequence

from vpplb.model.vip import StrangeVip
from vpplb.plan.render import strange_in_words
from vpplb.telemetry.metrics import AgentMetrics

log = logging.getLogger(__name__)


class SyncLog:
    """Implements that part of `sync.ports.SyncListener`."""

    def __init__(self, metrics: AgentMetrics) -> None:
        self._metrics = metrics

    def on_drift(self, count: int) -> None:
        self._metrics.record_drift(count)
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
