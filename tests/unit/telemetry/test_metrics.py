import asyncio
import platform
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from fakes.object_view import NGINX0, FakeObjectView
from in_memory.agent import WEB, LocalAgent, decided
from in_memory.direct_agents import connect, lead, report, revision_of
from in_memory.operator import LocalOperator
from lab.scrape import scrape_metrics
from vpplb import __version__
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.model.health import HealthState, HealthTransition
from vpplb.plan.ops import ChangeKind
from vpplb.reconcile.ports import DURATION_BUCKETS, LATENESS_BUCKETS, ProbeStats
from vpplb.telemetry import catalog
from vpplb.telemetry.catalog import MetricSpec
from vpplb.telemetry.metrics import (
    AgentMetrics,
    DecisionMetrics,
    MetricsRegistry,
    OperatorMetrics,
)
from vpplb.telemetry.object_metrics import BackendSample, FrontendSample, ObjectView


def deciding(view: ObjectView | None = None) -> tuple[DecisionMetrics, MetricsRegistry]:
    registry = MetricsRegistry("test")
    return DecisionMetrics(registry, view or FakeObjectView()), registry


def value(registry: MetricsRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def stats(
    results: dict[tuple[str, str], int],
    *,
    durations: dict[str, tuple[list[int], float]] | None = None,
    lateness: tuple[list[int], float] | None = None,
) -> ProbeStats:
    none = ([0] * (len(LATENESS_BUCKETS) + 1), 0.0)
    return ProbeStats(results=results, durations=durations or {}, lateness=lateness or none)


def test_what_workers_counted_adds_up_and_says_whether_it_passed() -> None:
    metrics, registry = deciding()
    metrics.record_stats(stats({("HTTP", "L7OK"): 5, ("TCP", "L4CON"): 1}))
    metrics.record_stats(stats({("HTTP", "L7OK"): 2}))
    assert value(registry, "vpplb_probes_total", type="HTTP", code="L7OK", result="pass") == 7
    assert value(registry, "vpplb_probes_total", type="TCP", code="L4CON", result="fail") == 1


def test_histograms_of_probes_are_summed_up_over_their_buckets() -> None:
    metrics, registry = deciding()
    counts = [0] * (len(DURATION_BUCKETS) + 1)
    counts[0], counts[1], counts[-1] = 3, 2, 1
    metrics.record_stats(stats({}, durations={"ICMP": (counts, 9.5)}))
    metrics.record_stats(stats({}, durations={"ICMP": (counts, 0.5)}))
    bucket = "vpplb_probe_duration_seconds_bucket"
    assert value(registry, bucket, type="ICMP", le="0.0005") == 6
    assert value(registry, bucket, type="ICMP", le="0.001") == 10
    assert value(registry, bucket, type="ICMP", le="5.0") == 10
    assert value(registry, bucket, type="ICMP", le="+Inf") == 12
    assert value(registry, "vpplb_probe_duration_seconds_count", type="ICMP") == 12
    assert value(registry, "vpplb_probe_duration_seconds_sum", type="ICMP") == 10.0


def test_lateness_is_one_histogram_and_there_before_the_first_probe() -> None:
    metrics, registry = deciding()
    assert value(registry, "vpplb_probe_lateness_seconds_count") == 0
    metrics.record_stats(stats({}, lateness=([1] * (len(LATENESS_BUCKETS) + 1), 3.0)))
    assert value(registry, "vpplb_probe_lateness_seconds_bucket", le="0.001") == 2
    assert value(registry, "vpplb_probe_lateness_seconds_sum") == 3.0


def test_discarded_probes_are_counted_by_what_the_prober_lacked() -> None:
    metrics, registry = deciding()
    for counts in ({"cpu": 2}, {"cpu": 1, "ports": 4}):
        metrics.record_stats(replace(stats({}), discarded=counts))
    assert value(registry, "vpplb_probes_discarded_total", reason="cpu") == 3
    assert value(registry, "vpplb_probes_discarded_total", reason="ports") == 4


def test_transitions_are_counted_until_their_backend_is_forgotten() -> None:
    metrics, registry = deciding()
    labels = {"namespace": "shop", "backend": "nginx0", "from": "up", "to": "down"}
    transition = HealthTransition(
        backend=NGINX0,
        from_state=HealthState.UP,
        to_state=HealthState.DOWN,
        at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    metrics.record_transition(transition)
    metrics.record_transition(transition)
    assert value(registry, "vpplb_backend_transitions_total", **labels) == 2
    metrics.forget_backend(NGINX0)
    assert value(registry, "vpplb_backend_transitions_total", **labels) is None


def test_status_writes_delays_and_the_role_of_the_operator_are_shown() -> None:
    registry = MetricsRegistry("test")
    metrics = OperatorMetrics(registry)
    metrics.record_status_write("Frontend", "written")
    metrics.observe_transition_to_status(0.02)
    metrics.record_event_dropped()
    metrics.set_leader(True)
    written = {"kind": "Frontend", "result": "written"}
    assert value(registry, "vpplb_status_writes_total", **written) == 1
    assert value(registry, "vpplb_transition_to_status_seconds_bucket", le="0.025") == 1
    assert value(registry, "vpplb_transition_to_status_seconds_bucket", le="0.01") == 0
    assert value(registry, "vpplb_events_dropped_total") == 1
    assert value(registry, "vpplb_leader") == 1


def test_the_agent_shows_one_version_of_vpp_at_a_time() -> None:
    registry = MetricsRegistry("test")
    metrics = AgentMetrics(registry)
    metrics.set_connected(True, "26.06")
    metrics.set_connected(True, "26.10")
    assert value(registry, "vpplb_vpp_connected") == 1
    assert value(registry, "vpplb_vpp_info", version="26.10") == 1
    assert value(registry, "vpplb_vpp_info", version="26.06") is None
    metrics.set_connected(False)
    assert value(registry, "vpplb_vpp_connected") == 0
    assert value(registry, "vpplb_vpp_info", version="26.10") is None


def test_the_agent_counts_calls_changes_and_repairs() -> None:
    registry = MetricsRegistry("test")
    metrics = AgentMetrics(registry)
    assert value(registry, "vpplb_sync_changes_total", kind="as_weight") == 0
    metrics.record_call("lb_as_set_weight", 0)
    metrics.record_call("lb_as_set_weight", -6)
    metrics.record_change(ChangeKind.AS_WEIGHT, 2)
    metrics.record_drift(3)
    metrics.set_programmed(12)
    metrics.observe_sync(0.5)
    calls = "vpplb_vpp_api_calls_total"
    assert value(registry, calls, message="lb_as_set_weight", retval="-6") == 1
    assert value(registry, "vpplb_sync_changes_total", kind="as_weight") == 2
    assert value(registry, "vpplb_drift_repairs_total") == 3
    assert value(registry, "vpplb_programmed_frontends") == 12
    assert value(registry, "vpplb_sync_duration_seconds_count") == 1


def test_two_programs_in_one_process_do_not_share_their_counts() -> None:
    one, first = deciding()
    _, second = deciding()
    one.set_prober_suspect(True)
    assert value(first, "vpplb_prober_suspect") == 1
    assert value(second, "vpplb_prober_suspect") == 0


def test_who_has_decided_nothing_has_not_decided_in_1970() -> None:
    metrics, registry = deciding()
    name = "vpplb_last_decision_timestamp_seconds"
    assert value(registry, name) is None
    before = datetime.now(UTC).timestamp()
    metrics.record_decision()
    assert before <= (value(registry, name) or 0) <= datetime.now(UTC).timestamp()


def test_a_program_says_which_it_is_and_its_version() -> None:
    [info] = [family for family in MetricsRegistry("agent").collect() if "build" in family.name]
    [sample] = info.samples
    assert sample.value == 1
    assert sample.labels == {
        "program": "agent",
        "version": __version__,
        "python": platform.python_version(),
    }


def test_making_a_registry_does_not_read_the_objects() -> None:
    class Untouchable:
        def iter_backends(self) -> Iterable[BackendSample]:
            raise AssertionError("read before anybody scraped")

        def iter_frontends(self) -> Iterable[FrontendSample]:
            raise AssertionError("read before anybody scraped")

    deciding(Untouchable())


def test_the_text_has_the_process_s_own_metrics_too() -> None:
    _, registry = deciding()
    text = scrape_metrics(registry)
    assert "\nprocess_resident_memory_bytes " in text
    assert '\nvpplb_backend_state{namespace="shop",backend="nginx0",state="up"} 1\n' in text


# --- what programs do in a run is seen: no metric stays as it was declared ------------------------
#
# The spy is where prometheus_client is called, so it sees through every way that leads there.

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


@pytest.mark.looptime
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


@pytest.mark.looptime
async def test_an_agent_that_repairs_is_seen_in_each_of_its_metrics(observed: set[str]) -> None:
    agent = LocalAgent()
    agent.see("web", decided(WEB))
    async with agent:
        agent.lb.rows.clear()
        await asyncio.sleep(31)
        elsewhere = {one.name for one in (*OF_THE_SOCKET, *ASKED_AT_SCRAPE, *OF_TROUBLE)}
        assert unseen(catalog.VPP_METRICS, observed, agent.registry) <= elsewhere
