"""What a status shows: read leniently, part by part, and as our own models write it."""

from typing import Any

import pytest

from data.cluster_objects import TWO, condition, decided_backend, decided_frontend
from vpplb.cli.verbs.shown_status import (
    read_shown_backend,
    read_shown_frontend,
    read_shown_node,
)
from vpplb.model.health import HealthState
from vpplb.resources.dataplane import DataplaneError, DataplaneFrontends, DataplaneStatus
from vpplb.resources.frontend import FrontendStatus
from vpplb.resources.stored import read_status


def test_what_our_models_write_is_shown_whole() -> None:
    raw = decided_frontend()
    shown, written = read_shown_frontend(raw), read_status(raw, FrontendStatus)
    assert shown.odd == ()
    assert (shown.state, shown.active_pool, shown.ready) == (
        written.state, written.active_pool, written.ready,
    )  # fmt: skip
    assert [(one.pool, one.name, one.address) for one in shown.members] == [
        (one.pool, one.name, one.address) for one in TWO
    ]
    assert shown.vip is not None
    assert str(shown.vip.vip) == "192.0.2.10/32 tcp/80"
    assert [(one.type, one.status) for one in shown.conditions] == [
        (one.type, one.status) for one in written.conditions
    ]
    backend = read_shown_backend(decided_backend("a", "10.0.0.1", transitions=[("up", "down", 3)]))
    assert backend.odd == ()
    assert (backend.state, backend.code, len(backend.transitions)) == (HealthState.UP, "L7OK", 1)


def test_a_node_is_shown_as_it_is_written() -> None:
    status = DataplaneStatus(
        frontends=DataplaneFrontends.summarize_frontends(1, 2),
        programmed={"default/web": "r1"},
        errors=(DataplaneError(frontend="default/api", message="no memory"),),
        others=3,
    )
    shown = read_shown_node({"metadata": {}, "status": status.dump_json()})
    assert (shown.programmed_count, shown.total, shown.others) == (1, 2, 3)
    assert (shown.programmed, shown.errors) == (
        {"default/web": "r1"}, {"default/api": "no memory"},
    )  # fmt: skip
    assert shown.odd == ()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("state", "sleepy"),
        ("state", 7),
        ("code", []),
        ("since", "yesterday"),
        ("since", "2025-01-01T12:00:00"),
        ("held", "yes"),
        ("frontends", -1),
        ("frontends", True),
        ("transitions", {}),
        ("transitions", [{"from": "up"}]),
        ("transitions", [7]),
        ("conditions", "none"),
        ("conditions", [{"type": "Accepted", "status": "maybe", "reason": "x"}]),
    ],
)
def test_a_part_that_makes_no_sense_is_as_if_absent_and_named(part: str, value: Any) -> None:
    shown = read_shown_backend(decided_backend("a", "10.0.0.1", status={part: value}))
    absent = read_shown_backend(decided_backend("a", "10.0.0.1", status={part: None}))
    assert shown.odd == (part,)
    assert [getattr(shown, name) for name in ("state", "code", "since", "held", "frontends")] == [
        getattr(absent, name) for name in ("state", "code", "since", "held", "frontends")
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"prefix": "192.0.2.10/99"},
        {"protocol": "SCTP"},
        {"port": "80"},
        {"flowTableLength": 0},
        {"servers": [{"address": "nowhere", "weight": 1}]},
        {"servers": 7},
        {"revision": None},
    ],
)
def test_a_vip_that_cannot_be_read_is_none(change: dict[str, Any]) -> None:
    raw = decided_frontend()
    raw["status"]["dataplane"] = {**raw["status"]["dataplane"], **change}
    shown = read_shown_frontend(raw)
    assert (shown.vip, shown.odd) == (None, ("dataplane",))


def test_the_first_condition_of_a_type_counts_and_others_are_not_hidden_by_odd_ones() -> None:
    conditions = [condition("A", "True"), {"type": 7}, condition("A", "False"), condition("B")]
    shown = read_shown_backend({"metadata": {}, "status": {"conditions": conditions}})
    assert [(one.type, one.status) for one in shown.conditions] == [("A", "True"), ("B", "True")]
    assert shown.odd == ("conditions",)


@pytest.mark.parametrize("status", ["text", 7, []])
def test_a_status_that_is_none_is_odd_as_a_whole(status: Any) -> None:
    assert read_shown_backend({"metadata": {}, "status": status}).odd == ("all of it",)
