import random
from math import ceil

import pytest

from vpplb.monitor.latency_histogram import LatencyHistogram


def measured(*seconds: float) -> LatencyHistogram:
    histogram = LatencyHistogram()
    for each in seconds:
        histogram.add_latency(each)
    return histogram


def test_quantiles_are_within_a_hundredth_of_those_of_the_sorted_list() -> None:
    chance = random.Random(17)
    seconds = sorted(chance.lognormvariate(-6, 2) for _ in range(5000))
    parts = (0.01, 0.5, 0.95, 0.99, 1.0)
    exact = [seconds[ceil(part * len(seconds)) - 1] for part in parts]
    assert measured(*seconds).find_quantiles(parts) == pytest.approx(exact, rel=0.0101)


def test_equal_latencies_have_that_very_quantile_whatever_the_bucket() -> None:
    assert measured(*[0.502] * 100).find_quantiles((0.5, 0.99)) == [0.502, 0.502]


def test_no_quantile_lies_below_the_lowest_or_above_the_highest() -> None:
    assert measured(0.5012, 0.5013).find_quantiles((0.01, 0.99)) == [
        pytest.approx(0.5012, abs=0.0001),
        0.5013,
    ]


def test_nothing_measured_has_no_quantile_rather_than_a_number() -> None:
    assert LatencyHistogram().find_quantiles((0.5, 0.99)) == [None, None]


def test_the_p99_of_a_few_is_the_highest() -> None:
    assert measured(0.001, 0.002, 9.0).find_quantiles((0.99,)) == [9.0]


def test_a_latency_of_nothing_counts_too() -> None:
    histogram = measured(0.0, 0.0)
    assert (histogram.count, histogram.find_quantiles((1.0,))) == (2, [0.0])


def test_counts_by_bounds_add_up_and_the_last_is_what_exceeds_all() -> None:
    counts = measured(0.0001, 0.004, 0.2, 70.0).count_between((0.001, 0.005, 0.25, 5.0))
    assert counts == [1, 1, 1, 0, 1]


def test_a_week_takes_no_more_memory_than_its_range() -> None:
    histogram = LatencyHistogram()
    chance = random.Random(1)
    for _ in range(50_000):
        histogram.add_latency(0.001 + chance.random() * 0.001)
    assert len(histogram._buckets) < 100
