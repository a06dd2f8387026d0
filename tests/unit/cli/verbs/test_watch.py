"""`kubectl vpplb watch`: a line for each thing that happens, whoever was away meanwhile."""

import json
from datetime import datetime
from typing import Any

import pytest

from data.cluster_objects import (
    TWO,
    InPool,
    at,
    condition,
    decided_backend,
    decided_frontend,
    node_dataplane,
)
from fakes.user_client import FakeUserClient
from in_memory.plugin import call
from vpplb.cli.verbs.watch import ChangeFollower, WatchedChange
from vpplb.kube.api_types import ApiError, ApiUnreachable, Gone, JsonObject, KubeError
from vpplb.kube.user_api.user_client import WatchEvent
from vpplb.model.names import ObjectKind

UP = ("down", "up", 5.0)
DOWN = ("up", "down", 9.0)


def backend(*transitions: tuple[str, str, float]) -> JsonObject:
    return decided_backend("a", "10.0.0.1", "down", transitions=transitions)


def watch(console: FakeUserClient, *arguments: str) -> list[str]:
    """Return the lines without their times, until the changes have been told."""
    result = call(console, "watch", *arguments)
    assert result.exit_code == 130, result.output
    return [line.split("  ", 1)[1] for line in result.stdout.splitlines()]


def test_a_transition_is_told_when_it_happens_and_those_before_are_not() -> None:
    console = FakeUserClient((ObjectKind.BACKEND, backend(UP)))
    console.changes = {ObjectKind.BACKEND: [WatchEvent("MODIFIED", backend(DOWN, UP))]}
    assert watch(console) == ["backend   default/a  up → down  L4CON  connection refused"]


def test_with_history_those_that_are_remembered_come_first() -> None:
    console = FakeUserClient((ObjectKind.BACKEND, backend(UP)))
    console.changes = {ObjectKind.BACKEND: [WatchEvent("MODIFIED", backend(DOWN, UP))]}
    assert [line.split("  ")[2] for line in watch(console, "--history")] == [
        "down → up", "up → down",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fault",
    [Gone(410, "Expired"), ApiUnreachable("connection reset"), ApiError(503, "", "starting")],
)
def test_what_happened_while_the_watch_was_broken_comes_late_but_comes(fault: Any) -> None:
    console = FakeUserClient((ObjectKind.BACKEND, backend(UP)))

    class Meanwhile(list[Any]):
        def pop(self, _: Any = 0) -> Any:
            told = super().pop(0)
            if told is fault:  # two transitions while nobody watched
                console.objects[ObjectKind.BACKEND, next(iter(console.objects))[1]] = backend(
                    ("down", "up", 11), DOWN, UP
                )
            return told

    console.changes = {ObjectKind.BACKEND: Meanwhile([fault, WatchEvent("BOOKMARK", backend())])}
    assert [line.split("  ")[2] for line in watch(console)] == ["up → down", "down → up"]


def test_a_right_that_is_missing_ends_it() -> None:
    console = FakeUserClient()
    console.changes = {ObjectKind.BACKEND: [ApiError(403, "Forbidden", "you may not watch")]}
    result = call(console, "watch")
    assert (result.exit_code, result.output) == (1, "Error: you may not watch\n")


def test_a_failover_and_an_outage_of_a_frontend_are_told() -> None:
    spare = InPool("spare", "c", "10.0.0.3")
    down = [one._replace(state="down", effective=0) for one in TWO]
    console = FakeUserClient((ObjectKind.FRONTEND, decided_frontend(members=[*TWO, spare])))
    console.changes = {
        ObjectKind.FRONTEND: [
            WatchEvent("MODIFIED", decided_frontend(members=[*down, spare])),
            WatchEvent("MODIFIED", decided_frontend(members=down)),
            WatchEvent("DELETED", decided_frontend(members=down)),
        ]
    }
    assert watch(console) == [
        "frontend  default/web  pool main → spare  failover",
        "frontend  default/web  up → down  0/2 backends are up",
        "frontend  default/web  deleted",
    ]


def test_json_is_an_object_a_line() -> None:
    console = FakeUserClient((ObjectKind.BACKEND, backend(UP)))
    console.changes = {ObjectKind.BACKEND: [WatchEvent("MODIFIED", backend(DOWN, UP))]}
    (line,) = call(console, "watch", "-o", "json").stdout.splitlines()
    told = json.loads(line)
    assert datetime.fromisoformat(told.pop("at")) == datetime.fromisoformat(at(9))
    assert told == {
        "kind": "Backend",
        "object": "default/a",
        "what": "state",
        "before": "up",
        "after": "down",
        "code": "L4CON",
        "detail": "connection refused",
    }


def test_what_is_made_while_it_watches_is_told_from_its_beginning() -> None:
    told: list[WatchedChange] = []
    follower = ChangeFollower(told.append)
    follower.on_upsert(ObjectKind.BACKEND, backend(UP))
    assert told == []
    follower.begun |= {ObjectKind.BACKEND, ObjectKind.FRONTEND}
    new = decided_backend("new", "10.0.0.9", transitions=[("unknown", "up", 3)])
    follower.on_upsert(ObjectKind.BACKEND, new)
    follower.on_upsert(ObjectKind.FRONTEND, decided_frontend())
    follower.on_upsert(ObjectKind.FRONTEND, decided_frontend())
    assert [(one.object, one.before, one.after) for one in told] == [
        ("default/new", "unknown", "up"),
        ("default/web", "unknown", "up"),
    ]


def test_what_is_wrong_with_a_frontend_is_told_as_it_comes_and_goes() -> None:
    wrong = condition("Degraded", "True", "FailedOver", "pool spare serves in place of main")
    degraded = decided_frontend(conditions=[wrong], status={"problem": "FailedOver"})
    console = FakeUserClient((ObjectKind.FRONTEND, decided_frontend()))
    changed: list[WatchEvent | KubeError] = [
        WatchEvent("MODIFIED", one) for one in (degraded, decided_frontend())
    ]
    console.changes = {ObjectKind.FRONTEND: changed}
    assert watch(console) == [
        "frontend  default/web  problem none → FailedOver  pool spare serves in place of main",
        "frontend  default/web  problem FailedOver → none",
    ]


def test_an_agent_that_is_lost_is_told_and_who_may_not_see_nodes_watches_on() -> None:
    gone = condition("Connected", "Unknown", "AgentGone", "the agent's lease has run out")
    lost = node_dataplane("n1", conditions=[gone])
    console = FakeUserClient((ObjectKind.DATAPLANE, node_dataplane("n1")))
    console.changes = {ObjectKind.DATAPLANE: [WatchEvent("MODIFIED", lost)]}
    [line] = watch(console)
    assert line.startswith("dataplane  n1  node ")
    assert line.endswith("→ AgentGone  the agent's lease has run out")
    console.forbidden = {(ObjectKind.DATAPLANE, "")}
    console.changes = {ObjectKind.BACKEND: [WatchEvent("MODIFIED", backend(DOWN, UP))]}
    result = call(console, "watch", "--history")
    assert "note: nodes are not known" in result.stderr
    assert result.exit_code == 130


def test_a_lease_that_is_not_renewed_is_told_to_whoever_watches() -> None:
    spec = {
        "holderIdentity": "op_1",
        "leaseDurationSeconds": 15,
        "renewTime": "2026-01-01T12:00:00Z",
    }
    metadata = {"name": "vpplb-operator", "namespace": "kube-system"}
    console = FakeUserClient(
        (ObjectKind.LEASE, {"metadata": metadata, "spec": spec}),
        (ObjectKind.BACKEND, backend(UP)),
    )
    console.changes = {ObjectKind.BACKEND: [WatchEvent("MODIFIED", backend(DOWN, UP))]}
    said = "nobody has probed since: op_1 does not renew its lease"
    assert any("probed → stale" in line and said in line for line in watch(console))
