"""Which decision applies, by what both roads have told and in which order."""

import pytest

from data.objects import key
from fakes.clock import FakeClock
from vpplb.agent.newest_decisions import MOST_DELETED, FrontendDecision, NewestDecisions
from vpplb.direct.messages import DecisionEntry
from vpplb.model.decision_order import UNORDERED, DecisionMark, DecisionOrder

WEB = key("web")


def status(
    revision: str, term: int = 0, sequence: int = 0, *, uid: str = "a", holding: bool = False
) -> FrontendDecision:
    """What a status says; no term: that of a version without orders."""
    return FrontendDecision(
        uid=uid,
        order=DecisionOrder(term, sequence),
        dataplane={"revision": revision},
        selector={},
        holding=holding,
    )


def entry(
    revision: str | None,
    term: int,
    sequence: int,
    *,
    uid: str = "a",
    holding: bool = False,
    gone: bool = False,
) -> DecisionEntry:
    """What a leader sends; no revision: the VIP must not exist."""
    return DecisionEntry(
        frontend=WEB,
        uid=uid,
        order=DecisionOrder(term, sequence),
        dataplane=None if revision is None else {"revision": revision},
        holding=holding,
        gone=gone,
    )


def applies(decisions: NewestDecisions) -> str | None:
    """The revision that applies to `web`; empty: no VIP; None: what is there stays."""
    found = decisions.get_decision(WEB)
    return None if found is None else found.revision


@pytest.fixture
def decisions() -> NewestDecisions:
    return NewestDecisions()


def led(term: int) -> NewestDecisions:
    """Decisions of a node to which a leader of this term is connected."""
    decisions = NewestDecisions()
    decisions.set_leader(term)
    return decisions


# --- which is newer -----------------------------------------------------------------------------


def test_nothing_told_is_nothing_decided(decisions: NewestDecisions) -> None:
    assert applies(decisions) is None
    assert decisions.put_status(WEB, "a", None)
    assert applies(decisions) is None


def test_the_newer_one_applies_whichever_road_it_came() -> None:
    decisions = led(5)
    assert decisions.put_entry(5, entry("two", 5, 2))
    assert not decisions.put_status(WEB, "a", status("one", 5, 1))
    assert applies(decisions) == "two"
    assert decisions.put_status(WEB, "a", status("three", 5, 3))
    assert applies(decisions) == "three"
    assert not decisions.put_entry(5, entry("two", 5, 2))
    assert applies(decisions) == "three"


def test_what_says_the_same_is_no_news() -> None:
    decisions = led(5)
    decisions.put_entry(5, entry("one", 5, 1))
    assert not decisions.put_entry(5, entry("one", 5, 1))
    assert not decisions.put_status(WEB, "a", status("one", 5, 2))
    assert decisions.get_order(WEB) == DecisionOrder(5, 2)


def test_when_news_was_last_taken_is_known_and_repeating_it_is_none() -> None:
    clock = FakeClock()
    decisions, began = NewestDecisions(clock), clock.now().timestamp()
    taken: list[float | None] = [decisions.taken_at]
    decisions.put_status(WEB, "a", status("r1", 1, 1))
    taken.append(decisions.taken_at)
    clock.advance(60)
    decisions.put_status(WEB, "a", status("r1", 1, 2))
    taken.append(decisions.taken_at)
    decisions.put_entry(1, entry("r2", 1, 3))
    taken.append(decisions.taken_at)
    assert taken == [None, began, began, began + 60]


def test_what_both_roads_tell_is_kept_once() -> None:
    decisions, told = led(5), status("one", 5, 1)
    decisions.put_entry(5, entry("one", 5, 1))
    assert not decisions.put_status(WEB, "a", told)
    found = decisions.get_decision(WEB)
    assert found is not None
    assert found.direct
    assert found.dataplane is told.dataplane


def test_a_leader_stands_by_what_it_has_taken_over() -> None:
    """What the leader before it has sent, and never written, is older than its word."""
    decisions = led(4)
    decisions.put_entry(4, entry("unwritten", 4, 9))
    decisions.set_leader(5)
    assert decisions.put_entry(5, entry("written", 4, 8))
    assert applies(decisions) == "written"
    assert decisions.get_order(WEB) == DecisionOrder(5, 0)


def test_of_one_order_the_connected_leader_goes_before_the_status() -> None:
    decisions = led(5)
    decisions.put_entry(5, entry("one", 5, 1, holding=False))
    assert not decisions.put_status(WEB, "a", status("one", 5, 1, holding=True))
    assert decisions.put_entry(5, entry("one", 5, 1, holding=True))
    decisions.set_leader(None)
    assert decisions.put_status(WEB, "a", status("one", 5, 1, holding=False))


def test_a_status_that_repeats_what_applies_tells_whether_others_have_it() -> None:
    """A leader's word counts for its term; the status that it took over has an older order."""
    decisions = led(5)
    decisions.put_entry(5, entry("one", 3, 7, holding=True))
    decisions.set_leader(None)
    assert decisions.put_status(WEB, "a", status("one", 3, 7, holding=False))
    found = decisions.get_decision(WEB)
    assert found is not None
    assert not found.holding
    assert found.order == DecisionOrder(5, 0)


def test_a_status_that_decides_nothing_takes_nothing_away(decisions: NewestDecisions) -> None:
    decisions.put_status(WEB, "a", status("one", 5, 1))
    assert not decisions.put_status(WEB, "a", None)
    assert applies(decisions) == "one"


# --- versions without orders --------------------------------------------------------------------


def test_a_status_without_an_order_counts_as_it_comes(decisions: NewestDecisions) -> None:
    for revision in ("one", "two", "one"):
        assert decisions.put_status(WEB, "a", status(revision))
        assert applies(decisions) == revision


def test_a_status_without_an_order_counts_after_one_with_an_order() -> None:
    """The operator was rolled back; what it then takes over has a later order than ever."""
    decisions = led(5)
    decisions.put_entry(5, entry("one", 5, 1))
    decisions.set_leader(None)
    assert decisions.put_status(WEB, "a", status("rolled back"))
    assert not decisions.put_status(WEB, "a", status("late", 5, 0))
    assert decisions.put_entry(6, entry("taken over", 0, 0))


def test_a_status_without_an_order_is_not_heard_where_the_leader_has_spoken() -> None:
    decisions = led(5)
    decisions.put_entry(5, entry("one", 5, 1))
    assert not decisions.put_status(WEB, "a", status("old"))
    assert applies(decisions) == "one"


def test_a_status_without_an_order_counts_where_the_leader_has_not_spoken() -> None:
    decisions = led(5)
    assert decisions.put_status(WEB, "a", status("old"))
    assert applies(decisions) == "old"


# --- who leads ----------------------------------------------------------------------------------


def test_a_leader_of_an_older_term_is_not_listened_to_once_a_newer_term_was_heard() -> None:
    decisions = led(5)
    decisions.put_entry(5, entry("one", 5, 1))
    decisions.hear_term(6)
    assert not decisions.is_led
    assert not decisions.put_entry(5, entry("two", 5, 2))
    assert applies(decisions) == "one"


def test_a_status_tells_of_a_newer_term_as_well() -> None:
    decisions = led(5)
    decisions.put_status(key("other"), "b", status("other", 6, 1))
    assert not decisions.put_entry(5, entry("one", 5, 1))
    assert decisions.newest_term == 6


def test_a_leader_that_raises_its_term_is_listened_to_again() -> None:
    decisions = led(5)
    decisions.hear_term(6)
    decisions.set_leader(7)
    assert decisions.is_led
    assert decisions.put_entry(7, entry("one", 5, 1))


# --- what is gone -------------------------------------------------------------------------------


def test_a_vip_that_must_not_exist_is_decided_as_well() -> None:
    decisions = led(5)
    decisions.put_entry(5, entry("one", 5, 1))
    assert decisions.put_entry(5, entry(None, 5, 2))
    found = decisions.get_decision(WEB)
    assert found is not None
    assert found.dataplane is None


def test_what_a_leader_says_is_gone_an_older_status_does_not_bring_back() -> None:
    decisions = led(5)
    decisions.put_status(WEB, "a", status("one", 5, 1))
    assert decisions.put_entry(5, entry(None, 5, 2, gone=True))
    assert not decisions.put_status(WEB, "a", status("one", 5, 1))
    assert applies(decisions) == ""


def test_an_older_word_that_it_is_gone_removes_nothing() -> None:
    decisions = led(5)
    decisions.put_status(WEB, "a", status("two", 5, 2))
    assert not decisions.put_entry(5, entry(None, 5, 1, gone=True))
    assert applies(decisions) == "two"


def test_what_was_seen_deleted_no_message_brings_back() -> None:
    decisions = led(5)
    decisions.put_status(WEB, "a", status("one", 5, 1))
    assert decisions.note_deleted(WEB, "a")
    assert not decisions.put_entry(5, entry("two", 5, 2))
    assert applies(decisions) is None


def test_a_frontend_that_was_made_anew_is_taken_whatever_its_order() -> None:
    decisions = led(5)
    decisions.put_entry(5, entry("one", 5, 9))
    decisions.put_status(WEB, "a", None)
    assert decisions.put_status(WEB, "b", status("anew", 5, 1, uid="b"))
    assert applies(decisions) == "anew"
    assert not decisions.put_entry(5, entry("one", 5, 10))


def test_a_frontend_that_a_leader_knows_anew_survives_the_deletion_of_the_one_before() -> None:
    decisions = led(5)
    decisions.put_status(WEB, "a", status("one", 5, 1))
    decisions.put_entry(5, entry("anew", 5, 2, uid="b"))
    assert not decisions.note_deleted(WEB, "a")
    assert applies(decisions) == "anew"


def test_a_late_status_of_the_frontend_before_replaces_none_that_was_made_anew() -> None:
    decisions = led(5)
    decisions.put_entry(5, entry("anew", 5, 2, uid="b"))
    decisions.set_leader(None)
    assert not decisions.put_status(WEB, "a", status("one", 5, 1))
    assert applies(decisions) == "anew"


def test_what_a_restored_api_server_has_again_is_taken_again(decisions: NewestDecisions) -> None:
    decisions.put_status(WEB, "a", status("one", 5, 1))
    decisions.note_deleted(WEB, "a")
    assert decisions.put_status(WEB, "a", status("one", 5, 1))
    assert decisions.put_entry(5, entry("two", 5, 2))


def test_only_so_many_deletions_are_remembered() -> None:
    decisions = led(5)
    for number in range(MOST_DELETED + 1):
        decisions.note_deleted(key(f"web-{number}"), f"uid-{number}")
    assert decisions.put_entry(5, entry("one", 5, 1, uid="uid-0"))
    assert not decisions.put_entry(5, entry("two", 5, 2, uid="uid-1"))


# --- what no list shows -------------------------------------------------------------------------


def test_what_a_whole_list_does_not_show_is_gone_if_it_was_known_before_it_was_asked_for() -> None:
    decisions = led(5)
    decisions.put_entry(5, entry("one", 5, 1))
    before = decisions.unlisted
    assert before == {WEB: "a"}
    assert decisions.drop_unlisted(before) == [WEB]
    assert applies(decisions) is None
    assert not decisions.put_entry(5, entry("two", 5, 2))


def test_what_comes_while_a_list_is_under_way_is_not_missed_by_it() -> None:
    decisions = led(5)
    before = decisions.unlisted
    decisions.put_entry(5, entry("one", 5, 1))
    assert decisions.drop_unlisted(before) == []


def test_what_a_list_shows_stays() -> None:
    decisions = led(5)
    decisions.put_entry(5, entry("one", 5, 1))
    before = decisions.unlisted
    decisions.put_status(WEB, "a", None)
    assert decisions.drop_unlisted(before) == []
    assert applies(decisions) == "one"


# --- after a restart ----------------------------------------------------------------------------


def restored(term: int, sequence: int, uid: str = "a") -> NewestDecisions:
    """Decisions of a process whose last one had this order on its disk."""
    decisions = NewestDecisions()
    order = DecisionOrder(term, sequence)
    decisions.restore_marks({WEB: DecisionMark(uid=uid, order=order, revision="before")})
    return decisions


def test_a_restart_does_not_go_back_to_an_older_status() -> None:
    decisions = restored(5, 2)
    assert decisions.put_status(WEB, "a", status("one", 5, 1))
    assert applies(decisions) is None
    assert decisions.put_status(WEB, "a", status("two", 5, 2))
    assert applies(decisions) == "two"


def test_a_restart_remembers_the_newest_term() -> None:
    decisions = restored(5, 2)
    assert not decisions.put_entry(4, entry("one", 4, 9))
    assert decisions.put_entry(5, entry("two", 5, 2))


def test_what_was_remembered_of_another_object_does_not_count() -> None:
    decisions = restored(5, 2)
    assert decisions.put_status(WEB, "b", status("anew", 5, 1, uid="b"))
    assert applies(decisions) == "anew"


def test_a_status_without_an_order_counts_after_a_restart_too() -> None:
    decisions = restored(5, 2)
    assert decisions.put_status(WEB, "a", status("rolled back"))
    assert applies(decisions) == "rolled back"


def test_what_vpp_has_nothing_of_may_be_begun_with_an_older_decision() -> None:
    decisions = restored(5, 2)
    assert decisions.forget_mark(WEB)
    assert decisions.put_status(WEB, "a", status("one", 5, 1))
    assert applies(decisions) == "one"


def test_a_deletion_is_forgotten_by_no_restart() -> None:
    decisions = restored(5, 2)
    assert decisions.unlisted == {WEB: "a"}
    assert decisions.drop_unlisted({WEB: "a"}) == [WEB]
    assert decisions.marks == {}


def test_the_next_process_is_told_every_decision_with_an_order() -> None:
    decisions = restored(5, 2)
    decisions.put_status(key("old"), "o", status("one"))
    decisions.put_entry(5, entry("three", 5, 3))
    assert decisions.marks == {
        WEB: DecisionMark(uid="a", order=DecisionOrder(5, 3), revision="three")
    }
    assert decisions.get_order(key("old")) == UNORDERED
