from dataclasses import replace
from ipaddress import ip_address

from data.objects import NOON
from vpplb.model.check import CheckSpec, IcmpProbe, ProbeCadence, TcpProbe
from vpplb.model.health import ProbeCode, ProbeResponse
from vpplb.model.names import ObjectKey
from vpplb.probers.quarantine import FORGOTTEN, LONGEST, SHORTEST, CheckQuarantine, report_given_up
from vpplb.reconcile.ports import ProbeAssignment

SPEC = CheckSpec(address=ip_address("192.0.2.7"), probe=TcpProbe(port=80), cadence=ProbeCadence())
CHECK = ProbeAssignment(backend=ObjectKey("ns", "a"), generation=1, spec=SPEC, resume_up=True)


def test_a_check_is_put_aside_at_the_second_death_and_longer_at_each_that_follows() -> None:
    aside, now, seconds = CheckQuarantine(), 0.0, []
    for _ in range(10):
        seconds.append(aside.note_death(CHECK, now))
        now += seconds[-1] + 1
        assert aside.holds_check(CHECK) is (seconds[-1] > 0)
        aside.release_check(CHECK)
        assert not aside.holds_check(CHECK)
    assert seconds[:4] == [0, SHORTEST, 2 * SHORTEST, 4 * SHORTEST]
    assert seconds[-1] == LONGEST


def test_a_check_that_was_probed_long_enough_since_begins_anew() -> None:
    aside = CheckQuarantine()
    aside.note_death(CHECK, 0.0)
    assert aside.note_death(CHECK, FORGOTTEN + 1) == 0
    until = 2 * FORGOTTEN + aside.note_death(CHECK, 2 * FORGOTTEN)
    assert aside.note_death(CHECK, until + FORGOTTEN) == 2 * SHORTEST
    assert aside.note_death(CHECK, until + 3 * FORGOTTEN + 1) == 0


def test_neither_another_check_nor_a_changed_one_is_put_aside() -> None:
    aside, changed = CheckQuarantine(), replace(CHECK, generation=2)
    other = replace(CHECK, backend=ObjectKey("ns", "b"), generation=3)
    assert [aside.note_death(each, 0.0) for each in (CHECK, changed, other)] == [0, 0, 0]
    aside.note_death(CHECK, 1.0)
    assert [aside.holds_check(each) for each in (CHECK, changed, other)] == [True, False, False]
    counts = [aside.count_held({each.backend: each}) for each in (CHECK, changed, other)]
    assert counts == [1, 0, 0]


def test_what_is_put_aside_again_counts_as_silence() -> None:
    report = report_given_up(CHECK, down=True, at=NOON)
    assert [turn.response for turn in report.changes] == [ProbeResponse.SILENT]
    (verdict,) = report.verdicts
    assert (verdict.up, verdict.code, verdict.at) == (False, ProbeCode.L4CON, NOON)


def test_what_is_put_aside_once_or_is_down_anyway_only_says_why() -> None:
    pinged = replace(CHECK, spec=replace(SPEC, probe=IcmpProbe()))
    once = report_given_up(pinged, down=False, at=NOON)
    down = report_given_up(replace(CHECK, resume_up=False), down=True, at=NOON)
    assert [report.verdicts for report in (once, down)] == [(), ()]
    codes = [reason.code for report in (once, down) for reason in report.reasons]
    assert codes == [ProbeCode.L3UNR, ProbeCode.L4CON]
