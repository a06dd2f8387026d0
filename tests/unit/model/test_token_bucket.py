import math

import pytest

from vpplb.model.token_bucket import TokenBucket


def test_a_bucket_is_full_at_first_whatever_the_clock_says_and_never_holds_more() -> None:
    bucket = TokenBucket(2.0, 3.0)
    assert bucket.count_tokens(1_000_000.0) == 3.0
    assert bucket.count_tokens(1_000_060.0) == 3.0


def test_tokens_come_back_at_their_rate() -> None:
    bucket = TokenBucket(2.0, 3.0)
    bucket.take_tokens(0.0, 3.0)
    assert bucket.seconds_until(0.0) == 0.5
    assert bucket.seconds_until(0.25) == 0.25
    assert bucket.count_tokens(1.0) == 2.0
    assert bucket.seconds_until(1.0, 2.0) == 0.0


@pytest.mark.parametrize(("most_debt", "wait"), [(0.0, 0.5), (4.0, 2.5)])
def test_what_is_taken_without_being_there_is_waited_for_up_to_the_most_debt(
    most_debt: float, wait: float
) -> None:
    bucket = TokenBucket(2.0, 3.0, most_debt=most_debt)
    for _ in range(20):
        bucket.take_tokens(0.0)
    assert bucket.count_tokens(0.0) == -most_debt
    assert bucket.seconds_until(0.0) == wait


def test_in_the_long_run_there_is_no_more_than_the_rate() -> None:
    bucket, now, taken = TokenBucket(10.0, 5.0), 0.0, 0
    while now < 60.0:
        bucket.take_tokens(now)
        taken += 1
        now += bucket.seconds_until(now)
    assert taken == pytest.approx(5 + 600, abs=1)


def test_an_infinite_bucket_has_always_enough() -> None:
    bucket = TokenBucket(1.0, math.inf)
    bucket.take_tokens(0.0, 1e9)
    assert bucket.seconds_until(0.0, 1e9) == 0.0
