import pytest

from vpplb.model.names import ObjectKey
from vpplb.probers.errors import ShortageKind
from vpplb.probers.prober_shortage import IN_A_ROW, UNPROBED, ListeningGaps, ShortageStreaks

A, B = ObjectKey("ns", "a"), ObjectKey("ns", "b")


def test_some_in_a_row_are_excused_each_check_for_itself() -> None:
    discards = ShortageStreaks()
    row = [discards.may_discard(A, ShortageKind.CPU, now=float(n)) for n in range(IN_A_ROW + 2)]
    assert row == [*[True] * IN_A_ROW, False, False]
    assert discards.may_discard(B, ShortageKind.CPU, now=9.0)


def test_what_was_never_sent_is_excused_for_a_while_however_often() -> None:
    discards = ShortageStreaks()
    times = [n * UNPROBED / 10 for n in range(12)]
    excused = [discards.may_discard(A, ShortageKind.PORTS, now=each) for each in times]
    assert excused == [*[True] * 10, False, False]


def test_what_was_never_sent_is_excused_some_times_however_seldom() -> None:
    discards = ShortageStreaks()
    times = [n * 2 * UNPROBED for n in range(IN_A_ROW + 1)]
    excused = [discards.may_discard(A, ShortageKind.PORTS, now=each) for each in times]
    assert excused == [*[True] * IN_A_ROW, False]


def test_a_result_begins_the_row_anew_and_ends_the_complaint() -> None:
    discards = ShortageStreaks()
    for _ in range(IN_A_ROW):
        assert discards.count_lasting() == {}
        discards.may_discard(A, ShortageKind.BUFFERS, now=0.0)
    assert discards.count_lasting() == {ShortageKind.BUFFERS: 1}
    discards.end_streak(A)
    assert discards.count_lasting() == {}
    assert discards.may_discard(A, ShortageKind.BUFFERS, now=10 * UNPROBED)


@pytest.fixture
def gaps() -> ListeningGaps:
    noted = ListeningGaps()
    for ended, seconds in [(10.0, 2.0), (20.0, 0.5), (30.0, 1.0), (40.0, 0.1)]:
        noted.note_gap(ended=ended, seconds=seconds)
    return noted


@pytest.mark.parametrize(
    ("moment", "longest"), [(0.0, 2.0), (10.0, 1.0), (25.0, 1.0), (30.0, 0.1), (40.0, 0.0)]
)
def test_the_longest_gap_since_a_moment(gaps: ListeningGaps, moment: float, longest: float) -> None:
    assert gaps.longest_since(moment) == pytest.approx(longest)


def test_of_a_gap_that_had_begun_only_the_rest_counts(gaps: ListeningGaps) -> None:
    assert gaps.longest_since(29.5) == pytest.approx(0.5)
