"""`vpplb operator`: what the command line makes of its election."""

import asyncio

import pytest
from click.testing import CliRunner, Result

from vpplb.cli.main import cli
from vpplb.controller.app import OperatorOptions
from vpplb.kube.leader_election import LeadershipLost


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[OperatorOptions]:
    """Return the options of all operators that were to be started."""
    seen: list[OperatorOptions] = []

    async def run(options: OperatorOptions, stop: asyncio.Event) -> None:
        seen.append(options)
        if options.lease_name == "lost":
            raise LeadershipLost("the lease is held by another")

    monkeypatch.setattr("vpplb.controller.app.run", run)
    return seen


def call(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(cli, ["operator", *arguments], prog_name="vpplb")


def test_all_operators_of_a_cluster_share_one_lease_whatever_their_namespaces(
    started: list[OperatorOptions],
) -> None:
    assert call("--lease-namespace", "a").exit_code == call("--namespace", "b").exit_code == 0
    assert [(one.election_namespace, one.lease_name) for one in started] == [
        ("kube-system", "vpplb-operator")
    ] * 2
    assert started[0].lease_duration == 15.0


def test_the_name_is_taken_from_the_environment_as_every_option_is(
    started: list[OperatorOptions],
) -> None:
    call(VPPLB_IDENTITY="pod-1", VPPLB_LEASE_DURATION="1m")
    assert [(one.identity, one.lease_duration) for one in started] == [("pod-1", 60.0)]


@pytest.mark.parametrize("duration", ["500ms", "1s500ms", "0s", "soon"])
def test_a_lease_lasts_whole_seconds(started: list[OperatorOptions], duration: str) -> None:
    result = call("--lease-duration", duration)
    assert result.exit_code == 2
    assert "lease-duration" in result.output
    assert started == []


def test_who_has_lost_the_lease_says_so_and_exits_with_1(started: list[OperatorOptions]) -> None:
    result = call("--lease-name", "lost")
    assert (result.exit_code, result.output) == (1, "Error: the lease is held by another\n")
