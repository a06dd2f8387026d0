"""What of the frontends' outcomes is reported to the leader, and when."""

from data.objects import key, vip
from vpplb.agent.frontend_outcomes import MOST_CHARS, FrontendOutcomes
from vpplb.agent.frontend_selector import SelectedFrontends
from vpplb.direct.messages import ProgrammedReport
from vpplb.resources.dataplane import MOST_ERRORS
from vpplb.sync.ports import VipReport

WEB, API = key("web"), key("api")


def begun(*selected: str) -> FrontendOutcomes:
    """Outcomes of a node that shall carry these, with a VPP that answers and has nothing."""
    outcomes = FrontendOutcomes(SelectedFrontends(keys={key(name) for name in selected}))
    outcomes.set_connected(True)
    outcomes.begin()
    outcomes.take_report()
    return outcomes


def note(outcomes: FrontendOutcomes, name: str, revision: str, error: str = "") -> None:
    outcomes.note_report(VipReport(key=key(name), vip=vip(), revision=revision, error=error))


def test_nothing_is_reported_before_it_is_known_what_shall_be_and_what_is() -> None:
    outcomes = FrontendOutcomes(SelectedFrontends(keys={WEB}))
    outcomes.resume({WEB: "r1"})
    assert outcomes.take_report() is None
    outcomes.begin()
    assert outcomes.take_report() is None
    outcomes.set_connected(True, same=True)
    assert outcomes.news.is_set()
    assert outcomes.take_report() == ProgrammedReport(whole=True, programmed={WEB: "r1"})


def test_after_the_first_report_only_changes_are_told() -> None:
    outcomes = begun("web", "api")
    note(outcomes, "web", "r1")
    assert outcomes.take_report() == ProgrammedReport(programmed={WEB: "r1"})
    assert not outcomes.news.is_set()
    assert outcomes.take_report() is None
    note(outcomes, "api", "", "refused")
    note(outcomes, "web", "")
    assert outcomes.take_report() == ProgrammedReport(errors={API: "refused"}, removed=(WEB,))


def test_a_frontend_that_is_mended_has_no_error_any_more() -> None:
    outcomes = begun("web")
    note(outcomes, "web", "", "refused")
    note(outcomes, "web", "r1")
    assert outcomes.take_report() == ProgrammedReport(programmed={WEB: "r1"})
    assert outcomes.failures == {}


def test_only_what_this_node_shall_carry_counts_as_programmed() -> None:
    outcomes = begun("web")
    note(outcomes, "web", "r1")
    note(outcomes, "api", "r1")
    assert outcomes.carried == {WEB: "r1"}
    report = outcomes.take_report()
    assert report is not None
    assert (report.programmed, report.removed) == ({WEB: "r1"}, (API,))


def test_what_nobody_can_read_is_an_error() -> None:
    outcomes = begun("web")
    note(outcomes, "web", "r1")
    outcomes.selected.unreadable[WEB] = "nonsense"
    outcomes.begin_whole()
    assert outcomes.take_report() == ProgrammedReport(whole=True, errors={WEB: "nonsense"})


def test_a_vpp_that_is_lost_has_nothing() -> None:
    outcomes = begun("web")
    note(outcomes, "web", "r1")
    outcomes.set_connected(False)
    assert outcomes.take_report() == ProgrammedReport(whole=True, connected=False)


def test_a_report_is_bounded_whatever_fails() -> None:
    names = [f"web-{number}" for number in range(MOST_ERRORS + 1)]
    outcomes = begun(*names)
    for name in names:
        note(outcomes, name, "", "x" * 5000)
    report = outcomes.take_report()
    assert report is not None
    assert len(report.errors) == MOST_ERRORS
    assert report.removed == (key(names[-1]),)
    assert {len(error) for error in report.errors.values()} == {MOST_CHARS}


def test_what_this_node_shall_carry_and_does_not_is_counted() -> None:
    outcomes = begun("web", "api")
    assert outcomes.count_missing() == 2
    note(outcomes, "web", "r1")
    note(outcomes, "other", "r1")
    assert outcomes.count_missing() == 1
    note(outcomes, "api", "", "refused")
    assert outcomes.count_missing() == 1
    outcomes.set_connected(False)
    assert outcomes.count_missing() == 2
