"""The guard's machines and holds. Its rules are the cases of tests/scenarios/blind_prober.yaml."""

from collections import Counter
from datetime import timedelta

import pytest

from data.objects import in_state, key
from vpplb.model.check import ProbeCadence
from vpplb.model.health import HealthState, ProberAlarm, ProbeResponse
from vpplb.plan.blind_guard import (
    FEWEST_PROBED,
    GRACE_TRANSITIONS,
    PROBER_TRANSITIONS,
    BlindGuard,
    GraceState,
    GuardEvent,
    ProbedBackend,
    ProberTrust,
    change_grace,
    judge_prober,
)

TRUSTED, UNSURE, SUSPECTED = ProberTrust
PASSED, ANSWERED, SILENT = ProbeResponse.PASSED, ProbeResponse.ANSWERED, ProbeResponse.SILENT
SILENCE, ANSWER = {GuardEvent.NEARLY_ALL_SILENT}, {GuardEvent.SOMEBODY_ANSWERED}
ALONE: set[GuardEvent] = {GuardEvent.NOBODY_HEARD}
NOTHING: set[GuardEvent] = set()
NOT_SUSPECTED = [TRUSTED, UNSURE]
SECOND = timedelta(seconds=1)
CADENCE = ProbeCadence(
    interval=SECOND, fast_interval=SECOND, down_interval=SECOND, timeout=SECOND, fall=1
)
WINDOW, GRACE = 2.1, 3.2
NAMES = "abcdefghijkl"
UP, DOWN = in_state(HealthState.UP), in_state(HealthState.DOWN)
HELD = in_state(HealthState.DOWN, held=True)


# --- the judgement --------------------------------------------------------------------------


def numbers(silent: int, were_up: int, *, answered: int = 0, probed: int = 0) -> Counter[str]:
    return Counter(
        probed=probed or were_up, were_up=were_up, were_up_silent=silent, were_up_answered=answered
    )


@pytest.mark.parametrize("before", NOT_SUSPECTED)
@pytest.mark.parametrize(
    ("silent", "were_up", "suspected"),
    [(10, 10, True), (9, 10, True), (8, 10, False), (90, 100, True), (89, 100, False)],
)
def test_nine_in_ten_silent_is_suspicious_and_less_is_not(
    before: ProberTrust, silent: int, were_up: int, suspected: bool
) -> None:
    after = judge_prober(before, SILENCE, numbers(silent, were_up))
    assert (after is SUSPECTED) is suspected


@pytest.mark.parametrize("before", NOT_SUSPECTED)
def test_one_answer_among_the_failures_clears_the_prober(before: ProberTrust) -> None:
    assert judge_prober(before, SILENCE, numbers(99, 100, answered=1)) is not SUSPECTED


@pytest.mark.parametrize("before", list(ProberTrust))
@pytest.mark.parametrize("news", [SILENCE, ALONE, NOTHING])
def test_with_fewer_than_ten_probed_the_prober_is_always_trusted(
    before: ProberTrust, news: set[GuardEvent]
) -> None:
    few = Counter(probed=FEWEST_PROBED - 1, were_up=9, were_up_silent=9, suspect=9)
    assert judge_prober(before, news, few) is TRUSTED


def test_those_that_were_down_before_count_as_probed_only() -> None:
    assert judge_prober(TRUSTED, SILENCE, numbers(2, 2, probed=10)) is SUSPECTED


@pytest.mark.parametrize("news", [NOTHING, ANSWER, ALONE])
def test_a_suspicion_begins_with_a_silence_only(news: set[GuardEvent]) -> None:
    assert judge_prober(TRUSTED, news, numbers(10, 10)) is not SUSPECTED


def test_a_fall_alone_makes_unsure_until_somebody_answers() -> None:
    few = numbers(1, 20)
    assert judge_prober(TRUSTED, ALONE, few) is UNSURE
    assert judge_prober(UNSURE, NOTHING, few) is UNSURE
    assert judge_prober(UNSURE, SILENCE, few) is UNSURE
    assert judge_prober(UNSURE, ANSWER, few) is TRUSTED
    assert judge_prober(UNSURE, ANSWER | ALONE, few) is TRUSTED


@pytest.mark.parametrize("suspects", [10, 11, 20, 100])
def test_a_suspicion_ends_with_a_tenth_of_those_it_is_about(suspects: int) -> None:
    tenth = -(-suspects // 10)
    for returned in range(suspects + 1):
        now = numbers(suspects, suspects, probed=200)
        now.update(suspect=suspects, suspect_passed=returned)
        ended = judge_prober(SUSPECTED, ANSWER, now) is TRUSTED
        assert ended is (returned >= tenth)


def test_a_suspicion_about_nobody_ends() -> None:
    assert judge_prober(SUSPECTED, NOTHING, Counter(probed=20)) is TRUSTED


# --- the machines ---------------------------------------------------------------------------


def test_each_state_has_a_row_and_each_machine_a_way_back() -> None:
    assert set(PROBER_TRANSITIONS) == set(ProberTrust)
    assert set(GRACE_TRANSITIONS) == set(GraceState)
    for trust in UNSURE, SUSPECTED:
        assert TRUSTED in PROBER_TRANSITIONS[trust].values()
    for grace in set(GraceState) - {GraceState.NONE}:
        assert GRACE_TRANSITIONS[grace][GuardEvent.RELEASED] is GraceState.NONE


@pytest.mark.parametrize("grace", list(GraceState))
@pytest.mark.parametrize("event", [*GuardEvent, *ProbeResponse])
def test_an_event_that_a_state_does_not_know_changes_nothing(
    grace: GraceState, event: GuardEvent | ProbeResponse
) -> None:
    one = ProbedBackend(cadence=CADENCE, up=True, counted=True, grace=grace)
    after = change_grace(one, event, 100.0, WINDOW)
    assert (after is one) is (event not in GRACE_TRANSITIONS[grace])
    assert (after.grace_end is None) is (
        after.grace in (GraceState.NONE, GraceState.OPEN) or after is one
    )


# --- who is counted -------------------------------------------------------------------------


class SmallGuard:
    """A guard over a few backends, too few for any suspicion."""

    def __init__(self) -> None:
        self.guard = BlindGuard()

    def watch(self, *names: str) -> None:
        for name in names:
            self.guard.watch_backend(key(name), CADENCE, UP)

    def turn(self, name: str, *responses: ProbeResponse, now: float = 100.0) -> None:
        for response in responses:
            self.guard.on_response_change(key(name), response, now)

    def fall(self, name: str, now: float) -> None:
        self.guard.on_verdict(key(name), up=False, nobody_heard=False, now=now)

    def review(self, now: float) -> None:
        self.guard.review(now)

    def counted(self, name: str) -> bool:
        return self.guard.backends[key(name)].counted


@pytest.fixture
def small() -> SmallGuard:
    small = SmallGuard()
    small.watch("a")
    return small


def test_those_that_were_up_are_counted_by_their_last_result(small: SmallGuard) -> None:
    small.watch("b", "c")
    small.guard.watch_backend(key("d"), CADENCE, DOWN)
    small.turn("a", SILENT)
    small.turn("b", ANSWERED)
    small.turn("d", SILENT)
    counts = small.guard.counts
    assert (counts["probed"], counts["were_up"]) == (4, 3)
    assert (counts["were_up_silent"], counts["were_up_answered"]) == (1, 1)


def test_the_sums_follow_what_comes_and_goes(small: SmallGuard) -> None:
    small.guard.watch_backend(key("b"), CADENCE, DOWN)
    small.turn("a", SILENT)
    assert +small.guard.counts == Counter(probed=2, were_up=1, were_up_silent=1)
    small.guard.unwatch_backend(key("a"))
    small.guard.unwatch_backend(key("nobody"))
    assert +small.guard.counts == Counter(probed=1)
    assert key("a") not in small.guard.backends


def test_one_that_went_down_is_counted_until_the_window_is_over(small: SmallGuard) -> None:
    small.fall("a", 100.0)
    small.review(102.0)
    assert small.counted("a")
    small.review(102.2)
    assert not small.counted("a")


def test_one_that_was_down_already_is_not_counted_for_falling(small: SmallGuard) -> None:
    small.guard.watch_backend(key("a"), CADENCE, DOWN)
    small.fall("a", 100.0)
    assert not small.counted("a")
    assert small.guard.backends[key("a")].fell_at is None


def test_one_that_rose_meanwhile_stays_counted(small: SmallGuard) -> None:
    small.fall("a", 100.0)
    small.guard.on_verdict(key("a"), up=True, nobody_heard=False, now=100.0)
    small.review(200.0)
    assert small.counted("a")


def test_of_two_falls_the_later_one_counts(small: SmallGuard) -> None:
    small.fall("a", 100.0)
    small.guard.on_verdict(key("a"), up=True, nobody_heard=False, now=101.0)
    small.fall("a", 102.0)
    small.review(103.0)
    assert small.counted("a")
    small.review(104.2)
    assert not small.counted("a")


def test_one_that_is_probed_anew_is_not_forgotten_for_an_earlier_fall(small: SmallGuard) -> None:
    small.fall("a", 100.0)
    small.watch("a")
    small.review(200.0)
    assert small.counted("a")


def hold(small: SmallGuard, name: str, now: float) -> None:
    """Let one fall while nobody is heard, which needs nine others."""
    small.watch(*"bcdefghijk")
    small.turn(name, SILENT, now=now)
    small.guard.on_verdict(key(name), up=False, nobody_heard=True, now=now)
    small.review(now)
    assert small.guard.backends[key(name)].held


def test_one_that_is_held_is_counted_however_long(small: SmallGuard) -> None:
    hold(small, "a", 100.0)
    small.review(200.0)
    assert small.counted("a")


@pytest.mark.parametrize(("let_go", "still"), [(102.0, True), (102.2, False)])
def test_one_that_is_let_go_is_counted_for_what_is_left_of_the_window(
    small: SmallGuard, let_go: float, still: bool
) -> None:
    hold(small, "a", 100.0)
    small.turn("a", ANSWERED, now=let_go)
    assert (small.guard.backends[key("a")].held, small.counted("a")) == (False, still)


def test_one_that_was_held_from_before_is_not_counted_when_it_is_let_go(small: SmallGuard) -> None:
    small.guard.watch_backend(key("a"), CADENCE, HELD)
    small.turn("a", ANSWERED, now=0.0)
    assert not small.counted("a")


@pytest.mark.parametrize("held", [False, True])
def test_silence_after_a_fall_by_an_answer_has_taken_nobody_down(
    small: SmallGuard, held: bool
) -> None:
    if held:
        hold(small, "a", 100.0)
        small.turn("a", ProbeResponse.STALLED)
    else:
        small.turn("a", ANSWERED)
        small.fall("a", 100.0)
    small.turn("a", SILENT)
    assert small.counted("a") is held


def test_silence_after_an_answer_without_a_fall_counts(small: SmallGuard) -> None:
    small.turn("a", ANSWERED, SILENT)
    assert small.counted("a")


def test_one_that_is_up_is_counted_when_its_grace_ends() -> None:
    one = ProbedBackend(cadence=CADENCE, up=True, counted=False, grace=GraceState.ENDING)
    after = change_grace(one, GuardEvent.RELEASED, 101.0, WINDOW)
    assert (after.grace, after.counted) == (GraceState.NONE, True)


# --- who is held ----------------------------------------------------------------------------


class FullGuard:
    """A guard over twelve backends that are up and answer, and the time it is reviewed at."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.guard = BlindGuard(enabled=enabled)
        self.now = 100.0
        self.reviews: list[float] = []
        for name in NAMES:
            self.guard.watch_backend(key(name), CADENCE, UP)
            self.guard.on_response_change(key(name), PASSED, self.now)
        self.review()

    def review(self) -> set[str]:
        """Return whose standing is another one."""
        return {touched.name for touched in self.guard.review(self.now)}

    def sleep(self, seconds: float) -> None:
        """Let time pass, with the reviews that are due meanwhile."""
        end = self.now + seconds
        while (due := self.guard.next_review) is not None and due <= end:
            self.now = due
            self.reviews.append(due)
            self.review()
        self.now = end

    def fall(self, names: str, *, alone: bool = False) -> set[str]:
        """Let these go down by silence; return whose standing is another one."""
        for name in names:
            self.guard.on_response_change(key(name), SILENT, self.now)
            self.guard.on_verdict(key(name), up=False, nobody_heard=alone, now=self.now)
        return self.review()

    def silent(self, names: str) -> None:
        """Let the results of these turn to silence, without a verdict."""
        for name in names:
            self.guard.on_response_change(key(name), SILENT, self.now)
        self.review()

    def answer(self, names: str) -> set[str]:
        for name in names:
            self.guard.on_response_change(key(name), PASSED, self.now)
        return self.review()

    def held(self) -> str:
        return "".join(name.name for name, one in sorted(self.guard.backends.items()) if one.held)

    def suspects(self) -> str:
        return "".join(name for name in NAMES if self.guard.is_suspect(key(name)))


@pytest.fixture
def full() -> FullGuard:
    return FullGuard()


def test_who_is_silent_is_doubted_and_held_once_the_prober_is_suspected(full: FullGuard) -> None:
    assert full.fall("abcdefghijk") == set("abcdefghijk")
    assert (full.held(), full.suspects()) == ("abcdefghijk", "abcdefghijk")
    assert full.guard.alarm == ProberAlarm(silent=11, were_up=12)


def test_less_than_that_touches_nobody(full: FullGuard) -> None:
    assert full.fall("abcdefghij") == set()
    assert (full.held(), full.suspects(), full.guard.alarm) == ("", "", None)


def test_one_that_falls_silent_later_is_doubted_and_held_too(full: FullGuard) -> None:
    full.fall("abcdefghijk")
    assert full.fall("l") == {"l"}
    assert (full.held(), full.suspects()) == (NAMES, NAMES)


def test_a_review_of_nothing_touches_nobody(full: FullGuard) -> None:
    full.fall("abcdefghijk")
    assert not full.review()


def test_after_the_suspicion_a_review_is_due_when_a_hold_lapses(full: FullGuard) -> None:
    full.fall("abcdefghijk")
    began = full.now
    assert full.answer("ab") == set("abcdefghijk")
    assert (full.held(), full.suspects()) == ("abcdefghijk", "")
    full.answer("c")
    full.guard.on_response_change(key("c"), SILENT, full.now)
    full.guard.on_verdict(key("c"), up=True, nobody_heard=False, now=full.now)
    full.review()
    full.sleep(60)
    assert full.reviews == [pytest.approx(began + GRACE)]
    assert full.held() == "ab"  # these pass, and wait for their verdict


def test_a_verdict_ends_a_hold(full: FullGuard) -> None:
    full.fall("abcdefghijk")
    full.answer("ab")
    full.guard.on_verdict(key("a"), up=True, nobody_heard=False, now=full.now)
    assert "a" not in full.held()


def test_a_check_that_ended_is_neither_held_nor_doubted(full: FullGuard) -> None:
    full.fall("abcdefghijk")
    full.guard.unwatch_backend(key("a"))
    full.guard.on_response_change(key("a"), SILENT, full.now)
    full.guard.on_verdict(key("a"), up=False, nobody_heard=True, now=full.now)
    full.review()
    assert (full.held(), full.suspects()) == ("bcdefghijk", "bcdefghijk")


def test_disabled_it_holds_nobody_and_lets_go_whom_another_held() -> None:
    full = FullGuard(enabled=False)
    assert full.fall(NAMES, alone=True) == set()
    full.guard.watch_backend(key("a"), CADENCE, HELD)
    assert full.held() == "a"
    assert full.review() == {"a"}
    assert full.held() == ""
    assert full.guard.trust is TRUSTED


def test_whom_another_held_is_held_until_somebody_answers(full: FullGuard) -> None:
    for name in "abc":
        full.guard.watch_backend(key(name), CADENCE, HELD)
    full.review()
    full.sleep(60)
    assert full.held() == "abc"
    full.answer("d")
    assert full.held() == "abc"  # for the time of one probe
    full.sleep(60)
    assert full.held() == ""


def test_each_suspicion_gives_time_anew_to_who_fails_again_after_it(full: FullGuard) -> None:
    full.fall("abcdefghijk")
    full.answer("abcdefghijk")
    full.silent("a")  # what time that gives is used up
    full.answer("a")
    full.silent("abcdefghijk")
    assert full.guard.alarm is not None
    full.answer("ab")
    full.sleep(1)
    full.silent("a")
    full.sleep(GRACE - 0.5)
    assert full.held() == "ab"
    full.sleep(1)
    assert full.held() == "b"
