"""The usual flags, and errors in one line."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakes.user_client import FakeUserClient
from in_memory.plugin import call
from vpplb.cli.kubectl.group import cli
from vpplb.cli.verbs.session import describe_others, read_if_allowed
from vpplb.kube.api_types import ApiError, ApiUnreachable, NotFound


def outside(*arguments: str, **environment: str) -> Result:
    """Run a command line without a cluster in memory."""
    return CliRunner(env={"KUBERNETES_SERVICE_HOST": "", **environment}).invoke(cli, arguments)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ApiUnreachable("https://10.0.0.1: no answer in 10 s"),
         "https://10.0.0.1: no answer in 10 s"),
        (ApiError(403, "Forbidden", 'frontends is forbidden:\n User "x" cannot list'),
         'frontends is forbidden: User "x" cannot list'),
        (NotFound(404, "NotFound", "page not found"),
         "page not found (are the CustomResourceDefinitions installed?)"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said_in_one_line_with_exit_1(error: ApiError, said: str) -> None:
    console = FakeUserClient()
    console.server.faults.append(error)
    result = call(console, "status")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"Error: {said}\n")


def test_a_cluster_that_cannot_be_reached_is_said_in_one_line(tmp_path: Path) -> None:
    result = outside("status", VPPLB_KUBECTL=str(tmp_path / "none"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {tmp_path}/none cannot be run (No such file")
    assert len(result.stderr.splitlines()) == 1


def test_flags_of_kubectl_are_handed_to_it(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\necho "error: $@" >&2; exit 1\n')
    kubectl.chmod(0o755)
    flags = ["--context=x", "--as=ann", "--as-group=a", "--as-group=b", "-n", "shop"]
    said = outside("status", *flags, VPPLB_KUBECTL=str(kubectl)).stderr
    assert said.split("api.sock ")[1] == "--context=x --as=ann --as-group=a --as-group=b\n"


@pytest.mark.parametrize(
    ("name", "there", "said"),
    [
        ("nginx", [], "there are none"),
        ("nginx", ["b"], "there is b"),
        ("ngnix0", ["nginx1", "nginx0"], "did you mean nginx0? there are nginx0, nginx1"),
        ("nginx", ["b", "c"], "there are b, c"),
        ("nginx", [f"x{n}" for n in range(10, 30)],
         "there are x10, x11, x12, x13, x14, x15, x16, x17, and 12 more"),
    ],
)  # fmt: skip
def test_instead_of_what_is_not_there_it_says_what_is(
    name: str, there: list[str], said: str
) -> None:
    assert describe_others(name, there) == said


async def test_what_one_may_not_read_is_said_and_done_without(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def read(status: int) -> list[str]:
        if status == 200:
            return ["it"]
        raise ApiError(status, "", "nodes are\nforbidden")

    assert await read_if_allowed(read(200), [], "nodes are") == ["it"]
    assert await read_if_allowed(read(403), [], "nodes are") == []
    assert capsys.readouterr().err == "note: nodes are not known: nodes are forbidden\n"
    with pytest.raises(ApiError):
        await read_if_allowed(read(500), [], "nodes are")
