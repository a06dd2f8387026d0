"""`vpplb agent`: what its flags come to."""

import asyncio
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from click.testing import CliRunner

from vpplb.agent.agent_parts import AgentOptions
from vpplb.cli.main import cli
from vpplb.plan.settings import DesiredSettings


def test_each_flag_reaches_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[AgentOptions] = []

    async def run(options: AgentOptions, stop: asyncio.Event) -> None:
        seen.append(options)

    monkeypatch.setattr("vpplb.agent.app.run", run)
    flags = "--node n1 --namespace a --sync-interval 5s --ipv4-source-address 192.0.2.1 --own-all"
    assert CliRunner().invoke(cli, ["agent", *flags.split()]).exit_code == 0
    assert seen == [
        AgentOptions(
            node="n1",
            vpp_api_socket=Path("/run/vpp/api.sock"),
            vpp_stats_socket=Path("/run/vpp/stats.sock"),
            namespaces=("a",),
            sync_interval=5.0,
            own_all=True,
            conf=DesiredSettings(ipv4_source=IPv4Address("192.0.2.1")),
            direct_token=Path("/var/run/secrets/vpplb.dev/token"),
            release="default",  # the namespace of the agents' leases
        )
    ]


def test_the_direct_road_is_off_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[AgentOptions] = []

    async def run(options: AgentOptions, stop: asyncio.Event) -> None:
        seen.append(options)

    monkeypatch.setattr("vpplb.agent.app.run", run)
    assert CliRunner().invoke(cli, ["agent", "--node", "n1", "--no-direct"]).exit_code == 0
    assert seen[0].direct_token is None
