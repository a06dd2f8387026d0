"""How an agent finds who leads, by operators on TLS sockets and a Lease in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from fakes.api_server import FakeApiServer
from in_memory.agent import LocalAgent
from lab.direct_operator import DirectOperator
from lab.waiting import eventually
from vpplb.agent import direct_road
from vpplb.direct.client import ConnectedLeader, OperatorConnections
from vpplb.direct.operator_directory import dump_operator, name_annotation
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.release_identity import ReleaseIdentity

pytestmark = pytest.mark.looptime

LEASE = ObjectKey("kube-system", "vpplb-operator")


def publish(server: FakeApiServer, *operators: DirectOperator) -> None:
    """Let the Lease name these operators."""
    release = ReleaseIdentity("default")
    entries = {
        name_annotation(one.role.identity): dump_operator(one.address, release, "1.0", "now")
        for one in operators
    }
    metadata = {"namespace": LEASE.namespace, "name": LEASE.name, "annotations": entries}
    server.objects.pop((ObjectKind.LEASE, LEASE), None)
    server.put_new(ObjectKind.LEASE, {"metadata": metadata, "spec": {}})


@asynccontextmanager
async def agent_of(server: FakeApiServer, folder: Path) -> AsyncIterator[LocalAgent]:
    """Run the direct road of the agent of node n1."""
    token = folder / "token"
    token.write_text("secret.of.n1")
    agent = LocalAgent(server, connections=partial(OperatorConnections, "n1", token))
    running = asyncio.create_task(agent.road.run())
    try:
        yield agent
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_a_leader_is_found_though_the_standby_that_is_connected_does_not_know_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby that is cut off from the API server knows the operators of before."""
    monkeypatch.setattr(direct_road, "UNLED", (0.2, 1.0))
    server = FakeApiServer()
    async with DirectOperator("op-1") as standby, DirectOperator("op-2") as leader:
        publish(server, standby)
        async with agent_of(server, tmp_path) as agent:
            connected = agent.road.connections
            await eventually(lambda: connected.is_connected, "the standby is connected")
            leader.role = DirectOperator("op-2", leads=True, term=5).role
            publish(server, standby, leader)
            expected = ConnectedLeader(identity="op-2", term=5)
            await eventually(lambda: connected.leader == expected, "the leader is found")
            assert set(connected.connections) == {standby.address, leader.address}
            assert standby.connections == 1


async def test_while_somebody_leads_the_lease_is_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_road, "UNLED", (0.05, 0.1))
    server = FakeApiServer()
    async with DirectOperator("op-1", leads=True, term=5) as leader:
        publish(server, leader)
        async with agent_of(server, tmp_path) as agent:
            await eventually(lambda: agent.road.is_led, "it leads")
            asked = len(server.requests)
            await asyncio.sleep(0.5)
            assert len(server.requests) == asked


async def test_no_proxy_of_the_environment_stands_between_an_agent_and_its_operators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would have to be one that reaches pods, and could only end the connection."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "WSS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server = FakeApiServer()
    async with DirectOperator("op-1", leads=True, term=5) as leader:
        publish(server, leader)
        async with agent_of(server, tmp_path) as agent:
            await eventually(lambda: agent.road.is_led, "it is connected")


async def test_an_operator_is_found_anew_by_whoever_could_not_find_it_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of its kind were replaced at once: nothing of what the agent knew is so any more."""
    monkeypatch.setattr(direct_road, "LOOKUP", (0.05, 0.2))
    server = FakeApiServer()
    async with DirectOperator("op-1", leads=True, term=5) as before:
        publish(server, before)
        async with agent_of(server, tmp_path) as agent:
            await eventually(lambda: agent.road.is_led, "it is connected")
            await before.__aexit__()
            await eventually(lambda: not agent.road.is_led, "it is lost")
            async with DirectOperator("op-2", leads=True, term=6) as after:
                publish(server, after)
                expected = ConnectedLeader(identity="op-2", term=6)
                await eventually(lambda: agent.road.connections.leader == expected, "it is found")
                known = set(agent.road.connections.connections)
                assert known == {after.address}
        await before.__aenter__()
