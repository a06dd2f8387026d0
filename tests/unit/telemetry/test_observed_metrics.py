"""What programs do in a run is seen in their metrics: none stays as it was declared.

The spy is where prometheus_client is called, so it sees through every way that leads there.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from in_memory.agent import WEB, LocalAgent, decided
from in_memory.direct_agents import connect, lead, report, revision_of
from in_memory.operator import LocalOperator
from lab.scrape import scrape_metrics
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.telemetry import catalog
from vpplb.telemetry.catalog import MetricSpec
from vpplb.telemetry.metrics import MetricsRegistry

pytestmark = pytest.mark.looptime

OF_WORKERS = (catalog.PROBES, catalog.PROBE_DURATION, catalog.PROBES_DISCARDED)
"""Told by the processes that probe, of which there is none in memory."""
OF_THE_SERVER = (
    catalog.AGENT_GONE,
    catalog.DIRECT_AGENTS,
    catalog.DIRECT_BEHIND,
    catalog.DIRECT_MESSAGES,
    catalog.DIRECT_AGE,
    catalog.DIRECT_REFUSED,
)
"""Registered with the server of the direct road, which listens."""
OF_TROUBLE = (
    catalog.STATUS_MENDED,
    catalog.EVENTS_DROPPED,
    catalog.PROBER_SUSPECT,
    catalog.CONTESTED_PREFIXES,
    catalog.STRANGE_VIPS,
)
"""Set when somebody meddles, or a fault lasts."""
OF_THE_SOCKET = (catalog.VPP_API_CALLS, catalog.VPP_LEFTOVERS)
"""Told by the client of VPP's own socket."""
ASKED_AT_SCRAPE = (catalog.VIP_PACKETS, catalog.UNPROGRAMMED_FRONTENDS)
"""Registered where an agent is put together, with those that know."""


@pytest.fixture
def observed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Give the names of the metrics that were set, increased or observed."""
    names = set[str]()

    def spy_on(kind: type[Any], method: str) -> None:
        original = getattr(kind, method)

        def note_call(self: Any, *arguments: Any) -> None:
            names.add(self._name)
            original(self, *arguments)

        monkeypatch.setattr(kind, method, note_call)

    spy_on(Gauge, "set")
    spy_on(Counter, "inc")
    spy_on(Histogram, "observe")
    return names


def unseen(specs: Sequence[MetricSpec], observed: set[str], registry: MetricsRegistry) -> set[str]:
    """Return those that nobody observed, nor gives samples of when somebody scrapes."""
    made = set(registry._names_to_collectors)  # by `make_metric`: these have samples unobserved
    families = text_string_to_metric_families(scrape_metrics(registry))
    sampled = {one.name for one in families if one.samples and one.name not in made}
    names = {one.name.removesuffix("_total"): one.name for one in specs}
    return {names[each] for each in names.keys() - observed - sampled}


async def test_an_operator_that_fails_over_is_seen_in_each_of_its_metrics(
    observed: set[str],
) -> None:
    operator = LocalOperator()
    operator.reconciler.set_synced(1)
    operator.core.on_role(LeaderRole.LEADING)
    await lead(operator, "n1")
    operator.verdict("a", up=False)
    await operator.settle()
    report(operator, connect(operator, "n1"), web=revision_of(operator))
    await operator.stop()
    specs = (*catalog.DECISION_METRICS, *catalog.OPERATOR_METRICS)
    elsewhere = {one.name for one in (*OF_WORKERS, *OF_THE_SERVER, *OF_TROUBLE)}
    assert unseen(specs, observed, operator.registry) <= elsewhere


async def test_an_agent_that_repairs_is_seen_in_each_of_its_metrics(observed: set[str]) -> None:
    agent = LocalAgent()
    agent.see("web", decided(WEB))
    async with agent:
        agent.lb.rows.clear()
        await asyncio.sleep(31)
        elsewhere = {one.name for one in (*OF_THE_SOCKET, *ASKED_AT_SCRAPE, *OF_TROUBLE)}
        assert unseen(catalog.VPP_METRICS, observed, agent.registry) <= elsewhere
