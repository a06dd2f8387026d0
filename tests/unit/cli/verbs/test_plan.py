"""`kubectl vpplb plan`: manifests laid over a cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from data.cluster_objects import TWO, InPool, condition, decided_backend, decided_frontend
from data.manifests import Raw, manifest
from data.manifests import frontend as written_frontend
from data.objects import vip
from fakes.user_client import FakeUserClient
from in_memory.plugin import call
from vpplb.kube.api_types import ApiUnreachable, JsonObject
from vpplb.model.names import ObjectKind

POOL = {"name": "main", "backends": [{"name": "a"}, {"name": "b", "weight": 50}]}


def cluster(*frontends: JsonObject, b: str = "up") -> FakeUserClient:
    return FakeUserClient(
        *((ObjectKind.FRONTEND, one) for one in frontends or [decided_frontend()]),
        (ObjectKind.BACKEND, decided_backend("a", "10.0.0.1")),
        (ObjectKind.BACKEND, decided_backend("b", "10.0.0.2", b)),
    )


def plan(
    console: FakeUserClient, path: Path, *objects: Raw, arguments: tuple[str, ...] = ()
) -> Result:
    path = path / "edit.yaml"
    path.write_text(yaml.safe_dump_all(objects))
    return call(console, "plan", "-f", str(path), *arguments)


def calls(result: Result) -> list[str]:
    """Return the calls without their numbers and VIPs."""
    lines = result.stdout.splitlines()
    numbered = [line.split(None, 1)[1] for line in lines if line[:5].strip().isdigit()]
    return [line.split("  ", 1)[1] for line in numbered]


def web(**spec: Any) -> Raw:
    return written_frontend(address="192.0.2.10", **{"pools": [POOL], **spec})


def test_what_changes_no_share_needs_no_call_and_exits_0(tmp_path: Path) -> None:
    same = {"name": "main", "backends": [{"name": "a"}, {"name": "b"}]}
    result = plan(cluster(), tmp_path, web(pools=[same], description="renamed"))
    assert (result.exit_code, calls(result)) == (0, [])


def test_a_weight_is_planned_from_what_is_programmed_and_exits_1(tmp_path: Path) -> None:
    result = plan(cluster(), tmp_path, web())
    assert (result.exit_code, calls(result)) == (1, ["= 10.0.0.2 weight 50"])
    assert "50.00 % → 34.18 %" in result.stdout


def test_backends_count_as_they_are(tmp_path: Path) -> None:
    members = [TWO[0], TWO[1]._replace(state="down", effective=0)]
    console = cluster(decided_frontend(members=members), b="down")
    result = plan(console, tmp_path, web())
    assert (result.exit_code, calls(result)) == (0, [])
    assert "not up: default/b" in result.stdout


def test_a_status_that_makes_no_sense_says_nothing(tmp_path: Path) -> None:
    odd = decided_backend("b", "10.0.0.2", "down")
    odd["status"] |= {
        "state": "asleep",
        "frontends": "two",
        "conditions": [7, {"type": "Accepted"}],
    }
    console = FakeUserClient(
        (ObjectKind.FRONTEND, decided_frontend()),
        (ObjectKind.BACKEND, decided_backend("a", "10.0.0.1")),
        (ObjectKind.BACKEND, odd),
    )
    result = plan(console, tmp_path, web())
    assert (result.exit_code, calls(result)) == (1, ["= 10.0.0.2 weight 50"])
    assert "not up: none" in result.stdout


def test_a_new_backend_counts_as_up(tmp_path: Path) -> None:
    pool = {"name": "main", "backends": [{"name": "a"}, {"name": "b"}, {"name": "new"}]}
    new = manifest("Backend", "new", {"address": "10.0.0.7"})
    assert calls(plan(cluster(), tmp_path, web(pools=[pool]), new)) == ["+ 10.0.0.7 weight 100"]


def test_a_pause_takes_the_weight_and_cuts_no_flow(tmp_path: Path) -> None:
    paused = manifest("Backend", "a", {"address": "10.0.0.1", "paused": True})
    assert calls(plan(cluster(), tmp_path, paused)) == ["= 10.0.0.1 weight 0"]


def test_another_address_moves_the_vip(tmp_path: Path) -> None:
    moved = written_frontend(address="192.0.2.11", pools=[POOL])
    said = calls(plan(cluster(), tmp_path, moved))
    assert said[0] == "+ vip GRE4 table 1024"
    assert said[-1] == "- vip"


def test_other_frontends_are_not_shown(tmp_path: Path) -> None:
    other = decided_frontend("other", [InPool("main", "b", "10.0.0.2")], vip("192.0.2.99/32"))
    result = plan(cluster(decided_frontend(), other), tmp_path, web())
    assert "192.0.2.99" not in result.stdout


def test_a_new_frontend_never_wins_a_vip_that_another_has(tmp_path: Path) -> None:
    rival = written_frontend("aaa", address="192.0.2.10", pools=[POOL])
    result = plan(cluster(), tmp_path, rival)
    assert (result.exit_code, calls(result)) == (0, [])
    assert "new problem: Frontend default/aaa: spec.address: 192.0.2.10/32 tcp/80" in result.stdout


def test_manifests_without_a_namespace_are_of_the_one_given(tmp_path: Path) -> None:
    console = FakeUserClient(
        (ObjectKind.FRONTEND, decided_frontend(namespace="shop")),
        (ObjectKind.BACKEND, decided_backend("a", "10.0.0.1", namespace="shop")),
        (ObjectKind.BACKEND, decided_backend("b", "10.0.0.2", namespace="shop")),
    )
    result = plan(console, tmp_path, web(), arguments=("-n", "shop"))
    assert calls(result) == ["= 10.0.0.2 weight 50"]


def test_who_may_read_one_namespace_only_plans_for_that_one(tmp_path: Path) -> None:
    console = cluster()
    console.forbidden = {(ObjectKind.FRONTEND, "")}
    result = plan(console, tmp_path, web())
    assert calls(result) == ["= 10.0.0.2 weight 50"]
    assert "note: frontends of other namespaces are not known: frontends are" in result.stderr


def test_the_loss_of_a_backend_is_planned_without_manifests() -> None:
    result = call(cluster(), "plan", "--down", "a")
    assert (result.exit_code, calls(result)) == (1, ["= 10.0.0.1 weight 0 flush"])


ON_LOOPBACK = [InPool("main", "a", "127.0.0.1"), InPool("main", "b", "127.0.0.2")]


def on_loopback() -> FakeUserClient:
    """Return a cluster whose operator runs with --allow-loopback."""
    return FakeUserClient(
        (ObjectKind.FRONTEND, decided_frontend(members=ON_LOOPBACK)),
        (ObjectKind.BACKEND, decided_backend("a", "127.0.0.1")),
        (ObjectKind.BACKEND, decided_backend("b", "127.0.0.2")),
    )


@pytest.fixture
def without_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the verb be called without the flag that all tests have by the environment."""
    monkeypatch.delenv("VPPLB_ALLOW_LOOPBACK")


@pytest.mark.usefixtures("without_flag")
def test_what_runs_on_loopback_is_planned_for_without_the_flag_that_allows_it(
    tmp_path: Path,
) -> None:
    result = call(on_loopback(), "plan", "--down", "a")
    assert (result.exit_code, calls(result)[0]) == (1, "= 127.0.0.1 weight 0 flush")
    in_force = manifest("Backend", "a", {"address": "127.0.0.1"})
    lighter = plan(on_loopback(), tmp_path, in_force, web())
    assert (lighter.exit_code, calls(lighter)[0]) == (1, "= 127.0.0.2 weight 50")


def test_what_runs_by_nat_is_planned_for_without_the_flag_that_allows_it(tmp_path: Path) -> None:
    by_nat: dict[str, Any] = {"encap": "NAT4", "targetPort": 8080}
    result = plan(cluster(decided_frontend(**by_nat)), tmp_path, web(**by_nat))
    assert (result.exit_code, "+ vip NAT4" in result.stdout) == (1, True)
    refused = plan(cluster(), tmp_path, web(**by_nat))
    assert (refused.exit_code, "--allow-nat" in refused.stderr) == (2, True)


@pytest.mark.usefixtures("without_flag")
def test_loopback_is_refused_where_nothing_that_runs_has_it(tmp_path: Path) -> None:
    result = plan(cluster(), tmp_path, manifest("Backend", "a", {"address": "127.0.0.1"}))
    assert (result.exit_code, "--allow-loopback" in result.stderr) == (2, True)


@pytest.mark.usefixtures("without_flag")
def test_the_loss_of_a_backend_that_is_not_understood_is_refused_in_words() -> None:
    refused = {"conditions": [condition("Accepted", "False", "Invalid", "loopback")]}
    console = cluster()
    bad = decided_backend("a", "127.0.0.1", status=refused)
    console.objects |= FakeUserClient((ObjectKind.BACKEND, bad)).objects
    result = call(console, "plan", "--down", "a")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--down default/a: Backend default/a: spec.address: " in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "give manifests with -f, or --down BACKEND"),
        (("--down", "x"), 2, "--down x: there is no Backend default/x"),
        (("-f", "/does/not/exist"), 2, "does not exist"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], code: int, said: str) -> None:
    result = call(cluster(), "plan", *arguments)
    assert result.exit_code == code
    assert said in result.output


def test_wrong_manifests_exit_with_2_and_say_where(tmp_path: Path) -> None:
    result = plan(cluster(), tmp_path, web(port=0))
    assert result.exit_code == 2
    assert "edit.yaml:" in result.stderr
    assert "spec.port: is required" in result.stderr


def test_a_cluster_that_does_not_answer_exits_with_3() -> None:
    console = cluster()
    console.server.faults.append(ApiUnreachable("connection refused"))
    result = call(console, "plan", "--down", "a")
    assert (result.exit_code, result.stderr) == (3, "Error: connection refused\n")
