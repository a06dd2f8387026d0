"""`kubectl vpplb status`: a line a frontend, or all that explains one."""

from typing import Any

import pytest

from data.cluster_objects import (
    InPool,
    at,
    condition,
    decided_backend,
    decided_frontend,
    node_dataplane,
)
from data.objects import vip
from fakes.user_client import FakeUserClient
from in_memory.plugin import call, parsed, told
from vpplb.kube.api_types import JsonObject, cluster_key
from vpplb.model.names import ObjectKind
from vpplb.resources.dataplane_codec import load_dataplane

POOLS = (
    InPool("main", "a", "10.0.0.1", weight=60, effective=60),
    InPool("main", "b", "10.0.0.2", "down", effective=0),
    InPool("spare", "c", "10.0.0.3", effective=0),
)
FAILED = condition("Programmed", "False", "NodeFailed", "0 of 1 nodes; n1: no memory")


def revision(frontend: JsonObject) -> str:
    loaded = load_dataplane(frontend["status"])
    assert loaded is not None
    return loaded[2]


def detailed(**frontend: Any) -> FakeUserClient:
    """Return a cluster with frontend `web` of three backends on node n1."""
    web = decided_frontend(members=POOLS, **frontend)
    return FakeUserClient(
        (ObjectKind.FRONTEND, web),
        (ObjectKind.BACKEND, decided_backend("a", "10.0.0.1", transitions=[("down", "up", 5)])),
        (
            ObjectKind.BACKEND,
            decided_backend("b", "10.0.0.2", "down", transitions=[("up", "down", 9)]),
        ),
        (ObjectKind.BACKEND, decided_backend("c", "10.0.0.3")),
        (ObjectKind.DATAPLANE, node_dataplane(programmed={"default/web": revision(web)})),
    )


def test_each_frontend_has_a_line_with_what_serves_and_on_how_many_nodes() -> None:
    two = decided_frontend("api", on=vip("2001:db8::1/128", 0))
    lines = told(
        FakeUserClient((ObjectKind.FRONTEND, decided_frontend()), (ObjectKind.FRONTEND, two)),
        "status",
    )
    assert lines == [
        ["NAME", "VIP", "STATE", "POOL", "READY", "NODES", "PROBLEM"],
        ["api", "2001:db8::1/128 any", "up", "main", "2/2", "1/1", "-"],
        ["web", "192.0.2.10/32 tcp/80", "up", "main", "2/2", "1/1", "-"],
    ]


def test_of_several_problems_the_first_is_shown_and_the_others_counted() -> None:
    degraded = condition("Degraded", "True", "WeightsFlattened", "far off")
    console = FakeUserClient((ObjectKind.FRONTEND, decided_frontend(conditions=[FAILED, degraded])))
    assert told(console, "status")[1][-1] == (
        "NodeFailed: 0 of 1 nodes; n1: no memory (and 1 more)"
    )
    assert [one["reason"] for one in parsed(console, "status")[0]["problems"]] == [
        "NodeFailed",
        "WeightsFlattened",
    ]


def test_what_waits_for_a_node_says_why_that_does_nothing() -> None:
    pending = condition("Programmed", "False", "Pending", "0 of 1 nodes have it, not n1")
    console = FakeUserClient(
        (ObjectKind.FRONTEND, decided_frontend(conditions=[pending], nodeSelector={"edge": "1"})),
        (ObjectKind.FRONTEND, decided_frontend("zed", conditions=[pending])),
    )
    assert told(console, "status")[1][-1] == "Pending: 0 of 1 nodes have it, not n1"
    gone = condition("Connected", "False", "VppUnreachable", "api.sock: no such file")
    console.objects |= FakeUserClient(
        (ObjectKind.DATAPLANE, node_dataplane("n0")),
        (ObjectKind.DATAPLANE, node_dataplane("n1", conditions=[gone])),
        (ObjectKind.DATAPLANE, node_dataplane("n2", spec={"paused": True})),
    ).objects
    lines = told(console, "status")
    assert lines[1][-1] == "Pending: 0 of 1 nodes have it, not n1"
    assert lines[2][-1] == (
        "Pending: 0 of 1 nodes have it, not n1; node n1: api.sock: no such file;"
        " node n2: the Dataplane is paused: hands off its VPP"
    )
    del console.objects[ObjectKind.DATAPLANE, cluster_key("n1")]["status"]
    assert "node n1: no status; node n2: " in told(console, "status")[2][-1]
    console.forbidden = {(ObjectKind.DATAPLANE, "")}
    result = call(console, "status")
    assert (result.exit_code, "note: nodes are not known" in result.stderr) == (0, True)


def test_of_many_nodes_that_do_nothing_the_first_are_named_and_the_others_counted() -> None:
    pending = condition("Programmed", "False", "Pending", "0 of 4 nodes have it")
    paused = [node_dataplane(f"n{n}", spec={"paused": True}) for n in range(4)]
    console = FakeUserClient(
        (ObjectKind.FRONTEND, decided_frontend(conditions=[pending])),
        *((ObjectKind.DATAPLANE, one) for one in paused),
    )
    said = told(console, "status")[1][-1]
    assert said.endswith("node n2: the Dataplane is paused: hands off its VPP; and 1 more")


def test_what_keeps_a_frontend_from_serving_as_it_should_is_a_problem_and_the_sum_is_none() -> None:
    degraded = condition("Degraded", "True", "BackendsDown", "1 of 2 backends are not up")
    ready = condition("Ready", "True", "Degraded")
    raw = decided_frontend(conditions=[degraded, ready])
    console = FakeUserClient((ObjectKind.FRONTEND, raw))
    said = told(console, "status", "--problems")
    assert said[1][-1] == "BackendsDown: 1 of 2 backends are not up"
    refused = condition("Ready", "False", "NotAccepted")
    console = FakeUserClient((ObjectKind.FRONTEND, decided_frontend(conditions=[refused])))
    assert told(console, "status", "--problems") == [["no problems: 1 frontend"]]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"status": {"conditions": []}}, "NoStatus: nobody has written its status yet"),
        ({"status": {"observedGeneration": 0}},
         "NotSeenYet: its status is that of generation 0, it is at 1"),
    ],
)  # fmt: skip
def test_an_operator_that_has_not_looked_is_a_problem_too(
    change: dict[str, Any], problem: str
) -> None:
    assert (
        told(FakeUserClient((ObjectKind.FRONTEND, decided_frontend(**change))), "status")[1][-1]
        == problem
    )


def test_a_frontend_without_any_status_is_shown_as_it_was_written() -> None:
    raw = decided_frontend()
    del raw["status"]
    assert told(FakeUserClient((ObjectKind.FRONTEND, raw)), "status")[1][:3] == [
        "web", "192.0.2.10 tcp/80", "unknown",
    ]  # fmt: skip


def test_all_namespaces_and_wide_add_columns() -> None:
    other = decided_frontend(namespace="shop")
    console = FakeUserClient(
        (ObjectKind.FRONTEND, decided_frontend()), (ObjectKind.FRONTEND, other)
    )
    assert [line[0] for line in told(console, "status", "-A")] == ["NAMESPACE", "default", "shop"]
    assert [line[0] for line in told(console, "status", "-n", "shop", "-o", "wide")] == [
        "NAME",
        "web",
    ]
    assert told(console, "status", "-o", "wide")[1][6:9] == ["GRE4", "1024", revision(other)]


def test_nothing_to_show_is_said_in_words_and_as_an_empty_list() -> None:
    assert call(FakeUserClient(), "status").output == (
        "there are no frontends in this namespace (-A: in all)\n"
    )
    assert parsed(FakeUserClient(), "status", "-A") == []
    assert call(FakeUserClient(), "status", "-o", "yaml").output == "[]\n"


def test_one_frontend_shows_each_member_with_its_health_and_its_exact_share() -> None:
    detail = parsed(detailed(), "status", "web")
    shown = ("pool", "active", "backend", "state", "code", "weight", "effectiveWeight", "share")
    assert [[member[name] for name in (*shown, "due")] for member in detail["members"]] == [
        ["main", True, "a", "up", "L7OK", 60, 60, 1.0, 1.0],
        ["main", True, "b", "down", "L4CON", 100, 0, 0.0, 0.0],
        ["spare", False, "c", "up", "L7OK", 100, 0, 0.0, 0.0],
    ]
    rows = told(detailed(), "status", "web")
    assert ["main *", "b", "10.0.0.2", "down"] in [row[:4] for row in rows]
    assert any(row[-1:] == ["connection refused"] for row in rows)


def test_a_member_whose_backend_is_missing_is_named() -> None:
    console = detailed()
    del console.objects[ObjectKind.BACKEND, next(k for kind, k in console.objects if k.name == "b")]
    member = parsed(console, "status", "web")["members"][1]
    assert (member["state"], member["detail"]) == ("missing", "there is no such Backend")


@pytest.mark.parametrize(
    ("node", "state", "message"),
    [
        (node_dataplane(), "pending", "has nothing, wanted is "),
        (node_dataplane(errors=[{"frontend": "default/web", "message": "no memory"}]),
         "failed", "no memory"),
        (node_dataplane(conditions=[condition("Connected", "Unknown", "AgentGone", "no sign")]),
         "gone", "no sign"),
        (node_dataplane(spec={"paused": True}), "paused", "hands off"),
    ],
)  # fmt: skip
def test_each_node_says_why_it_does_not_have_the_newest_state(
    node: JsonObject, state: str, message: str
) -> None:
    console = detailed()
    console.objects[
        ObjectKind.DATAPLANE, next(k for kind, k in console.objects if kind == ObjectKind.DATAPLANE)
    ] = node
    (line,) = parsed(console, "status", "web")["nodes"]
    assert line["state"] == state
    assert message in line["message"]


@pytest.mark.parametrize(("programmed", "state"), [("True", "programmed"), ("False", "pending")])
def test_what_a_node_has_acknowledged_directly_counts_before_its_own_status_says_so(
    programmed: str, state: str
) -> None:
    console = detailed()
    (web,) = (raw for (kind, _), raw in console.objects.items() if kind == ObjectKind.FRONTEND)
    web["status"]["conditions"] = [condition("Programmed", programmed)]
    console.objects[ObjectKind.DATAPLANE, cluster_key("n1")] = node_dataplane(
        direct={"operator": "op-1", "since": "2026-01-01T12:00:00Z"}
    )
    (line,) = parsed(console, "status", "web")["nodes"]
    assert line["state"] == state


def test_a_node_that_is_selected_no_more_is_shown_while_it_carries_the_vip() -> None:
    (line,) = parsed(detailed(nodeSelector={"role": "edge"}), "status", "web")["nodes"]
    assert (line["node"], line["state"], line["message"]) == ("n1", "leaving", "selected no more")


def test_other_nodes_that_are_not_selected_are_not_shown() -> None:
    console = detailed(nodeSelector={"role": "edge"})
    console.objects[ObjectKind.DATAPLANE, cluster_key("n1")] = node_dataplane(programmed={})
    assert parsed(console, "status", "web")["nodes"] == []
    assert "no node with an agent is selected" in call(console, "status", "web").output


def test_without_the_right_to_see_nodes_and_events_the_rest_is_shown() -> None:
    console = detailed()
    console.forbidden = {(ObjectKind.DATAPLANE, ""), (ObjectKind.EVENT, "default")}
    result = call(console, "status", "web")
    assert result.exit_code == 0
    assert result.stderr == (
        "note: events are not known: events are forbidden\n"
        "note: nodes are not known: dataplanes are forbidden\n"
    )
    assert "no node" not in result.stdout
    assert "REVISION" not in result.stdout


def test_what_happened_last_comes_first_from_backends_and_events_alike() -> None:
    console = detailed()
    event = {
        "metadata": {"name": "web.1", "namespace": "default"},
        "regarding": {"kind": "Frontend", "name": "web"},
        "eventTime": at(7),
        "reason": "PoolFailover",
        "note": "from pool spare to pool main",
    }
    console.objects[ObjectKind.EVENT, next(iter(console.objects))[1]] = event
    happened = [(one["what"], one["text"]) for one in parsed(console, "status", "web")["history"]]
    assert happened == [
        ("b", "up → down  L4CON connection refused"),
        ("PoolFailover", "from pool spare to pool main"),
        ("a", "down → up  L7OK 200 OK"),
    ]
    assert ("events", "default", "", "regarding.kind=Frontend,regarding.name=web") in console.asked


@pytest.mark.parametrize("written", [None, "", 7, "yesterday", "2026-01-01T12:00:00"])
def test_an_event_of_another_program_hides_nothing_whatever_its_time(written: object) -> None:
    console = detailed()
    event = {
        "metadata": {"name": "web.1", "namespace": "default"},
        "regarding": {"kind": "Frontend", "name": "web"},
        "eventTime": written,
        "reason": "PolicyViolation",
    }
    console.objects[ObjectKind.EVENT, next(iter(console.objects))[1]] = event
    assert [one["what"] for one in parsed(console, "status", "web")["history"]] == ["b", "a"]
    event["deprecatedLastTimestamp"] = at(7)  # of an event that was sent by the core API
    seen = [one["what"] for one in parsed(console, "status", "web")["history"]]
    assert seen == ["b", "PolicyViolation", "a"]


def test_what_to_beware_of_is_noted() -> None:
    assert "note: " not in call(detailed(), "status", "web").output
    beware = condition("Accepted", "True", "Accepted", "spec.encap: VPP drops TCP")
    shown = call(detailed(conditions=[beware]), "status", "web").output
    assert "note: spec.encap: VPP drops TCP" in shown


def test_an_unknown_frontend_is_answered_with_those_that_there_are() -> None:
    console = FakeUserClient(
        (ObjectKind.FRONTEND, decided_frontend()),
        (ObjectKind.FRONTEND, decided_frontend("webshop")),
    )
    result = call(console, "status", "wbe")
    assert (result.exit_code, result.output) == (
        1,
        "Error: there is no Frontend wbe in namespace default;"
        " did you mean web? there are web, webshop\n",
    )


def test_a_frontend_and_all_namespaces_do_not_go_together() -> None:
    assert call(FakeUserClient(), "status", "web", "-A").exit_code == 2
