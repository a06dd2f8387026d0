from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from vpplb.model.check import CheckSpec, ProbeCadence, TcpProbe
from vpplb.model.health import ProbeCode, ProbeResponse, ProbeResult
from vpplb.model.names import ObjectKey
from vpplb.probers.scheduled_check import ScheduledCheck
from vpplb.reconcile.ports import CheckVerdict, ProbeAssignment, VerdictReason

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
PASS = ProbeResult(code=ProbeCode.L4OK, detail="connected")
FAIL = ProbeResult(code=ProbeCode.L4CON, detail="connection refused")
CADENCE = ProbeCadence(
    interval=timedelta(seconds=10),
    fast_interval=timedelta(seconds=5),
    down_interval=timedelta(seconds=20),
    rise=2,
    fall=3,
)


class FixedClock:
    def now(self) -> datetime:
        return NOW


def middle() -> float:
    return 0.5


def check(
    *,
    resume_up: bool | None = None,
    held: bool = False,
    position: int = 0,
    of: int = 1,
    now: float = 0.0,
    random: Callable[[], float] = middle,
) -> ScheduledCheck:
    spec = CheckSpec(address=ip_address("192.0.2.7"), probe=TcpProbe(port=80), cadence=CADENCE)
    assignment = ProbeAssignment(
        backend=ObjectKey("ns", "b"),
        generation=7,
        spec=spec,
        resume_up=resume_up,
        held=held,
        position=position,
        of=of,
    )
    return ScheduledCheck(assignment, now=now, clock=FixedClock(), random=random)


def probe(subject: ScheduledCheck, results: str) -> list[CheckVerdict | None]:
    """Run a probe for each result, `+` a pass and `-` a failure, each on time and at once over."""
    verdicts = []
    for result in results:
        moment = subject.next_start
        subject.start_probe(moment)
        news = subject.finish_probe(PASS if result == "+" else FAIL, moment)
        verdicts.append(news if isinstance(news, CheckVerdict) else None)
    return verdicts


def told(verdicts: list[CheckVerdict | None]) -> str:
    """Write verdicts as `+` up, `-` down, `.` nothing new."""
    return "".join("." if v is None else "+" if v.up else "-" for v in verdicts)


def test_a_verdict_says_who_what_and_when() -> None:
    assert probe(check(), "-") == [
        CheckVerdict(
            backend=ObjectKey("ns", "b"),
            generation=7,
            up=False,
            code=ProbeCode.L4CON,
            detail="connection refused",
            at=NOW,
        )
    ]


@pytest.mark.parametrize(
    ("resume_up", "held", "results", "verdicts"),
    [
        # Fresh: the first result decides and is told whatever it is.
        (None, False, "+", "+"),
        (None, False, "-", "-"),
        # Then only changes are, after fall failures or rise passes.
        (None, False, "++---+++", "+...-.+."),
        (None, False, "+--+--+", "+......"),
        # Resumed: it goes on as if it had never been away, so what confirms is no news …
        (True, False, "+---", "...-"),
        (True, False, "---", "..-"),
        (True, False, "--+--+", "......"),
        (False, False, "-++", "..+"),
        (False, False, "+-++", "...+"),
        # … but to whom an unknown state is shown.
        (True, True, "+---", "+..-"),
        (True, True, "---", "..-"),
        (True, True, "--+---", "..+..-"),
    ],
)
def test_only_news_is_told(resume_up: bool | None, held: bool, results: str, verdicts: str) -> None:
    assert told(probe(check(resume_up=resume_up, held=held), results)) == verdicts


def fail_with(subject: ScheduledCheck, details: list[str]) -> list[str]:
    """Fail once for each reason, as scheduled; return what is told of it, empty for nothing."""
    said = []
    for detail in details:
        moment = subject.next_start
        subject.start_probe(moment)
        news = subject.finish_probe(ProbeResult(code=ProbeCode.L7STS, detail=detail), moment)
        said.append("" if news is None else news.detail)
    return said


def test_why_it_is_down_now_is_told_when_it_is_another_reason_than_at_first() -> None:
    subject = check()
    assert told(probe(subject, "--")) == "-."
    subject.start_probe(subject.next_start)
    again = ProbeResult(code=ProbeCode.L7STS, detail="503")
    reason = subject.finish_probe(again, subject.next_start)
    assert reason == VerdictReason(ObjectKey("ns", "b"), 7, ProbeCode.L7STS, "503")
    assert fail_with(subject, ["503", "503"]) == ["", ""]


def test_a_failure_of_what_is_still_up_is_no_reason() -> None:
    subject = check()
    probe(subject, "+")
    assert fail_with(subject, ["503", "500"]) == ["", ""]
    assert told(probe(subject, "+")) == "."


def test_a_resumed_check_says_why_at_its_first_result() -> None:
    assert fail_with(check(resume_up=False), ["503", "503"]) == ["503", ""]
    assert fail_with(check(resume_up=True), ["503"]) == [""]


def test_a_reason_that_is_another_each_time_is_told_less_and_less_often() -> None:
    subject = check()
    hour = [f"request {n}" for n in range(180)]  # every 20 s
    assert len([each for each in fail_with(subject, hour) if each]) <= 12


def test_a_reason_that_came_too_soon_is_told_when_it_comes_again() -> None:
    subject = check()
    same = ProbeResult(code=ProbeCode.L7STS, detail="third")
    assert fail_with(subject, ["first", "second"]) == ["first", "second"]
    said = []
    moment = subject.next_start
    for _ in range(12):  # once a second
        subject.start_probe(moment)
        said.append(subject.finish_probe(same, moment) is not None)
        moment += 1.0
    assert said.count(True) == 1


def test_a_single_new_check_starts_at_once() -> None:
    assert check(now=50.0).next_start == 50.0


def test_checks_that_resume_together_are_spread_over_their_interval() -> None:
    starts = [check(now=50.0, resume_up=True, position=n, of=5).next_start for n in range(5)]
    assert starts == [50.0, 52.0, 54.0, 56.0, 58.0]


@pytest.mark.parametrize(("resume_up", "held"), [(None, False), (True, True)])
def test_checks_of_what_is_unknown_are_spread_over_a_second(
    resume_up: bool | None, held: bool
) -> None:
    starts = [
        check(now=50.0, resume_up=resume_up, held=held, position=n, of=5).next_start
        for n in range(5)
    ]
    assert starts == pytest.approx([50.0, 50.2, 50.4, 50.6, 50.8])


@pytest.mark.parametrize(
    ("results", "wait"), [("+", 10), ("+-", 5), ("+--", 5), ("+---", 20), ("+---+", 5), ("-", 20)]
)
def test_the_wait_from_start_to_start_follows_the_counter(results: str, wait: float) -> None:
    subject = check()
    probe(subject, results[:-1])
    started = subject.next_start
    probe(subject, results[-1])
    assert subject.next_start - started == pytest.approx(wait, abs=0.032)


@pytest.mark.parametrize("random", [0.0, 0.25, 0.999])
def test_each_wait_is_jittered_by_a_tenth_at_most(random: float) -> None:
    subject = check(random=lambda: random)
    probe(subject, "+")
    wait = subject.next_start
    assert 9.0 <= wait <= 11.0
    assert wait == pytest.approx(10 * (0.9 + 0.2 * random), abs=0.032)


def test_the_length_of_a_probe_does_not_delay_the_next_one() -> None:
    subject = check()
    subject.start_probe(0.0)
    subject.finish_probe(PASS, 6.0)
    assert subject.next_start == pytest.approx(10.0, abs=0.032)


def test_a_probe_longer_than_the_wait_is_followed_at_once_and_never_overlapped() -> None:
    subject = check()
    subject.start_probe(0.0)
    with pytest.raises(RuntimeError, match="running already"):
        subject.start_probe(10.0)
    subject.finish_probe(PASS, 30.0)
    assert subject.next_start == 30.0


def test_a_late_start_is_measured_and_the_schedule_goes_on_from_it_without_a_burst() -> None:
    subject = check()
    assert subject.start_probe(100.0) == 100.0
    subject.finish_probe(PASS, 100.0)
    assert subject.next_start == pytest.approx(110.0, abs=0.032)
    assert subject.start_probe(subject.next_start) == 0.0


def test_a_discarded_probe_counts_for_nothing_and_is_repeated() -> None:
    subject = check()
    probe(subject, "+--")
    started = subject.next_start
    subject.start_probe(started)
    subject.discard_probe(started + 1)
    assert subject.next_start == pytest.approx(started + 5, abs=0.032)
    assert told(probe(subject, "-")) == "-"


def test_a_result_without_a_probe_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no probe is running"):
        check().finish_probe(PASS, 0.0)


SILENT = ProbeResult(code=ProbeCode.L4TOUT, detail="no connection in time")


def test_the_response_is_that_of_the_last_result_and_silence_began_with_its_first_probe() -> None:
    subject = check()
    starts: list[float] = []
    seen: list[tuple[ProbeResponse | None, int | None]] = [(subject.response, None)]
    for result in (PASS, SILENT, SILENT, FAIL, SILENT, SILENT, SILENT, PASS):
        starts.append(subject.next_start)
        subject.start_probe(starts[-1])
        subject.finish_probe(result, starts[-1] + 1)
        silent = subject.response is ProbeResponse.SILENT
        seen.append((subject.response, starts.index(subject.silent_since) if silent else None))
    assert seen == [
        (None, None),
        (ProbeResponse.PASSED, None),
        (ProbeResponse.SILENT, 1),
        (ProbeResponse.SILENT, 1),
        (ProbeResponse.ANSWERED, None),
        (ProbeResponse.SILENT, 4),
        (ProbeResponse.SILENT, 4),
        (ProbeResponse.SILENT, 4),
        (ProbeResponse.PASSED, None),
    ]


def _fail_every_second(subject: ScheduledCheck, seconds: int, how: list[ProbeResult]) -> list[str]:
    """Fail in these ways by turns, once a second; return the codes that are told."""
    said, moment = [], subject.next_start
    for n in range(seconds):
        subject.start_probe(moment)
        if (news := subject.finish_probe(how[n % len(how)], moment)) is not None:
            said.append(news.code.value)
        moment = subject.next_start = moment + 1.0
    return said


_REFUSED = ProbeResult(code=ProbeCode.L4CON, detail="connection refused")


def test_another_kind_of_failure_is_told_within_40_s_however_much_noise_there_was() -> None:
    subject = check()
    noise = [ProbeResult(code=ProbeCode.L7STS, detail=f"request {n}") for n in range(3000)]
    _fail_every_second(subject, 3000, noise)
    assert _fail_every_second(subject, 42, [_REFUSED]) == ["L4CON"]


def test_kinds_of_failure_that_take_turns_cost_a_write_each_40_s_at_most() -> None:
    subject = check()
    by_turns = [_REFUSED, ProbeResult(code=ProbeCode.L7STS, detail="503")]
    assert 20 < len(_fail_every_second(subject, 3600, by_turns)) <= 95


def test_after_a_reason_that_stood_for_long_the_next_is_told_at_once_and_the_one_after_soon() -> (
    None
):
    subject = check()
    noise = [ProbeResult(code=ProbeCode.L7STS, detail=f"request {n}") for n in range(3000)]
    _fail_every_second(subject, 3000, noise)
    standing = ProbeResult(code=ProbeCode.L7STS, detail="502")
    _fail_every_second(subject, 2500, [standing])
    for detail, within in (("503", 1), ("504", 12)):
        how = [ProbeResult(code=ProbeCode.L7STS, detail=detail)]
        assert _fail_every_second(subject, within, how) == ["L7STS"]
