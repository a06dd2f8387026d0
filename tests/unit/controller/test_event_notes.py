"""Events: every row of the contract, each once, and none that nobody is helped by."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from data.objects import NOON, backend, frontend, health_check, key, pool, vip
from in_memory.world import World
from vpplb.controller.event_notes import (
    Announcement,
    announce_frontend,
    note_frontend_changes,
    note_transition,
    read_announcement,
)
from vpplb.model.health import HealthState, HealthTransition
from vpplb.model.problem import Problem
from vpplb.plan.decisions import UnreadFrontend
from vpplb.plan.pools import MemberWeight

UNKNOWN, UP, DOWN, PAUSED, DISABLED = (
    HealthState.UNKNOWN,
    HealthState.UP,
    HealthState.DOWN,
    HealthState.PAUSED,
    HealthState.DISABLED,
)
SERVING = Announcement(state="up", pool="first")
PROBLEM = Problem(
    kind="Frontend", key=key("web"), reason="Invalid", message="is too long", field="spec.port"
)


def transition(before: HealthState, after: HealthState, **seen: str) -> HealthTransition:
    return HealthTransition(backend=key("a"), from_state=before, to_state=after, at=NOON, **seen)


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        (UNKNOWN, UP, ("Normal", "BackendUp")),
        (DOWN, UP, ("Normal", "BackendUp")),
        (UP, DOWN, ("Warning", "BackendDown")),
        (UNKNOWN, DOWN, ("Warning", "BackendDown")),
        (UP, PAUSED, ("Normal", "BackendPaused")),
        (PAUSED, UNKNOWN, ("Normal", "BackendResumed")),
        (PAUSED, DISABLED, ("Normal", "BackendDisabled")),
        (DOWN, DISABLED, ("Normal", "BackendDisabled")),
        (DISABLED, UNKNOWN, ("Normal", "BackendEnabled")),
        (DISABLED, PAUSED, ("Normal", "BackendPaused")),
    ],
)
def test_each_transition_has_its_event(
    before: HealthState, after: HealthState, event: tuple[str, str]
) -> None:
    (note,) = note_transition(transition(before, after), {key("web"): None})
    assert (note.type, note.reason) == event
    assert f"{before.value} → {after.value}" in note.text


@pytest.mark.parametrize("before", [UP, DOWN])
def test_a_check_that_was_edited_is_no_event(before: HealthState) -> None:
    assert not list(note_transition(transition(before, UNKNOWN), {key("web"): None}))


def test_a_transition_is_one_event_for_each_frontend_and_says_what_was_seen() -> None:
    seen = transition(UP, DOWN, code="L4CON", detail="connection refused")
    notes = list(note_transition(seen, {key("web"): None, key("api"): None}))
    assert [note.text for note in notes] == [
        "up → down (L4CON: connection refused) in frontend api",
        "up → down (L4CON: connection refused) in frontend web",
    ]


async def test_two_frontends_hear_of_one_backend_each_as_its_status_shows_it() -> None:
    world = World()
    one = frontend("one", pool("p", a=10))
    two = frontend("two", pool("p", b=7), pool("q", a=30), on=vip(port=443))
    world.put(health_check(), backend("a", "10.0.0.1"), backend("b", "10.0.0.2"), one, two)
    world.verdict("b", up=True)
    world.verdict("a", up=True)
    notes = note_transition(world.sink.transitions[-1], world.reconciler.views)
    assert [note.text for note in notes] == [
        "unknown → up (L4OK) in frontend one: effective weight 10 of 10 in pool p",
        "unknown → up (L4OK) in frontend two: effective weight 0 of 30 in pool q",
    ]


class _Members(tuple[MemberWeight, ...]):
    """Members that are looked up, never gone through."""

    def __iter__(self) -> Iterator[MemberWeight]:
        raise AssertionError("all members were looked at for one backend")


async def test_a_transition_costs_the_same_however_many_members_its_frontend_has() -> None:
    world = World()
    many = {f"b{n}": 1 for n in range(50)}
    world.put(frontend("web", pool("p", a=10, **many), pool("q", a=3)), backend("a", "10.0.0.1"))
    world.put(*(backend(name, f"10.0.1.{name[1:]}") for name in many))
    view = world.reconciler.views[key("web")]
    decision = replace(view.decision, members=_Members(view.decision.members))
    (note,) = note_transition(
        transition(UNKNOWN, UP), {key("web"): replace(view, decision=decision)}
    )
    assert note.text.endswith("weight 0 of 10 in pool p, effective weight 0 of 3 in pool q")


def test_a_transition_of_a_backend_without_frontends_is_no_event() -> None:
    assert not list(note_transition(transition(UP, PAUSED), {}))


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        (Announcement(), SERVING, [("Normal", "FrontendUp", "pool first serves")]),
        (
            SERVING,
            Announcement(state="down"),
            [("Warning", "FrontendDown", "no backend can serve")],
        ),
        (
            Announcement(state="down"),
            SERVING,
            [("Normal", "FrontendUp", "pool first serves")],
        ),
        (
            SERVING,
            Announcement(state="up", pool="second"),
            [("Normal", "PoolFailover", "from pool first to pool second")],
        ),
        (SERVING, replace(SERVING, refused="no"), [("Warning", "NotAccepted", "no")]),
        (replace(SERVING, refused="no"), SERVING, []),
        (SERVING, SERVING, []),
        (Announcement(), Announcement(state="unknown"), []),
        (Announcement(refused="no"), Announcement(refused="no"), []),
        (
            Announcement(refused="no"),
            Announcement(refused="not so"),
            [("Warning", "NotAccepted", "not so")],
        ),
    ],
)
def test_a_frontend_tells_what_is_new(
    before: Announcement, after: Announcement, events: list[tuple[str, str, str]]
) -> None:
    assert [tuple(note) for note in note_frontend_changes(before, after)] == events


def test_going_up_in_another_pool_is_not_also_a_failover() -> None:
    after = Announcement(state="up", pool="second")
    reasons = [
        note.reason
        for note in note_frontend_changes(Announcement(state="down", pool="first"), after)
    ]
    assert reasons == ["FrontendUp"]


def test_a_frontend_that_was_never_understood_announces_why() -> None:
    after = announce_frontend(Announcement(), UnreadFrontend(problems=(PROBLEM,)))
    assert after == Announcement(refused="spec.port: is too long")


async def test_a_newer_version_that_is_not_understood_is_announced_beside_what_runs_on() -> None:
    world = World()
    world.put(health_check(), backend("a", "10.0.0.1"), frontend("web", pool("first", a=10)))
    world.verdict("a", up=True)
    view = world.reconciler.views[key("web")]
    after = announce_frontend(SERVING, replace(view, invalid=(PROBLEM,)))
    assert after == replace(SERVING, refused="spec.port: is too long")


async def test_a_conflict_is_announced() -> None:
    world = World()
    world.put(frontend("web", pool("p", a=10)), frontend("old", pool("p", a=10), age=9))
    after = announce_frontend(Announcement(), world.reconciler.views[key("web")])
    assert "is the VIP of Frontend default/old" in after.refused


def test_what_is_not_understood_leaves_what_was_announced_in_force() -> None:
    after = announce_frontend(SERVING, UnreadFrontend(problems=(PROBLEM,)))
    assert after == replace(SERVING, refused="spec.port: is too long")


def test_what_was_announced_is_read_from_the_status() -> None:
    status = {
        "state": "up",
        "activePool": "first",
        "conditions": [
            {"type": "Accepted", "status": "False", "reason": "Conflict", "message": "taken"},
        ],
    }
    assert read_announcement(status) == Announcement(state="up", pool="first", refused="taken")


@pytest.mark.parametrize("status", [None, {}, "nonsense", {"state": None, "conditions": "none"}])
def test_a_status_that_says_nothing_has_announced_nothing(status: object) -> None:
    assert read_announcement(status) == Announcement()
