import pytest

from vpplb.health.machine import HealthCounter, count_result


def counted(rise: int, fall: int, results: str) -> HealthCounter:
    """Feed results, `+` a pass and `-` a failure, to a new counter."""
    counter = HealthCounter(rise=rise, fall=fall)
    for result in results:
        counter = count_result(counter, passed=result == "+")
    return counter


@pytest.mark.parametrize(
    ("rise", "fall", "results", "h", "healthy"),
    [
        # In `unknown` the first result decides.
        (2, 3, "+", 4, True),
        (2, 3, "-", 0, False),
        (1, 1, "+", 1, True),
        (1, 1, "-", 0, False),
        # `fall` consecutive failures take it down, one less does not.
        (2, 3, "+--", 2, True),
        (2, 3, "+---", 0, False),
        (1, 1, "+-", 0, False),
        (3, 1, "+-", 0, False),
        # `rise` consecutive passes bring it back, one less does not.
        (2, 3, "-+", 1, False),
        (2, 3, "-++", 4, True),
        (1, 3, "-+", 3, True),
        # One opposite result in between starts the count again.
        (2, 3, "+--+", 4, True),
        (2, 3, "+--+--", 2, True),
        (2, 3, "-+-", 0, False),
        (3, 2, "-++-++", 2, False),
        # At its ends the counter stays.
        (2, 3, "+++", 4, True),
        (2, 3, "---", 0, False),
    ],
)
def test_the_counter_follows_rise_and_fall(
    rise: int, fall: int, results: str, h: int, healthy: bool
) -> None:
    counter = counted(rise, fall, results)
    assert (counter.h, counter.is_healthy, counter.fresh) == (h, healthy, False)


def test_a_new_counter_is_fresh_and_not_settled() -> None:
    counter = HealthCounter(rise=2, fall=3)
    assert counter.fresh
    assert not counter.is_settled


@pytest.mark.parametrize(("results", "settled"), [("+", True), ("-", True), ("+-", False)])
def test_settled_means_that_no_change_is_under_way(results: str, settled: bool) -> None:
    assert counted(2, 3, results).is_settled is settled


def test_a_result_that_changes_nothing_returns_the_counter_itself() -> None:
    up = counted(2, 3, "+")
    assert count_result(up, passed=True) is up


def resumed(up: bool, results: str) -> bool:
    counter = HealthCounter.resume_verdict(2, 3, up=up)
    for result in results:
        counter = count_result(counter, passed=result == "+")
    return counter.is_healthy


@pytest.mark.parametrize(
    ("up", "results", "healthy"),
    [
        (True, "", True),
        (True, "--", True),
        (True, "---", False),
        (True, "--+--", True),
        (False, "", False),
        (False, "+", False),
        (False, "++", True),
        (False, "+-+", False),
    ],
)
def test_a_resumed_verdict_turns_only_by_fall_failures_or_rise_passes(
    up: bool, results: str, healthy: bool
) -> None:
    assert resumed(up, results) is healthy
