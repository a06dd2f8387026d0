import pytest

from vpplb.probers.stalls import Stalls


@pytest.fixture
def stalls() -> Stalls:
    noted = Stalls()
    for ended, seconds in [(10.0, 2.0), (20.0, 0.5), (30.0, 1.0), (40.0, 0.1)]:
        noted.note(ended=ended, seconds=seconds)
    return noted


@pytest.mark.parametrize(
    ("moment", "longest"), [(0.0, 2.0), (10.0, 1.0), (25.0, 1.0), (30.0, 0.1), (40.0, 0.0)]
)
def test_the_longest_gap_since_a_moment(stalls: Stalls, moment: float, longest: float) -> None:
    assert stalls.longest_since(moment) == pytest.approx(longest)


def test_of_a_gap_that_had_begun_only_the_rest_counts(stalls: Stalls) -> None:
    assert stalls.longest_since(29.5) == pytest.approx(0.5)
