import pytest

from vpplb.kube.backoff import backoff


@pytest.mark.parametrize(("failures", "longest"), [(1, 0.1), (2, 0.2), (4, 0.8), (50, 5.0)])
def test_waits_double_up_to_the_longest_and_at_least_half_of_each_is_waited(
    failures: int, longest: float
) -> None:
    waits = [backoff(failures, 0.1, 5.0) for _ in range(200)]
    assert all(longest / 2 <= wait <= longest for wait in waits)
    assert len(set(waits)) > 100
