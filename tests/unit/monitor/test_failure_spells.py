import pytest

from vpplb.monitor.failure_spells import FailureSpells


def seen(results: str, interval: float = 0.1) -> FailureSpells:
    """Give one result after the other: `.` passed, `x` failed."""
    spells = FailureSpells()
    for number, result in enumerate(results):
        if result == "x":
            spells.note_failure(number * interval, "timeout", "no connection in time")
        elif result == ".":
            spells.note_pass(number * interval)
    return spells


def test_a_spell_goes_from_the_first_failure_to_the_first_pass_after_the_last() -> None:
    spells = seen(".....xxx" + "." * 20)
    began, over = spells.news
    assert (began.ended, began.kind, over.failed, spells.count) == (None, "timeout", 3, 1)
    assert [began.began, over.began, over.ended] == pytest.approx([0.5, 0.5, 0.8])
    assert spells.longest == pytest.approx(0.3)


def test_one_server_in_four_that_fails_is_one_spell() -> None:
    spells = seen("...x...x...x" + "." * 20)
    assert (spells.count, len(spells.news)) == (1, 2)
    assert spells.longest == pytest.approx(0.9)


def test_failures_that_are_far_apart_are_spells_of_their_own() -> None:
    spells = seen("x" + "." * 15 + "x" + "." * 15)
    assert spells.count == 2
    assert spells.longest == pytest.approx(0.1)


def test_a_timeout_that_is_known_late_still_ends_with_the_pass_that_came_before_it() -> None:
    spells = FailureSpells()
    for number in range(1, 12):
        spells.note_pass(number * 0.1)
    spells.note_failure(0.0, "timeout", "")  # began first, ended last
    spells.note_pass(1.2)
    assert spells.longest == pytest.approx(0.1)


def test_a_spell_that_lasts_is_as_long_as_it_is_by_now() -> None:
    spells = seen(".xxxx")
    present = spells.find_present()
    assert present is not None
    assert present.ended is None
    assert spells.longest_until(3.1) == pytest.approx(3.0)


def test_a_spell_is_not_over_until_nothing_has_failed_for_a_second() -> None:
    spells = seen("x" + "." * 5)
    assert spells.find_present() is not None
    spells.end_run()
    assert spells.find_present() is None
    assert spells.longest == pytest.approx(0.1)


def test_nothing_that_passes_after_it_leaves_it_open_in_the_end() -> None:
    spells = seen("..xx")
    spells.end_run()
    assert spells.find_present() is not None


def test_a_gap_without_any_probe_does_not_end_a_spell() -> None:
    spells = seen("xx" + " " * 50 + "x")
    assert spells.count == 1
