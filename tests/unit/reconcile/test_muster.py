from datetime import timedelta

import pytest

from data.objects import key
from vpplb.model.check import Cadence
from vpplb.model.health import Response
from vpplb.plan.guard import Standing, Tally
from vpplb.reconcile.muster import Muster, Probed

SECOND = timedelta(seconds=1)
UP = Standing(counted=True, response=Response.PASSED)


def cadence(interval: float = 1.0) -> Cadence:
    """Noticed within 1.1 intervals and a second."""
    return Cadence(interval=SECOND * interval, timeout=SECOND, fall=1)


@pytest.fixture
def muster() -> Muster:
    return Muster()


def add(muster: Muster, name: str, standing: Standing = UP, interval: float = 1.0) -> Probed:
    one = Probed(cadence(interval), standing, up=standing.counted)
    muster.add(key(name), one)
    return one


def counted(one: Probed) -> bool:
    return one.standing.counted


def excused(one: Probed) -> float | None:
    return one.excused


def test_the_sums_follow_what_comes_and_goes(muster: Muster) -> None:
    a = add(muster, "a")
    add(muster, "b", Standing())
    muster.turned(a, Response.SILENT)
    assert muster.tally == Tally(probed=2, were_up=1, silent=1)
    muster.remove(key("a"))
    muster.remove(key("nobody"))
    assert muster.tally == Tally(probed=1)
    assert muster.get(key("a")) is None


def test_the_window_follows_the_checks(muster: Muster) -> None:
    add(muster, "a")
    assert muster.window == pytest.approx(2.1)
    add(muster, "b", interval=10.0)
    assert muster.window == pytest.approx(12.0)
    muster.remove(key("b"))
    assert muster.window == pytest.approx(2.1)


def test_one_that_went_down_is_counted_until_the_window_is_over(muster: Muster) -> None:
    a = add(muster, "a")
    muster.fell(key("a"), a, 100.0)
    muster.forget_falls(102.0)
    assert counted(a)
    muster.forget_falls(102.2)
    assert not counted(a)


def test_one_that_was_down_already_is_not_counted_for_falling(muster: Muster) -> None:
    a = add(muster, "a", Standing())
    muster.fell(key("a"), a, 100.0)
    assert not counted(a)
    assert a.fell is None


def test_one_that_rose_meanwhile_stays_counted(muster: Muster) -> None:
    a = add(muster, "a")
    muster.fell(key("a"), a, 100.0)
    muster.rose(a)
    muster.forget_falls(200.0)
    assert counted(a)


def test_of_two_falls_the_later_one_counts(muster: Muster) -> None:
    a = add(muster, "a")
    for moment in (100.0, 102.0):
        muster.fell(key("a"), a, moment)
        muster.rose(a) if moment == 100.0 else None
    muster.forget_falls(103.0)
    assert counted(a)
    muster.forget_falls(104.2)
    assert not counted(a)


def test_one_that_is_probed_anew_is_not_forgotten_for_an_earlier_fall(muster: Muster) -> None:
    a = add(muster, "a")
    muster.fell(key("a"), a, 100.0)
    muster.remove(key("a"))
    again = add(muster, "a")
    muster.forget_falls(200.0)
    assert counted(again)


def test_one_that_is_held_is_counted_however_long(muster: Muster) -> None:
    a = add(muster, "a")
    muster.fell(key("a"), a, 100.0)
    a.held = True
    muster.forget_falls(200.0)
    assert counted(a)


@pytest.mark.parametrize(("let_go", "still"), [(102.0, True), (102.2, False)])
def test_one_that_is_let_go_is_counted_for_what_is_left_of_the_window(
    muster: Muster, let_go: float, still: bool
) -> None:
    a = add(muster, "a")
    muster.fell(key("a"), a, 100.0)
    a.held = True
    muster.blame(a, let_go)
    assert (a.held, counted(a)) == (False, still)


def test_one_that_was_held_from_before_is_not_counted_when_it_is_let_go(muster: Muster) -> None:
    a = add(muster, "a")
    a.held, a.up = True, False
    muster.blame(a, 0.0)
    assert not counted(a)


@pytest.mark.parametrize("held", [False, True])
def test_silence_after_a_fall_by_an_answer_has_taken_nobody_down(
    muster: Muster, held: bool
) -> None:
    a = add(muster, "a", Standing(counted=True, response=Response.ANSWERED))
    muster.fell(key("a"), a, 100.0)
    a.held = held
    muster.turned(a, Response.SILENT)
    assert counted(a) is held


def test_silence_after_an_answer_without_a_fall_counts(muster: Muster) -> None:
    a = add(muster, "a", Standing(counted=True, response=Response.ANSWERED))
    muster.turned(a, Response.SILENT)
    assert counted(a)


def test_one_that_is_up_is_counted_when_it_is_blamed(muster: Muster) -> None:
    a = add(muster, "a")
    muster.count(a, False)
    a.excused = 100.0
    muster.blame(a, 101.0)
    assert excused(a) is None
    assert counted(a)
