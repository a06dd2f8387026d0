"""Conditions remember when their status changed last."""

from datetime import UTC, datetime, timedelta

import pytest

from vpplb.resources.conditions import (
    StatusCondition,
    find_condition,
    load_condition,
    load_conditions,
    set_condition,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)
ACCEPTED = StatusCondition(type="Accepted", status="True", reason="Accepted")
CONFLICT = StatusCondition(type="Accepted", status="False", reason="Conflict")
HEALTHY = StatusCondition(type="Healthy", status="True", reason="Up")


def test_a_new_condition_is_appended_with_the_time() -> None:
    conditions = set_condition(set_condition((), ACCEPTED, NOON), HEALTHY, LATER)
    assert [c.type for c in conditions] == ["Accepted", "Healthy"]
    assert [c.last_transition_time for c in conditions] == [NOON, LATER]


def test_the_time_stays_while_the_status_does() -> None:
    before = set_condition((), CONFLICT, NOON)
    other = CONFLICT.model_copy(update={"reason": "Invalid", "observed_generation": 2})
    [after] = set_condition(before, other, LATER)
    assert after.last_transition_time == NOON
    assert (after.reason, after.observed_generation) == ("Invalid", 2)


def test_the_time_moves_with_the_status_and_the_place_stays() -> None:
    before = set_condition(set_condition((), ACCEPTED, NOON), HEALTHY, NOON)
    after = set_condition(before, CONFLICT, LATER)
    assert [c.type for c in after] == ["Accepted", "Healthy"]
    assert find_condition(after, "Accepted") == CONFLICT.model_copy(
        update={"last_transition_time": LATER}
    )
    assert find_condition(after, "Healthy") == find_condition(before, "Healthy")


def test_what_is_not_there_is_not_found() -> None:
    assert find_condition((ACCEPTED,), "Healthy") is None


def test_is_dumped_as_kubernetes_writes_conditions_without_what_is_none() -> None:
    [condition] = set_condition((), ACCEPTED, NOON)
    assert condition.dump_json() == {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "lastTransitionTime": "2026-01-01T12:00:00.000000Z",
    }
    assert StatusCondition.model_validate(condition.dump_json()) == condition


def test_conditions_that_make_no_sense_are_left_out() -> None:
    good = {"type": "Accepted", "status": "True", "reason": "Accepted"}
    status = {"conditions": [good, "nonsense", {"type": "X"}, {**good, "status": "Perhaps"}]}
    assert [one.type for one in load_conditions(status)] == ["Accepted"]
    assert load_conditions({"conditions": "nonsense"}) == ()
    assert load_conditions(None) == ()


def test_of_two_conditions_of_one_type_the_first_is_read() -> None:
    twice = [{"type": "A", "status": "True", "reason": reason} for reason in ("First", "Second")]
    assert [one.reason for one in load_conditions({"conditions": twice})] == ["First"]


@pytest.mark.parametrize(
    "status",
    [
        {
            "conditions": [
                None,
                {"type": "A", "status": "perhaps", "reason": "Senseless"},
                {"type": "B", "status": "True", "reason": "Other"},
                {"type": "A", "status": "True", "reason": "First"},
                {"type": "A", "status": "True", "reason": "Second"},
            ]
        },
        {"conditions": [{"type": "B", "status": "True", "reason": "Other"}, {}]},
        {"conditions": "nonsense"},
        {},
        None,
    ],
)
def test_one_condition_is_read_as_among_all(status: object) -> None:
    assert load_condition(status, "A") == find_condition(load_conditions(status), "A")
