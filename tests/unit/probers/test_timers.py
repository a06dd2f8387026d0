from math import inf

import pytest

from vpplb.probers.timers import TimerQueue


@pytest.fixture
def timers() -> TimerQueue[str]:
    timers: TimerQueue[str] = TimerQueue()
    for moment, thing in [(3.0, "d"), (1.0, "a"), (2.0, "c"), (1.0, "b"), (9.0, "e")]:
        timers.add_timer(moment, thing)
    return timers


def test_nothing_is_due_where_there_is_nothing() -> None:
    timers: TimerQueue[str] = TimerQueue()
    assert timers.next == inf
    assert timers.take_due(1e9, 10) == []


def test_what_is_due_is_taken_once_and_in_order(timers: TimerQueue[str]) -> None:
    assert timers.take_due(3.0, 10) == ["a", "b", "c", "d"]
    assert timers.take_due(3.0, 10) == []
    assert timers.next == 9.0


def test_before_its_moment_nothing_is_taken(timers: TimerQueue[str]) -> None:
    assert timers.take_due(0.999, 10) == []


@pytest.mark.parametrize("portion", [1, 2, 3])
def test_what_is_taken_in_portions_comes_in_the_same_order(
    timers: TimerQueue[str], portion: int
) -> None:
    taken: list[str] = []
    while timers.next <= 3.0:
        share = timers.take_due(3.0, portion)
        assert 1 <= len(share) <= portion
        taken += share
    assert taken == ["a", "b", "c", "d"]


def test_what_is_added_while_its_moment_is_under_way_comes_too(timers: TimerQueue[str]) -> None:
    assert timers.take_due(1.0, 1) == ["a"]
    timers.add_timer(1.0, "late")
    assert timers.take_due(1.0, 10) == ["b", "late"]
    timers.add_timer(1.0, "later")
    assert timers.next == 1.0
    assert timers.take_due(1.0, 10) == ["later"]
