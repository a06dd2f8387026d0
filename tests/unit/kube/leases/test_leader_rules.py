"""The rules of the election, one by one, on a clock that is a number."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vpplb.kube.api_types import JsonObject
from vpplb.kube.leases.leader_rules import LeaderRole, LeaseCandidate
from vpplb.kube.leases.served_scopes import ServedScope

DURATION = 15.0
NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
STAMP = "2026-01-02T03:04:05.000006Z"
TERM = 1_767_323_045_000_006


def lease(version: int = 1, **spec: Any) -> JsonObject:
    return {"metadata": {"resourceVersion": str(version)}, "spec": spec}


def held(by: str, version: int = 1, *, seconds: int = 15, renewed: str = "r1") -> JsonObject:
    return lease(
        version,
        holderIdentity=by,
        leaseDurationSeconds=seconds,
        acquireTime=f"a-{by}",
        renewTime=renewed,
        leaseTransitions=3,
    )


def candidate(identity: str = "me") -> LeaseCandidate:
    return LeaseCandidate(identity=identity, duration=DURATION)


def leader(*, since: float = 100.0) -> LeaseCandidate:
    """Return a candidate that has just won a lease, of version 1, at that time."""
    ours = candidate()
    ours.observe_lease(None, since)
    spec = ours.propose_record(since, NOW)
    assert spec is not None
    ours.note_written({"metadata": {"resourceVersion": "1"}, "spec": dict(spec)})
    return ours


def our_lease(version: int = 1, **changed: Any) -> JsonObject:
    """Return the lease of `leader`."""
    one = held("me", version)
    one["spec"] |= {"acquireTime": STAMP, "leaseTransitions": 0, **changed}
    return one


# --- candidates -----------------------------------------------------------------------------


def test_nothing_is_wanted_before_the_lease_was_looked_at() -> None:
    ours = candidate()
    assert not ours.has_looked
    assert ours.propose_record(1e9, NOW) is None
    assert ours.role_at(1e9) is LeaderRole.STANDBY


def test_a_lease_that_does_not_exist_is_created_at_once() -> None:
    ours = candidate()
    ours.observe_lease(None, 100.0)
    assert ours.lease_version == ""
    assert ours.propose_record(100.0, NOW) == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": STAMP,
        "renewTime": STAMP,
        "leaseTransitions": 0,
    }


@pytest.mark.parametrize(
    ("found", "free_at"),
    [
        pytest.param(held("other"), 115.0, id="held by another: its duration after it was seen"),
        pytest.param(held("other", seconds=40), 140.0, id="the holder's own duration counts"),
        pytest.param(held("other", seconds=3), 115.0, id="but never less than ours"),
        pytest.param(held("me"), 100.0, id="held by an earlier run of ourselves: at once"),
        pytest.param(held(""), 100.0, id="held by nobody: at once"),
        pytest.param(lease(), 100.0, id="without a spec: at once"),
    ],
)
def test_a_lease_seen_first_is_free(found: JsonObject, free_at: float) -> None:
    ours = candidate()
    ours.observe_lease(found, 100.0)
    assert free_at == 100.0 or ours.propose_record(free_at - 0.1, NOW) is None
    assert ours.propose_record(free_at, NOW) is not None


@pytest.mark.parametrize(
    ("then", "free_at"),
    [
        pytest.param(held("other", 1), 115.0, id="the same version: as before"),
        pytest.param(held("other", 2), 115.0, id="the same, another scope was written: as before"),
        pytest.param(held("other", 2, renewed="r2"), 120.0, id="renewed: a duration from now"),
        pytest.param(held("third", 2), 120.0, id="held by a third: a duration from now"),
        pytest.param(held("me", 2), 120.0, id="we are written in by somebody: a duration from now"),
        pytest.param(held("", 2), 120.0, id="emptied by an administrator: a duration from now"),
        pytest.param(held("", 2, seconds=1), 105.0, id="given up: at once"),
        pytest.param(None, 120.0, id="deleted: a duration from now"),
    ],
)
def test_a_lease_of_another_that_is_seen_again_after_5_seconds_is_free(
    then: JsonObject | None, free_at: float
) -> None:
    ours = candidate()
    ours.observe_lease(held("other"), 100.0)
    ours.observe_lease(then, 105.0)
    assert free_at == 105.0 or ours.propose_record(free_at - 0.1, NOW) is None
    assert ours.propose_record(free_at, NOW) is not None


def test_a_lease_taken_over_counts_one_more_transition_and_names_the_version_it_replaces() -> None:
    ours = candidate()
    ours.observe_lease(held("other", version=7), 100.0)
    spec = ours.propose_record(115.0, NOW)
    assert spec is not None
    assert spec["leaseTransitions"] == 4
    assert ours.lease_version == "7"


def test_a_bid_that_was_accepted_though_its_answer_was_lost_counts_from_when_it_was_sent() -> None:
    ours = candidate()
    ours.observe_lease(None, 100.0)
    spec = ours.propose_record(101.0, NOW)
    assert spec is not None
    ours.observe_lease({"metadata": {"resourceVersion": "9"}, "spec": dict(spec)}, 104.0)
    assert ours.role_at(104.0) is LeaderRole.LEADING
    assert ours.valid_until == 111.0


def test_one_whose_bid_was_refused_waits_a_duration_whatever_it_sees_or_does_not_see_then() -> None:
    ours = candidate()
    ours.observe_lease(None, 100.0)
    assert ours.propose_record(100.0, NOW) is not None
    ours.note_conflict(100.5)
    ours.observe_lease(
        None, 101.0
    )  # whoever was faster has it, though the lease was deleted meanwhile
    assert ours.propose_record(115.9, NOW) is None
    assert ours.propose_record(116.0, NOW) is not None


def test_another_program_of_the_same_name_is_not_taken_for_ourselves() -> None:
    ours = candidate()
    ours.observe_lease(None, 100.0)
    assert ours.propose_record(100.0, NOW) is not None
    ours.observe_lease(held("me"), 101.0)
    assert ours.role_at(101.0) is LeaderRole.STANDBY
    assert ours.propose_record(101.0, NOW) is None


# --- leaders --------------------------------------------------------------------------------


def test_a_leader_may_write_for_two_thirds_of_the_duration_after_it_sent_its_renewal() -> None:
    ours = leader(since=100.0)
    assert ours.valid_until == 110.0
    assert ours.role_at(109.9) is LeaderRole.LEADING
    assert ours.role_at(110.0) is LeaderRole.SUSPENDED
    spec = ours.propose_record(112.0, NOW)
    assert spec is not None
    ours.note_written(our_lease(2))
    assert ours.role_at(112.1) is LeaderRole.LEADING
    assert ours.valid_until == 122.0


def test_a_renewal_keeps_term_and_transitions() -> None:
    spec = leader().propose_record(102.0, NOW + timedelta(seconds=1))
    assert spec is not None
    assert (spec["acquireTime"], spec["renewTime"], spec["leaseTransitions"]) == (
        STAMP,
        "2026-01-02T03:04:06.000006Z",
        0,
    )


@pytest.mark.parametrize(
    ("found", "at", "role"),
    [
        pytest.param(
            our_lease(2, renewTime="x"), 105.0, LeaderRole.LEADING, id="renewed, answer lost"
        ),
        pytest.param(our_lease(2), 999.0, LeaderRole.SUSPENDED, id="still ours after an age"),
        pytest.param(held("other", 2), 105.0, LeaderRole.LOST, id="held by another"),
        pytest.param(held("me", 2), 105.0, LeaderRole.LOST, id="held by another of our name"),
        pytest.param(held("", 2), 105.0, LeaderRole.LEADING, id="emptied while it is valid"),
        pytest.param(held("", 2), 115.0, LeaderRole.LOST, id="emptied after it had run out"),
        pytest.param(None, 105.0, LeaderRole.LEADING, id="deleted while it is valid"),
        pytest.param(None, 115.0, LeaderRole.LOST, id="deleted after it had run out"),
    ],
)
def test_a_leader_that_finds_its_lease(
    found: JsonObject | None, at: float, role: LeaderRole
) -> None:
    ours = leader(since=100.0)
    ours.observe_lease(found, at)
    assert ours.role_at(at) is role
    assert (ours.valid_until > at) == (role is LeaderRole.LEADING)


def test_a_lease_deleted_under_its_leader_is_made_anew_by_it() -> None:
    ours = leader(since=100.0)
    ours.observe_lease(None, 105.0)
    spec = ours.propose_record(105.0, NOW)
    assert spec is not None
    assert (ours.lease_version, spec["holderIdentity"], spec["acquireTime"]) == (
        "",
        "me",
        STAMP,
    )


def test_who_has_lost_stays_lost_and_says_to_whom() -> None:
    ours = leader()
    ours.observe_lease(held("other", 2), 105.0)
    ours.observe_lease(our_lease(3), 106.0)
    assert ours.role_at(106.0) is LeaderRole.LOST
    assert ours.why_lost == "the lease is held by other"
    assert ours.propose_record(106.0, NOW) is None


def test_what_a_leader_leaves_when_it_resigns_is_free_at_once_for_one_that_watched() -> None:
    resigning, watching = leader(), candidate("next")
    watching.observe_lease(our_lease(), 100.0)
    spec = {**our_lease()["spec"], **resigning.propose_resignation(NOW)}
    del spec["holderIdentity"]  # a merge patch removes what is None
    watching.observe_lease(lease(2, **spec), 104.0)
    assert watching.propose_record(104.0, NOW) is not None


# --- terms ----------------------------------------------------------------------------------


def acquired(text: object, by: str = "") -> JsonObject:
    return lease(holderIdentity=by, leaseDurationSeconds=15, acquireTime=text, renewTime="r1")


def bid(ours: LeaseCandidate, at: float, now: datetime = NOW) -> int:
    """Return the term of the record that is proposed, as the next candidate reads it."""
    spec = ours.propose_record(at, now)
    assert spec is not None
    ours.note_written({"metadata": {"resourceVersion": "9"}, "spec": dict(spec)})
    following = candidate("next")
    following.observe_lease({"metadata": {"resourceVersion": "9"}, "spec": dict(spec)}, at)
    assert bid_of(following, at + 99, datetime(1970, 1, 1, tzinfo=UTC)) == ours.term + 1
    return ours.term


def bid_of(ours: LeaseCandidate, at: float, now: datetime) -> int:
    spec = ours.propose_record(at, now)
    assert spec is not None
    ours.note_written({"metadata": {"resourceVersion": "10"}, "spec": dict(spec)})
    return ours.term


def test_a_term_is_when_the_lease_was_acquired_and_0_before() -> None:
    ours = candidate()
    ours.observe_lease(None, 100.0)
    assert ours.propose_record(100.0, NOW) is not None
    assert ours.term == 0
    assert leader().term == TERM


@pytest.mark.parametrize(
    ("found", "term"),
    [
        pytest.param("2026-01-02T03:04:05.000005Z", TERM, id="earlier: the present"),
        pytest.param(STAMP, TERM + 1, id="the same moment: one more"),
        pytest.param("2026-01-02T03:04:06.000006Z", TERM + 1_000_001, id="our clock is set back"),
        pytest.param("2026-01-02T03:04:06Z", TERM + 999_995, id="without a fraction"),
        pytest.param("2026-01-02T05:04:05.000006+02:00", TERM + 1, id="of another zone"),
        pytest.param("2255-01-01T00:00:00Z", 8_993_721_600_000_001, id="far in the future"),
        pytest.param("9999-12-31T23:59:59.999999Z", TERM, id="later than a term can be"),
        pytest.param("1969-01-01T00:00:00Z", TERM, id="before all terms"),
        pytest.param("0001-01-01T00:00:00+23:59", TERM, id="before all time"),
        pytest.param("2027-01-01T00:00:00", TERM, id="without a zone"),
        pytest.param("soon", TERM, id="no time"),
        pytest.param(7, TERM, id="no text"),
        pytest.param(None, TERM, id="nothing"),
    ],
)
def test_a_term_is_later_than_the_one_that_it_replaces(found: object, term: int) -> None:
    ours = candidate()
    ours.observe_lease(acquired(found), 100.0)
    assert bid(ours, 100.0) == term


def test_a_term_is_later_than_one_of_a_lease_that_was_deleted_since() -> None:
    ours = candidate()
    ours.observe_lease(acquired("2026-02-01T00:00:00Z", by="other"), 100.0)
    ours.observe_lease(None, 101.0)
    assert bid(ours, 116.0) == 1_769_904_000_000_001


def test_a_term_is_later_than_that_of_a_rival_whose_namespaces_are_taken_over() -> None:
    other = ServedScope.of_list(["shop"]).build_patch(
        {"holderIdentity": "", "acquireTime": "2026-02-01T00:00:00Z", "leaseDurationSeconds": 1},
        None,
        (),
    )
    other["metadata"]["resourceVersion"] = "1"
    ours = candidate()
    ours.observe_lease(other, 100.0)
    assert bid(ours, 100.0) == 1_769_904_000_000_001


def test_each_bid_is_a_term_of_its_own_though_the_clock_stands() -> None:
    ours = candidate()
    ours.observe_lease(None, 100.0)
    assert ours.propose_record(100.0, NOW) is not None
    ours.note_conflict(100.0)
    ours.observe_lease(None, 100.1)
    assert bid(ours, 120.0) == TERM + 1


@pytest.mark.parametrize("year", [2255, 9999])
def test_a_clock_that_is_wrong_by_centuries_leaves_terms_to_those_that_follow(year: int) -> None:
    ours = candidate()
    ours.observe_lease(None, 100.0)
    assert bid(ours, 100.0, datetime(year, 12, 31, tzinfo=UTC)) == 2**53 - 1 - 2**40


# --- other scopes ---------------------------------------------------------------------------

SHOP, BOTH, BANK = (
    ServedScope.of_list(["shop"]),
    ServedScope.of_list(["shop", "bank"]),
    ServedScope.of_list(["bank"]),
)


def listed(scope: ServedScope, by: str, *, renewed: str = "r1", seconds: int = 15) -> JsonObject:
    """Return a lease in which somebody serves some namespaces."""
    spec = {"holderIdentity": by, "leaseDurationSeconds": seconds, "renewTime": renewed}
    made = scope.build_patch({k: v for k, v in spec.items() if v}, None, ())
    made["metadata"]["resourceVersion"] = "1"
    return made


@pytest.mark.parametrize("mine", [ServedScope(), SHOP, BOTH])
def test_what_another_scope_serves_is_not_taken_while_that_one_is_there(mine: ServedScope) -> None:
    found = held("other") if mine.namespaces else listed(BOTH, "other")
    ours = LeaseCandidate(identity="me", duration=DURATION, scope=mine)
    for at in range(100, 200, 5):
        found["spec"] = {**found["spec"], "renewTime": str(at)} if mine.namespaces else {}
        if not mine.namespaces:
            found |= listed(BOTH, "other", renewed=str(at))
        ours.observe_lease(found, at)
        assert ours.propose_record(at, NOW) is None
        assert ours.name_rival(at).startswith("other serves ")


def test_scopes_that_share_no_namespace_do_not_wait_for_each_other() -> None:
    ours = LeaseCandidate(identity="me", duration=DURATION, scope=SHOP)
    ours.observe_lease(listed(BANK, "other"), 100.0)
    assert ours.name_rival(100.0) == ""
    assert ours.propose_record(100.0, NOW) is not None


def test_a_rival_that_is_silent_for_two_durations_is_outlived_and_its_record_taken_away() -> None:
    ours = LeaseCandidate(identity="me", duration=DURATION, scope=SHOP)
    ours.observe_lease(held("other"), 100.0)
    assert ours.name_rival(129.9) == "other serves all namespaces"
    assert ours.propose_record(129.9, NOW) is None
    spec = ours.propose_record(130.0, NOW)
    assert spec is not None
    body = ours.build_patch(spec)
    assert set(body["spec"].values()) == {None}
    assert "shop" in body["metadata"]["annotations"][SHOP.annotation_name]


@pytest.mark.parametrize(("first", "free_at"), [(True, 100.0), (False, 135.0)])
def test_whoever_stands_by_for_a_rival_that_resigned_goes_first(
    first: bool, free_at: float
) -> None:
    ours = LeaseCandidate(identity="me", duration=DURATION)
    if not first:
        ours.observe_lease(listed(SHOP, "other"), 100.0)
    ours.observe_lease(listed(SHOP, "", seconds=1), 100.0 if first else 105.0)
    assert ours.name_rival(free_at) == ""
    assert free_at == 100.0 or ours.propose_record(free_at - 0.1, NOW) is None
    assert ours.propose_record(free_at, NOW) is not None


def test_a_lease_that_is_deleted_does_not_end_a_rivals_time() -> None:
    ours = LeaseCandidate(identity="me", duration=DURATION, scope=SHOP)
    ours.observe_lease(held("other"), 100.0)
    ours.observe_lease(None, 105.0)
    assert ours.propose_record(134.9, NOW) is None
    assert ours.propose_record(135.0, NOW) is not None


def test_a_leader_ends_when_a_rival_has_taken_its_record_away() -> None:
    ours = leader()
    ours.observe_lease(listed(SHOP, "other"), 140.0)
    assert ours.role_at(140.0) is LeaderRole.LOST
    assert ours.why_lost == "other serves namespace shop"


@pytest.mark.parametrize(
    "record",
    [
        "nonsense",
        pytest.param("[" * 100_000, id="nested too deep"),
        '{"namespaces":["bank"],"holderIdentity":"x","leaseDurationSeconds":"15s"}',
        '{"namespaces":["bank"],"holderIdentity":"x","leaseDurationSeconds":[1]}',
        '{"namespaces":["bank"],"holderIdentity":"x","leaseDurationSeconds":1e999}',
        '{"namespaces":["bank"],"holderIdentity":"x","leaseTransitions":"x"}',
    ],
)
def test_a_record_that_cannot_be_read_may_be_anybodys_and_is_outlived(record: str) -> None:
    broken = lease()
    broken["metadata"]["annotations"] = {f"{BANK.annotation_name}": record}
    ours = LeaseCandidate(identity="me", duration=DURATION, scope=SHOP)
    ours.observe_lease(broken, 100.0)
    assert ours.propose_record(129.0, NOW) is None
    spec = ours.propose_record(130.0, NOW)
    assert spec is not None
    assert ours.build_patch(spec)["metadata"]["annotations"][BANK.annotation_name] is None
