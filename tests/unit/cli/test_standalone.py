"""`vpplb standalone`: what its flags come to."""

import asyncio
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from click.testing import CliRunner

from vpplb.cli.main import cli
from vpplb.resources.allowances import EVERYTHING
from vpplb.standalone.standalone_parts import StandaloneOptions


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[StandaloneOptions]:
    """Return the options of all programs that were to be started."""
    seen: list[StandaloneOptions] = []

    class Program:
        def __init__(self, options: StandaloneOptions) -> None:
            seen.append(options)

        async def run(self, stop: asyncio.Event) -> None:
            pass

    monkeypatch.setattr("vpplb.standalone.app.StandaloneApp", Program)
    return seen


def test_each_flag_reaches_the_program(seen: list[StandaloneOptions], tmp_path: Path) -> None:
    flags = "--sync-interval 5s --no-blind-guard --allow-nat --allow-loopback --http-host a"
    flags += " --probe-deny 10.0.0.0/8"
    assert CliRunner().invoke(cli, ["standalone", str(tmp_path), *flags.split()]).exit_code == 0
    assert seen == [
        StandaloneOptions(
            folder=tmp_path,
            vpp_api_socket=Path("/run/vpp/api.sock"),
            vpp_stats_socket=Path("/run/vpp/stats.sock"),
            state_file=Path("/var/lib/vpplb/standalone.json"),
            control_socket=Path("/run/vpplb/control.sock"),
            http_hosts=("a",),
            blind_guard=False,
            allowed=replace(EVERYTHING, probe_deny=(ip_network("10.0.0.0/8"),)),
            sync_interval=5.0,
        )
    ]


def test_allowing_ipv6_alone_is_warned_of_once_at_the_start(
    seen: list[StandaloneOptions], tmp_path: Path
) -> None:
    command = ["standalone", str(tmp_path), "--probe-allow=fd00::/8"]
    said = CliRunner().invoke(cli, command).output
    assert said.count("no IPv4 address is probed") == 1
    assert len(seen) == 1
