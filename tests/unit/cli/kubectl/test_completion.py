"""Completion, as kubectl asks for it: proposals by line, and a directive at the end."""

from collections.abc import Sequence

import pytest
from click.shell_completion import ShellComplete

from data.cluster_objects import InPool, decided_backend, decided_frontend
from fakes.user_client import FakeUserClient
from vpplb.cli.kubectl import completion
from vpplb.cli.kubectl.group import cli
from vpplb.kube.api_types import ApiUnreachable
from vpplb.model.names import ObjectKind

POOLS = [InPool("main", "a", "10.0.0.1"), InPool("spare", "b", "10.0.0.2")]


def cluster() -> FakeUserClient:
    return FakeUserClient(
        (ObjectKind.FRONTEND, decided_frontend("web", POOLS)),
        (ObjectKind.FRONTEND, decided_frontend("shop-web", namespace="shop")),
        (ObjectKind.BACKEND, decided_backend("nginx0", "10.0.0.1")),
        (ObjectKind.BACKEND, decided_backend("nginx1", "10.0.0.1")),
        (ObjectKind.BACKEND, decided_backend("apache", "10.0.0.1", namespace="shop")),
        (ObjectKind.NAMESPACE, {"metadata": {"name": "shop"}}),
    )


def proposed(words: Sequence[str], console: FakeUserClient | None = None) -> list[str]:
    *before, incomplete = words
    given = {"obj": console or cluster()}
    found = ShellComplete(cli, given, "kubectl vpplb", "").get_completions(before, incomplete)
    return [one.value for one in found]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["st"], ["status"]),
        (["status", ""], ["web"]),
        (["status", "-n", "shop", "s"], ["shop-web"]),
        (["status", "-A", ""], ["shop-web", "web"]),
        (["pause", ""], ["nginx0", "nginx1"]),
        (["pause", "nginx0", ""], ["nginx1"]),
        (["pause", "x"], []),
        (["backends", "--state", "pa"], ["paused"]),
        (["status", "-n", ""], ["shop"]),
        (["weight", ""], ["web"]),
        (["weight", "web", ""], ["main", "spare"]),
        (["weight", "web", "spare", ""], ["b"]),
        (["weight", "nowhere", ""], []),
        (["plan", "--down", "n"], ["nginx0", "nginx1"]),
        (["status", "--as-g"], ["--as-group"]),
        (["status", "--prob"], ["--problems"]),
    ],
)
def test_names_are_those_of_what_was_typed_so_far(words: Sequence[str], names: list[str]) -> None:
    """-n and -A count, and what is there is not proposed (camel-k#3922, kuberay#4291)."""
    assert proposed(words) == names


def test_whatever_goes_wrong_the_shell_is_told_nothing() -> None:
    console = cluster()
    console.server.faults.append(ApiUnreachable("no answer"))
    assert proposed(["status", ""], console) == []


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["res"], ["resume\tProbe paused backends again.", ":4"]),
        (["watch", "--hist"], [":4"]),
        (["plan", "-f", ""], [":0"]),
        (["status", "--kubeconfig", ""], [":0"]),
        ([], None),
    ],
)
def test_kubectl_is_told_a_proposal_a_line_and_then_whether_files_are_of_use(
    words: Sequence[str], lines: list[str] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    completion.print_completions(words)
    said = capsys.readouterr().out.splitlines()
    if lines is None:
        assert "status\tShow what serves, and what is wrong where it does not." in said
        assert said[-1] == ":4"
    elif words[-1].startswith("--"):
        assert said[0].startswith("--history")
    else:
        assert said == lines
