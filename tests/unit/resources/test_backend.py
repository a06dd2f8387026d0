"""A Backend's status shows its health, and a restarted operator reads it back."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.examples import examples
from vpplb.model.health import BackendHealth, HealthState, HealthTransition
from vpplb.model.names import ObjectKey
from vpplb.resources.backend import dump_health, load_health

KEY = ObjectKey("shop", "a")
AT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
UP = HealthTransition(
    backend=KEY,
    from_state=HealthState.UNKNOWN,
    to_state=HealthState.UP,
    at=AT,
    code="L7OK",
    detail="200 OK",
)
PAUSED = HealthTransition(
    backend=KEY,
    from_state=HealthState.UP,
    to_state=HealthState.PAUSED,
    at=AT + timedelta(minutes=1),
)

states = st.sampled_from(HealthState)
times = st.integers(0, 10**15).map(lambda n: AT + timedelta(microseconds=n))
transitions = st.builds(
    HealthTransition,
    backend=st.just(KEY),
    from_state=states,
    to_state=states,
    at=times,
    code=st.sampled_from(["", "L4TOUT"]),
    detail=st.sampled_from(["", "503 Service Unavailable", "héllo"]),
)
healths = st.builds(
    BackendHealth,
    state=states,
    since=st.none() | times,
    code=st.sampled_from(["", "L7OK"]),
    detail=st.sampled_from(["", "503 Service Unavailable", "héllo"]),
    held=st.booleans(),
    transitions=st.lists(transitions, max_size=3).map(tuple),
)


def test_is_written_as_the_contract_says_without_what_is_not_known() -> None:
    health = BackendHealth(state=HealthState.PAUSED, since=AT, transitions=(PAUSED, UP))
    assert dump_health(health).dump_json() == {
        "state": "paused",
        "since": "2026-01-02T03:04:05.000006Z",
        "transitions": [
            {"from": "up", "to": "paused", "at": "2026-01-02T03:05:05.000006Z"},
            {
                "from": "unknown",
                "to": "up",
                "at": "2026-01-02T03:04:05.000006Z",
                "code": "L7OK",
                "detail": "200 OK",
            },
        ],
        "conditions": [],
    }


@pytest.mark.slow
@settings(max_examples=examples(40))
@given(health=healths)
def test_what_is_read_is_what_was_written(health: BackendHealth) -> None:
    written = json.loads(json.dumps(dump_health(health).dump_json()))
    assert load_health(KEY, written) == health


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        3,
        [],
        {},
        {"state": "great"},
        {"state": 3},
        {"state": "up", "since": "yesterday"},
        {"state": "up", "since": "2026-01-02T03:04:05"},
        {"state": "up", "held": "perhaps"},
        {"state": "up", "code": 7},
    ],
)
def test_garbage_is_the_same_as_no_status(garbage: object) -> None:
    assert load_health(KEY, garbage) == BackendHealth()


def test_only_the_readable_entries_of_the_history_are_kept() -> None:
    good = {"from": "unknown", "to": "up", "at": "2026-01-02T04:04:05.000006+01:00"}
    history = [{"from": "up"}, good, 7, good | {"to": "removed"}, good | {"at": "x"}]
    loaded = load_health(KEY, {"state": "down", "transitions": history})
    assert loaded.state is HealthState.DOWN
    assert [t.to_state for t in loaded.transitions] == [HealthState.UP]
    assert loaded.transitions[0].at == AT
    assert load_health(KEY, {"state": "down", "transitions": "x"}).transitions == ()


def test_what_a_newer_version_adds_is_ignored() -> None:
    assert load_health(KEY, {"state": "up", "mood": "fine"}).state is HealthState.UP


def test_times_are_written_in_utc_whatever_their_zone() -> None:
    at = AT.astimezone(timezone(timedelta(hours=2)))
    assert (
        dump_health(BackendHealth(since=at)).dump_json()["since"] == "2026-01-02T03:04:05.000006Z"
    )
