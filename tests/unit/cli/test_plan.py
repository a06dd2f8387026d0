"""`vpplb plan`: the calls, the shares, where it starts from, and its exit status."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from data.manifests import ROOT, Raw, backend, frontend, manifest
from lab.simulated_vpp import LoopThread, changing_calls, run_in_thread
from vpplb.cli.main import cli
from vpplb.model.vip import Encap
from vpplb.simulator.rows import NewVip, VipKey
from vpplb.simulator.server import VppSimulator

POOLS = [
    {"name": "main", "backends": [{"name": "a"}, {"name": "b", "weight": 50}]},
    {"name": "spare", "backends": [{"name": "c"}]},
]
OBJECTS = (
    frontend(address="192.0.2.10", pools=POOLS),
    *(backend(name, f"10.0.0.{n}") for n, name in enumerate("abc", 1)),
)


def plan(*arguments: Path | str) -> Result:
    return CliRunner().invoke(cli, ["plan", *map(str, arguments)])


def planned(*arguments: Path | str) -> tuple[int, dict[str, Any]]:
    """Return exit status and JSON."""
    result = plan(*arguments, "-o", "json")
    return result.exit_code, json.loads(result.stdout)


def write(path: Path, *objects: Raw) -> Path:
    path.write_text(yaml.safe_dump_all(objects, sort_keys=False))
    return path


@pytest.fixture
def web(tmp_path: Path) -> Path:
    return write(tmp_path / "web.yaml", *OBJECTS)


@pytest.fixture
def vpp(tmp_path: Path) -> Iterator[tuple[VppSimulator, LoopThread]]:
    simulator = VppSimulator(tmp_path / "api.sock")
    with run_in_thread(simulator) as loop:
        yield simulator, loop


def test_from_nothing_it_says_all_calls_in_order_and_exits_1(web: Path) -> None:
    code, said = planned(web)
    assert code == 1
    assert said["from"] == "an empty VPP"
    assert [call["does"] for call in said["calls"]] == [
        "+ vip GRE4 table 1024",
        "+ 10.0.0.1 weight 100",
        "+ 10.0.0.2 weight 50",
        "+ 10.0.0.3 weight 0",
    ]
    assert said["calls"][1] == {
        "message": "lb_add_del_as_v2",
        "vip": "192.0.2.10/32 tcp/80",
        "does": "+ 10.0.0.1 weight 100",
        "add": True,
        "server": "10.0.0.1",
        "weight": 100,
    }


def test_a_failover_shows_each_servers_share_and_what_changes_hands(web: Path) -> None:
    code, said = planned(web, "--from", web, "--down", "a", "--down", "default/b")
    assert code == 1
    assert [call["does"] for call in said["calls"]] == [
        "= 10.0.0.3 weight 100",
        "= 10.0.0.1 weight 0 flush",
        "= 10.0.0.2 weight 0 flush",
    ]
    [vip] = said["vips"]
    assert vip["changed"] == {"buckets": 1024, "of": 1024, "part": 1.0}
    assert vip["before"] == vip["after"]
    before = {server["address"]: server["before"] for server in vip["servers"]}
    assert before["10.0.0.1"]["buckets"] + before["10.0.0.2"]["buckets"] == 1024
    assert before["10.0.0.1"]["part"] == before["10.0.0.1"]["buckets"] / 1024
    assert vip["servers"][2]["after"] == {"weight": 100, "buckets": 1024, "part": 1.0}


def test_nothing_to_do_exits_0(web: Path) -> None:
    code, said = planned(web, "--from", web)
    assert (code, said["calls"]) == (0, [])
    assert said["vips"][0]["changed"]["buckets"] == 0


def test_what_the_old_manifests_had_and_the_new_have_not_is_removed(
    web: Path, tmp_path: Path
) -> None:
    moved = frontend(address="192.0.2.11", pools=POOLS)
    code, said = planned(write(tmp_path / "new.yaml", moved, *OBJECTS[1:]), "--from", web)
    assert code == 1
    assert said["calls"][-1]["does"] == "- vip"
    assert [(vip["vip"], vip["after"] is None) for vip in said["vips"]] == [
        ("192.0.2.10/32 tcp/80", True),
        ("192.0.2.11/32 tcp/80", False),
    ]


def test_the_table_for_people_says_the_same(web: Path) -> None:
    result = plan(web, "--from", web, "--down", "a")
    assert result.exit_code == 1
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert f"from {web}" in lines
    assert "1 call, in order:" in lines
    assert "    1  192.0.2.10/32 tcp/80  = 10.0.0.1 weight 0 flush" in lines
    assert any("buckets (" in line and "change hands" in line for line in lines)
    [first] = [line for line in lines if line.startswith("  10.0.0.1 ")]
    assert first.split()[1:4] == ["100", "→", "0"]
    assert first.endswith("→ 0.00 %")


def test_every_example_can_be_planned_from_nothing() -> None:
    for example in (ROOT / "examples").glob("*.yaml"):
        code, said = planned(example)
        assert code == 1, example
        assert said["calls"], example


def test_settings_of_the_plugin_are_the_first_call(web: Path, tmp_path: Path) -> None:
    dataplane = manifest("Dataplane", "local", {"flowTimeout": "60s"})
    both = [web, write(tmp_path / "dataplane.yaml", dataplane)]
    _, said = planned(*both, "--ipv4-source-address", "10.255.0.1")
    assert said["calls"][0] == {
        "message": "lb_conf",
        "does": (
            "= conf ipv4 source 10.255.0.1 ipv6 source "
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff buckets 1024 timeout 60"
        ),
        "ipv4SourceAddress": "10.255.0.1",
        "ipv6SourceAddress": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "stickyBucketsPerCore": 1024,
        "flowTimeoutSeconds": 60,
    }
    code, said = planned(*both, "--from", both[1])
    assert code == 1
    assert all(call["message"] != "lb_conf" for call in said["calls"])


def test_a_frontend_that_would_hurt_vpp_is_refused_and_not_planned(tmp_path: Path) -> None:
    wrong = frontend(address="2001:db8::1", encap="NAT4", pools=POOLS)
    result = plan(write(tmp_path / "nat.yaml", wrong, *OBJECTS[1:]))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Frontend default/web: spec.encap: must not be NAT4 or NAT6" in result.stderr


@pytest.mark.slow
def test_a_vpp_is_read_and_not_changed(web: Path, vpp: tuple[VppSimulator, LoopThread]) -> None:
    simulator, loop = vpp
    key = VipKey(0xC000020A, 128, 6, 80)
    foreign = VipKey(0xCB007101, 128, 6, 80)

    def prepare() -> None:
        for one in (key, foreign):
            simulator.lb.add_vip(one, NewVip(encap=Encap.GRE4))
        simulator.lb.add_server(key, 0x0A000001, 100)
        simulator.lb.add_server(key, 0x0A000009, 100)

    loop.call(prepare)
    code, said = planned(web, "--vpp-api-socket", simulator.api_socket)
    assert code == 1
    assert said["from"].endswith(f"at {simulator.api_socket}")
    assert said["others"] == 1
    assert [call["does"] for call in said["calls"]] == [
        "+ 10.0.0.2 weight 50",
        "+ 10.0.0.3 weight 0",
        "- 10.0.0.9 flush",
    ]
    assert changing_calls(simulator) == []
    _, said = planned(web, "--vpp-api-socket", simulator.api_socket, "--own-all")
    assert said["others"] == 0
    assert said["calls"][-1] | {"vip": ""} == {
        "message": "lb_add_del_vip_v2",
        "vip": "",
        "does": "- vip",
        "add": False,
    }
    assert (
        "note: 1 VIP of others left alone"
        in plan(web, "--vpp-api-socket", simulator.api_socket).stdout
    )


def test_no_vpp_exits_3_and_says_where(web: Path, tmp_path: Path) -> None:
    result = plan(web, "--vpp-api-socket", tmp_path / "none.sock")
    assert result.exit_code == 3
    assert f"Error: {tmp_path}/none.sock: No such file or directory" in result.stderr


def test_no_cluster_exits_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    result = plan("--node", "n1")
    assert result.exit_code == 3
    assert "no usable cluster configuration" in result.stderr


def test_wrong_manifests_exit_2_with_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.yaml", frontend(port=0))
    result = plan(path)
    assert result.exit_code == 2
    assert f"{path}:" in result.stderr


def test_a_set_that_check_finds_wrong_is_not_planned_and_says_what_check_does(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "web.yaml", *OBJECTS[:2])
    result = plan(path)
    assert (result.exit_code, result.stdout) == (2, "")
    checked = CliRunner().invoke(cli, ["check", str(path)])
    assert result.stderr.splitlines() == checked.output.splitlines()[:-1]
    assert "there is no Backend default/b" in result.stderr


def test_where_probes_may_not_go_is_wrong_unless_it_is_asked_for(tmp_path: Path) -> None:
    web = frontend(address="192.0.2.10", pools=[{"name": "main", "backends": [{"name": "a"}]}])
    check = manifest("HealthCheck", "check", {"type": "ICMP"})
    one = backend("a", "10.0.0.1", healthCheckRef={"name": "check"})
    path = write(tmp_path / "web.yaml", web, one, check)
    assert plan(path, "--probe-deny", "10.0.0.0/8").exit_code == 2
    assert plan(path).exit_code == 1


def test_a_start_that_does_not_resolve_is_taken_as_far_as_it_goes(
    web: Path, tmp_path: Path
) -> None:
    code, said = planned(web, "--from", write(tmp_path / "old.yaml", *OBJECTS[:2]))
    assert code == 1
    assert [call["does"] for call in said["calls"]] == [
        "+ 10.0.0.2 weight 50",
        "+ 10.0.0.3 weight 0",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give MANIFESTS, or --node"),
        (("web", "--node", "n1"), "no MANIFESTS"),
        (("--node", "n1", "--down", "a"), "no MANIFESTS, --from or --down"),
        (("web", "--from", "web", "--vpp-api-socket", "x"), "not from both"),
        (("web", "--state-file", "x"), "--state-file belongs to --node"),
        (("web", "--down", "nobody"), "there is no Backend nobody"),
    ],
)
def test_what_does_not_go_together_exits_2(
    web: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = plan(*(str(web) if argument == "web" else argument for argument in arguments))
    assert result.exit_code == 2
    assert says in result.stderr
