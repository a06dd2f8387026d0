"""Who fails too often waits, and nobody else does, until it is too many in all."""

from vpplb.telemetry.request_limits import MOST_NAMES, NamedLimits


def make_limits() -> NamedLimits:
    return NamedLimits(rate=0.1, burst=3, all_rate=1.0, all_burst=5)


def test_who_fails_too_often_waits_alone() -> None:
    limits = make_limits()
    for _ in range(3):
        limits.take_turn("10.0.0.1", 0.0)
    assert limits.seconds_until("10.0.0.1", 0.0) == 10.0
    assert limits.seconds_until("10.0.0.2", 0.0) == 0.0
    assert limits.seconds_until("10.0.0.1", 10.0) == 0.0


def test_too_many_in_all_have_everybody_wait() -> None:
    limits = make_limits()
    for number in range(5):
        limits.take_turn(f"10.0.0.{number}", 0.0)
    assert limits.seconds_until("10.0.1.1", 0.0) == 1.0


def test_names_are_remembered_up_to_a_bound() -> None:
    limits = make_limits()
    for number in range(MOST_NAMES + 10):
        limits.seconds_until(str(number), 0.0)
    assert len(limits._named) == MOST_NAMES
