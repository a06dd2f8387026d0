"""`vpplb operator`: what the command line makes of its election."""

import asyncio
from ipaddress import ip_network

import pytest
from click.testing import CliRunner, Result

from vpplb.cli.main import cli
from vpplb.controller.app import OperatorOptions
from vpplb.controller.direct_service import DirectOptions
from vpplb.kube.leases.leader_election import LeadershipLost
from vpplb.model.names import ObjectKey
from vpplb.telemetry.listen_address import ListenAddress


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


def test_where_probes_may_go_comes_with_what_else_is_allowed(
    started: list[OperatorOptions],
) -> None:
    prefixes = [ip_network(text) for text in ("10.0.0.0/8", "2001:db8::/32", "10.9.0.1/32")]
    call("--probe-allow=10.0.0.0/8", "--probe-allow=2001:db8::/32", "--probe-deny=10.9.0.1")
    call("--allow-nat", VPPLB_PROBE_ALLOW="10.0.0.0/8 2001:db8::/32", VPPLB_PROBE_DENY="10.9.0.1")
    assert [one.allowed.nat for one in started] == [False, True]
    for one in started:
        assert [*one.allowed.probe_allow, *one.allowed.probe_deny] == prefixes


def test_allowing_ipv4_alone_is_warned_of_once_at_the_start(started: list[OperatorOptions]) -> None:
    assert call("--probe-allow=10.0.0.0/8").output.count("no IPv6 address is probed") == 1
    assert "is probed" not in call("--probe-allow=10.0.0.0/8", "--probe-allow=::/0").output
    assert len(started) == 2


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--probe-deny=10.0.0.1/8"], "10.0.0.1/8 has host bits set"),
        (["--probe-allow=everywhere"], "'everywhere' does not appear to be"),
        (
            ["--probe-allow=10.0.0.0/8", "--probe-deny=10.0.0.0/8"],
            "10.0.0.0/8 is given by --probe-allow and --probe-deny",
        ),
    ],
)
def test_a_prefix_that_is_none_or_is_allowed_and_denied_is_an_error_of_usage(
    started: list[OperatorOptions], flags: list[str], says: str
) -> None:
    result = call(*flags)
    assert result.exit_code == 2
    assert says in result.output
    assert started == []


@pytest.mark.parametrize("duration", ["500ms", "1s500ms", "0s", "soon"])
def test_a_lease_lasts_whole_seconds(started: list[OperatorOptions], duration: str) -> None:
    result = call("--lease-duration", duration)
    assert result.exit_code == 2
    assert "lease-duration" in result.output
    assert started == []


def test_who_has_lost_the_lease_says_so_and_exits_with_1(started: list[OperatorOptions]) -> None:
    result = call("--lease-name", "lost")
    assert (result.exit_code, result.output) == (1, "Error: the lease is held by another\n")


def test_agents_are_served_directly_unless_that_is_turned_off(
    started: list[OperatorOptions],
) -> None:
    call("--lease-namespace", "vpplb", "--direct-advertise", "2001:db8::1:9443")
    call("--no-direct")
    call("--direct-address", "", "--agent-account", "a/b")
    call("--direct-address", "10.0.0.1:1", "--agent-account", "a/b")
    assert [one.direct for one in started] == [
        DirectOptions(
            listen=ListenAddress(None, 9443),
            advertise="[2001:db8::1]:9443",
            account=ObjectKey("vpplb", "vpplb-agent"),
        ),
        None,
        None,
        DirectOptions(listen=ListenAddress("10.0.0.1", 1), account=ObjectKey("a", "b")),
    ]


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--direct-advertise", "10.0.0.1"), ("--agent-account", "b"), ("--direct-address", "x")],
)
def test_what_makes_no_sense_of_the_direct_road_is_refused(
    started: list[OperatorOptions], flag: str, value: str
) -> None:
    result = call(flag, value)
    assert (result.exit_code, flag in result.output, started) == (2, True, [])
