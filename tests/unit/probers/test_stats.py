from vpplb.model.health import ProbeCode
from vpplb.probers.stats import ProbeStatistics
from vpplb.reconcile.ports import DURATION_BUCKETS, LATENESS_BUCKETS, ProbeStats


def test_nothing_counted_is_nothing_to_report() -> None:
    assert ProbeStatistics().take_counts() is None


def test_what_was_counted_is_reported_once_by_type_code_and_bucket() -> None:
    statistics = ProbeStatistics()
    statistics.lateness.add_value(0.0)
    statistics.lateness.add_value(99.0)
    statistics.count_discard("cpu")
    statistics.count_result("TCP", ProbeCode.L4OK, DURATION_BUCKETS[0])
    statistics.count_result("TCP", ProbeCode.L4OK, DURATION_BUCKETS[0] * 1.5)
    statistics.count_result("HTTP", ProbeCode.L7STS, 60.0)
    rest = [0] * (len(DURATION_BUCKETS) - 2)
    assert statistics.take_counts() == ProbeStats(
        results={("TCP", "L4OK"): 2, ("HTTP", "L7STS"): 1},
        durations={
            "TCP": ([1, 1, 0, *rest], DURATION_BUCKETS[0] * 2.5),
            "HTTP": ([0, 0, *rest, 1], 60.0),
        },
        lateness=([1, *[0] * (len(LATENESS_BUCKETS) - 1), 1], 99.0),
        discarded={"cpu": 1},
    )
    assert statistics.take_counts() is None
