import pytest

from vpplb.model.health import Response
from vpplb.plan.guard import (
    FEWEST_PROBED,
    News,
    Standing,
    Suspicion,
    Tally,
    detection_window,
    judge,
    tally,
)

TRUSTED, UNSURE, SUSPECTED = Suspicion.TRUSTED, Suspicion.UNSURE, Suspicion.SUSPECTED
PASSED, ANSWERED, SILENT = Response.PASSED, Response.ANSWERED, Response.SILENT
SILENCE, ANSWER, ALONE = News(silence=True), News(answer=True), News(alone=True)
NOT_SUSPECTED = [TRUSTED, UNSURE]


def numbers(silent: int, were_up: int, *, answered: int = 0, probed: int = 0) -> Tally:
    return Tally(probed=probed or were_up, were_up=were_up, silent=silent, answered=answered)


@pytest.mark.parametrize("before", NOT_SUSPECTED)
@pytest.mark.parametrize(
    ("silent", "were_up", "suspected"),
    [(10, 10, True), (9, 10, True), (8, 10, False), (90, 100, True), (89, 100, False)],
)
def test_nine_in_ten_silent_is_suspicious_and_less_is_not(
    before: Suspicion, silent: int, were_up: int, suspected: bool
) -> None:
    after = judge(before, numbers(silent, were_up), SILENCE)
    assert (after is SUSPECTED) is suspected


@pytest.mark.parametrize("before", NOT_SUSPECTED)
def test_one_answer_among_the_failures_clears_the_prober(before: Suspicion) -> None:
    assert judge(before, numbers(99, 100, answered=1), SILENCE) is not SUSPECTED


@pytest.mark.parametrize("before", list(Suspicion))
@pytest.mark.parametrize("news", [SILENCE, ALONE, News()])
def test_with_fewer_than_ten_probed_the_prober_is_always_trusted(
    before: Suspicion, news: News
) -> None:
    few = Tally(probed=FEWEST_PROBED - 1, were_up=9, silent=9, doubted=9)
    assert judge(before, few, news) is TRUSTED


def test_those_that_were_down_before_count_as_probed_only() -> None:
    assert judge(TRUSTED, numbers(2, 2, probed=10), SILENCE) is SUSPECTED


@pytest.mark.parametrize("news", [News(), ANSWER, ALONE])
def test_a_suspicion_begins_with_a_silence_only(news: News) -> None:
    assert judge(TRUSTED, numbers(10, 10), news) is not SUSPECTED


def test_a_fall_alone_makes_unsure_until_somebody_answers() -> None:
    few = numbers(1, 20)
    assert judge(TRUSTED, few, ALONE) is UNSURE
    assert judge(UNSURE, few, News()) is UNSURE
    assert judge(UNSURE, few, SILENCE) is UNSURE
    assert judge(UNSURE, few, ANSWER) is TRUSTED
    assert judge(UNSURE, few, News(answer=True, alone=True)) is TRUSTED


@pytest.mark.parametrize("doubted", [10, 11, 20, 100])
def test_a_suspicion_ends_with_a_tenth_of_those_it_is_about(doubted: int) -> None:
    tenth = -(-doubted // 10)
    for returned in range(doubted + 1):
        now = Tally(probed=200, were_up=doubted, silent=doubted, doubted=doubted, returned=returned)
        ended = judge(SUSPECTED, now, ANSWER) is TRUSTED
        assert ended is (returned >= tenth)


def test_a_suspicion_about_nobody_ends() -> None:
    assert judge(SUSPECTED, Tally(probed=20), News()) is TRUSTED


def test_the_tally_counts_those_that_were_up_by_their_last_result() -> None:
    standings = {
        Standing(counted=True, response=SILENT): 5,
        Standing(counted=True, response=SILENT, doubted=True): 7,
        Standing(counted=True, response=PASSED, doubted=True): 2,
        Standing(counted=True, response=ANSWERED): 3,
        Standing(counted=True): 1,
        Standing(response=ANSWERED, doubted=True): 4,
        Standing(response=SILENT): 11,
    }
    assert tally(standings) == Tally(
        probed=33, were_up=18, silent=12, answered=3, doubted=13, returned=6
    )


@pytest.mark.parametrize(
    ("times", "window"),
    [
        ({}, 0.0),
        ({5.0: 10}, 5.0),
        ({5.0: 9, 60.0: 1}, 5.0),  # one slow check in ten is not waited for
        ({5.0: 8, 60.0: 2}, 60.0),
        ({1.0: 4, 5.0: 4, 60.0: 1}, 60.0),
    ],
)
def test_the_window_lasts_until_nine_in_ten_checks_have_noticed(
    times: dict[float, int], window: float
) -> None:
    assert detection_window(times) == window
