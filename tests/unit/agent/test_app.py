"""The agent's parts together: how it stops."""

import asyncio
from pathlib import Path

import pytest

from data.kept_memory import kept_state
from in_memory.agent import API, NODE, WEB
from in_memory.agent_world import VIPS, AgentWorld
from vpplb.agent import app
from vpplb.agent.agent_parts import AgentOptions
from vpplb.kube.api_types import ApiUnreachable

pytestmark = pytest.mark.looptime


async def test_what_is_flushed_is_on_disk_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, memory, stop = AgentWorld(monkeypatch), tmp_path / "memory.json", asyncio.Event()
    options = AgentOptions(
        node=NODE.name, vpp_api_socket=tmp_path / "api.sock", state_file=memory, http_address=""
    )
    agent = asyncio.create_task(app.run(options, stop))
    await asyncio.sleep(2)
    world.delete("dns")
    await asyncio.sleep(1)
    state = kept_state(memory)
    assert state is not None
    assert state.owned.keys() == {WEB, API}
    stop.set()
    await agent


async def test_what_the_syncer_does_while_the_last_writes_are_drained_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, memory, stop = AgentWorld(monkeypatch), tmp_path / "memory.json", asyncio.Event()
    options = AgentOptions(
        node=NODE.name, vpp_api_socket=tmp_path / "api.sock", state_file=memory, http_address=""
    )
    agent = asyncio.create_task(app.run(options, stop))
    await asyncio.sleep(2)
    assert world.vpp.rows.keys() == set(VIPS.values())
    world.server.refuse = lambda _: ApiUnreachable("away")
    world.delete("dns")
    await asyncio.sleep(0.1)
    stop.set()
    # Two in less time than there is from one write of the file to the next, just before the end.
    await asyncio.sleep(app.DRAIN_TIMEOUT - 0.2)
    world.delete("api")
    await asyncio.sleep(0.1)
    world.delete("web")
    await agent
    assert world.vpp.rows == {}
    state = kept_state(memory)
    assert state is not None
    assert state.owned == {}
