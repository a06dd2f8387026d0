import random

import pytest

from vpplb.model.backoff import backoff_seconds


@pytest.mark.parametrize(("failures", "longest"), [(1, 0.1), (2, 0.2), (4, 0.8), (5000, 5.0)])
def test_waits_double_up_to_the_longest_and_at_least_half_of_each_is_waited(
    failures: int, longest: float
) -> None:
    assert backoff_seconds(failures, 0.1, 5.0) == longest
    waits = [backoff_seconds(failures, 0.1, 5.0, jitter=random.random()) for _ in range(200)]
    assert all(longest / 2 <= wait <= longest for wait in waits)
    assert len(set(waits)) > 100


def test_nothing_is_waited_for_without_a_failure() -> None:
    assert backoff_seconds(0, 0.1, 5.0) == 0.0
