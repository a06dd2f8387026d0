from vpplb.reconcile.ports import DURATION_BUCKETS
from vpplb.telemetry.metrics import MetricsRegistry
from vpplb.telemetry.monitor_metrics import MonitoredVip, register_monitor


def test_what_a_monitor_sees_is_counted_by_vip_and_its_times_accumulate() -> None:
    counts = [0] * (len(DURATION_BUCKETS) + 1)
    counts[0], counts[1] = 3, 2
    seen = MonitoredVip(
        vip="web",
        results={"passed": 5, "timeout": 1},
        unprobed={"skipped": 9},
        servers={"a": 2, "b": 3},
        durations=(counts, 0.004),
        spells=1,
        failing=True,
    )
    registry = MetricsRegistry("monitor")
    register_monitor(registry, lambda: [seen])

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"vpplb_monitor_{name}", {"vip": "web", **labels})

    assert value("probes_total", result="timeout") == 1
    assert value("unprobed_total", reason="skipped") == 9
    assert value("answers_total", server="b") == 3
    assert value("duration_seconds_bucket", le="0.001") == 5
    assert value("duration_seconds_sum") == 0.004
    assert (value("spells_total"), value("failing")) == (1, 1)
