"""`kubectl vpplb dataplane`: the nodes, and what one's VPP does."""

from datetime import timedelta
from typing import Any

import pytest

from data.cluster_objects import at, condition, decided_backend, node_dataplane
from data.objects import NOON
from fakes.user_client import FakeUserClient
from in_memory.plugin import call, parsed, told
from vpplb.cli.verbs.nodes import GONE_AFTER
from vpplb.kube.api_types import JsonObject
from vpplb.kube.leases.agent_lease import DURATION
from vpplb.kube.leases.probing_silence import ALLOWANCE
from vpplb.model.names import ObjectKey, ObjectKind

PATH = "/api/v1/dataplanes/n1/vips"
PACKETS = {"existing": 7, "first": 3, "untracked": 0, "no_server": 2}
OURS = {
    "vip": "192.0.2.10/32 tcp/80",
    "frontend": "shop/web",
    "encap": "GRE4",
    "flowTableLength": 1024,
    "packets": PACKETS,
    "servers": [
        {"address": "10.0.0.1", "weight": 100, "buckets": 674},
        {"address": "10.0.0.2", "weight": 50, "buckets": 350},
        {"address": "2001:db8::1", "weight": 0, "buckets": 0},
    ],
}
FOREIGN = {**OURS, "vip": "192.0.2.99/32 any", "frontend": None, "servers": []}


def pod(node: str = "n1", port: int = 9191, name: str = "http") -> JsonObject:
    ports = [{"name": "metrics", "containerPort": 1}, {"name": name, "containerPort": port}]
    labels = {"app.kubernetes.io/name": "vpplb", "app.kubernetes.io/component": "agent"}
    return {
        "metadata": {"name": f"agent-{node}", "namespace": "vpplb-system", "labels": labels},
        "spec": {"nodeName": node, "containers": [{}, {"ports": ports}]},
        "status": {"phase": "Running"},
    }


def answering(*vips: dict[str, Any], **answer: Any) -> FakeUserClient:
    console = FakeUserClient(
        (ObjectKind.DATAPLANE, node_dataplane()),
        (ObjectKind.POD, pod()),
        (ObjectKind.BACKEND, decided_backend("nginx0", "10.0.0.1", namespace="shop")),
        (ObjectKind.BACKEND, decided_backend("other", "10.0.0.2", namespace="elsewhere")),
        (ObjectKind.BACKEND, decided_backend("six", "2001:DB8::1", namespace="shop")),
    )
    told = {"node": "n1", "at": at(0), "vips": list(vips), **answer}
    console.pods[ObjectKey("vpplb-system", "agent-n1"), 9191, PATH] = told
    return console


def test_each_node_has_a_line_with_its_vpp_and_the_agents_last_heartbeat() -> None:
    lost = node_dataplane("n2", conditions=[condition("Connected", "False", "VppUnreachable", "x")])
    paused = node_dataplane("n3", spec={"paused": True})
    lease = {
        "metadata": {"name": "n1", "namespace": "vpplb-system"},
        "spec": {"holderIdentity": "n1", "renewTime": at(0)},
    }
    console = FakeUserClient(
        *((ObjectKind.DATAPLANE, one) for one in (lost, node_dataplane(), paused))
    )
    console.objects[ObjectKind.LEASE, ObjectKey("vpplb-system", "n1")] = lease
    console.clock = NOON
    header, *lines = told(console, "dataplane")
    assert [header[n] for n in (0, 1, 2, 3, 4, 5, 8, 9)] == [
        "NODE", "VERSION", "CONNECTED", "SYNCED", "FRONTENDS", "OTHERS", "DIRECT", "PROBLEM",
    ]  # fmt: skip
    assert [[line[n] for n in (0, 1, 2, 3, 4, 5, 8, 9)] for line in lines] == [
        ["n1", "26.10", "True", "True", "1/1", "0", "-", "-"],
        ["n2", "26.10", "False", "True", "1/1", "0", "-", "VppUnreachable: x"],
        ["n3", "26.10", "True", "True", "1/1", "0", "-", "Paused: hands off this node's VPP"],
    ]
    assert [line[7] != "-" for line in lines] == [True, False, False]
    assert ("leases", "", "", "metadata.namespace!=kube-node-lease") in console.asked


def test_an_agent_counts_as_gone_a_while_after_its_lease_has_run_out() -> None:
    assert DURATION + ALLOWANCE == GONE_AFTER


@pytest.mark.parametrize(("age", "connected"), [(44, "True"), (46, "Unknown")])
def test_a_node_whose_agents_lease_has_run_out_is_unknown_though_no_operator_says_so(
    age: int, connected: str
) -> None:
    lease = {
        "metadata": {"name": "n1", "namespace": "vpplb-system"},
        "spec": {"holderIdentity": "n1", "renewTime": at(0)},
    }
    console = answering(OURS)
    console.objects[ObjectKind.LEASE, ObjectKey("vpplb-system", "n1")] = lease
    console.clock = NOON + timedelta(seconds=age)
    (line,) = parsed(console, "dataplane")
    assert (line["connected"], line["synced"]) == (connected, connected)
    said = "AgentGone: as of 2026-01-01T12:00:00Z: its agent has not renewed its lease since"
    shown = [f"{one['reason']}: {one['message']}" for one in line.get("problems", ())]
    assert (said in shown) is (connected == "Unknown")
    assert ("not connected" in call(console, "dataplane", "n1").output) is (connected == "Unknown")


@pytest.mark.parametrize("written", [7, "yesterday", "2026-01-01T12:00:00"])
def test_a_heartbeat_that_is_no_time_is_as_if_there_were_none(written: object) -> None:
    lease: dict[str, Any] = {
        "metadata": {"name": "n1", "namespace": "vpplb-system"},
        "spec": {"holderIdentity": "n1", "renewTime": written},
    }
    console = FakeUserClient((ObjectKind.DATAPLANE, node_dataplane()), (ObjectKind.LEASE, lease))
    (line,) = parsed(console, "dataplane")
    assert "heartbeat" not in line
    lease["spec"]["renewTime"] = at(0)
    console.objects[ObjectKind.LEASE, ObjectKey("vpplb-system", "n1")] = lease
    assert parsed(console, "dataplane")[0]["heartbeat"] == at(0)


def test_a_node_shows_by_which_road_decisions_come() -> None:
    console = answering()
    assert "decisions come by the API server alone" in call(console, "dataplane", "n1").output
    direct = node_dataplane(direct={"operator": "op-1_ab12", "since": at(0)})
    console.objects[ObjectKind.DATAPLANE, ObjectKey("", "n1")] = direct
    assert "decisions come directly from op-1_ab12 for " in call(console, "dataplane", "n1").output
    assert told(console, "dataplane")[1][8] == "op-1_ab12"
    assert parsed(console, "dataplane")[0]["direct"] == "op-1_ab12"


def test_without_the_right_to_read_leases_the_rest_is_shown() -> None:
    console = FakeUserClient((ObjectKind.DATAPLANE, node_dataplane()))
    console.forbidden = {(ObjectKind.LEASE, "")}
    result = call(console, "dataplane")
    assert result.exit_code == 0
    assert result.stderr == "note: heartbeats are not known: leases are forbidden\n"
    assert parsed(console, "dataplane")[0]["node"] == "n1"


def test_a_node_shows_packets_by_kind_and_true_shares_beside_due_ones() -> None:
    detail = parsed(answering(OURS), "dataplane", "n1")
    (vip,) = detail["vips"]
    assert vip["packets"] == {"existing": 7, "first": 3, "untracked": 0, "noServer": 2}
    assert [(s["address"], s["backend"], s["buckets"]) for s in vip["servers"]] == [
        ("10.0.0.1", "nginx0", 674),
        ("10.0.0.2", "", 350),
        ("2001:db8::1", "six", 0),
    ]
    assert [round(s["share"], 3) for s in vip["servers"]] == [0.658, 0.342, 0.0]
    assert [round(s["due"], 3) for s in vip["servers"]] == [0.667, 0.333, 0.0]
    shown = call(answering(OURS), "dataplane", "n1").output
    assert "packets: 7 existing, 3 first, 0 untracked, 2 no server" in shown
    assert ["10.0.0.1", "nginx0", "100", "674", "65.8 %", "66.7 %"] in told(
        answering(OURS), "dataplane", "n1"
    )


def test_without_the_right_to_read_backends_addresses_are_shown_alone() -> None:
    console = answering(OURS)
    console.forbidden = {(ObjectKind.BACKEND, "")}
    result = call(console, "dataplane", "n1")
    assert result.exit_code == 0
    assert ["10.0.0.1", "-", "100"] in [line.split()[:3] for line in result.stdout.splitlines()]
    assert "note: names of servers are not known" in result.stderr


def test_vips_of_others_are_shown_as_such() -> None:
    shown = call(answering(FOREIGN), "dataplane", "n1").output
    assert "192.0.2.99/32 any  not ours  GRE4 table 1024" in shown
    assert "no servers" in shown
    assert "VPP has no VIPs" in call(answering(), "dataplane", "n1").output


def test_packets_that_are_not_known_are_said_to_be_and_not_shown_as_zeros() -> None:
    unknown = {name: value for name, value in OURS.items() if name != "packets"}
    console = answering(unknown, packetsUnknown="/run/vpp/stats.sock: No such file")
    shown = call(console, "dataplane", "n1").output
    assert "packets are not known: /run/vpp/stats.sock: No such file" in shown
    assert "existing" not in shown
    assert "packets" not in parsed(console, "dataplane", "n1")["vips"][0]


def test_problems_of_the_node_come_first() -> None:
    console = answering()
    console.objects[ObjectKind.DATAPLANE, ObjectKey("", "n1")] = node_dataplane(
        conditions=[condition("Synced", "False", "Failed", "shop/web: no memory")]
    )
    assert ["Failed", "shop/web: no memory"] in told(console, "dataplane", "n1")


def test_the_pod_of_the_chart_on_that_node_is_asked() -> None:
    console = answering()
    call(console, "dataplane", "n1", "--agent-namespace", "vpplb-system")
    labels = "app.kubernetes.io/name=vpplb,app.kubernetes.io/component=agent"
    fields = "spec.nodeName=n1,status.phase=Running"
    assert ("pods", "vpplb-system", labels, fields) in console.asked


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("n9",), 1, "there is no Dataplane n9; there is n1"),
        (("n1",), 1, "give its address: --agent-url http://HOST:9091"),
        (("n1", "--agent-url", "http://127.0.0.1:1"), 1, f"http://127.0.0.1:1{PATH}: "),
        (("--agent-url", "http://127.0.0.1:1"), 2, "are for one NODE"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_line(
    arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = call(FakeUserClient((ObjectKind.DATAPLANE, node_dataplane())), "dataplane", *arguments)
    assert result.exit_code == code
    assert said in result.output


def test_an_answer_of_another_version_is_not_guessed_at() -> None:
    result = call(answering({"vip": 7}), "dataplane", "n1")
    said = "Error: the agent of n1 gives an answer of another version\n"
    assert (result.exit_code, result.stderr) == (1, said)


def test_of_an_agent_that_does_not_answer_what_the_dataplane_tells_is_shown_all_the_same() -> None:
    lost = node_dataplane(conditions=[condition("Connected", "False", "VppUnreachable", "hung")])
    console = FakeUserClient((ObjectKind.DATAPLANE, lost))
    result = call(console, "dataplane", "n1")
    assert (result.exit_code, "VPP has no VIPs" in result.stdout) == (1, False)
    assert "VppUnreachable   hung" in result.stdout
    assert result.stderr.startswith("Error: no agent runs as a pod on node n1")
