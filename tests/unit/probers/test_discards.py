from vpplb.model.names import ObjectKey
from vpplb.probers.discards import IN_A_ROW, UNPROBED, Discards
from vpplb.probers.errors import Lack

A, B = ObjectKey("ns", "a"), ObjectKey("ns", "b")


def test_some_in_a_row_are_excused_each_check_for_itself() -> None:
    discards = Discards()
    row = [discards.excuses(A, Lack.CPU, now=float(n)) for n in range(IN_A_ROW + 2)]
    assert row == [*[True] * IN_A_ROW, False, False]
    assert discards.excuses(B, Lack.CPU, now=9.0)


def test_what_was_never_sent_is_excused_for_a_while_however_often() -> None:
    discards = Discards()
    times = [n * UNPROBED / 10 for n in range(12)]
    excused = [discards.excuses(A, Lack.PORTS, now=each) for each in times]
    assert excused == [*[True] * 10, False, False]


def test_what_was_never_sent_is_excused_some_times_however_seldom() -> None:
    discards = Discards()
    times = [n * 2 * UNPROBED for n in range(IN_A_ROW + 1)]
    excused = [discards.excuses(A, Lack.PORTS, now=each) for each in times]
    assert excused == [*[True] * IN_A_ROW, False]


def test_a_result_begins_the_row_anew_and_ends_the_complaint() -> None:
    discards = Discards()
    for _ in range(IN_A_ROW):
        assert discards.lasting() == {}
        discards.excuses(A, Lack.BUFFERS, now=0.0)
    assert discards.lasting() == {Lack.BUFFERS: 1}
    discards.end(A)
    assert discards.lasting() == {}
    assert discards.excuses(A, Lack.BUFFERS, now=10 * UNPROBED)
