"""The agent's parts together: how it stops."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from data.kept_memory import kept_state
from data.manifests import frontend
from data.objects import key, vip
from fakes.api_server import FakeApiServer
from fakes.load_balancer import FakeLoadBalancer
from in_memory.agent import API, NODE, WEB, decided
from vpplb.agent import app
from vpplb.kube.api_health import RequestHealth
from vpplb.kube.api_types import ApiUnreachable
from vpplb.kube.client import KubeClient
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.object_informer import ObjectInformer
from vpplb.model.names import ObjectKind
from vpplb.vpp import access

pytestmark = pytest.mark.looptime

VIPS = {"web": WEB, "api": API, "dns": vip("192.0.2.3/32")}


class OwnClientServer(FakeApiServer):
    """A client of itself."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Have nothing open."""

    health = RequestHealth()


class UnwatchedVpp(FakeLoadBalancer):
    """A VPP that nobody looks at."""

    async def read_with_indexes(self) -> Mapping[str, object]:
        raise AssertionError("nobody asked for the VIPs")


class AgentWorld:
    """What the agent finds: an API server with frontends, whose watch we are, and a VPP."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server, self.vpp = OwnClientServer(), UnwatchedVpp()
        self.server.add(ObjectKind.DATAPLANE, NODE, {})["metadata"] |= {"uid": "u", "generation": 1}
        for name, one in VIPS.items():
            made = self.server.add(ObjectKind.FRONTEND, key(name), decided(one))
            made["metadata"] |= {"uid": name, "generation": 1}
            made |= {part: value for part, value in frontend(name).items() if part != "metadata"}
        self._informers: list[ObjectInformer] = []
        informers = self._informers

        async def client() -> OwnClientServer:
            return self.server

        async def watches(informer: ObjectInformer) -> None:
            informers.append(informer)
            await asyncio.Event().wait()

        monkeypatch.setattr(KubeClient, "from_config", client)
        monkeypatch.setattr(access, "PapiLoadBalancer", lambda *_, **__: self.vpp)
        monkeypatch.setattr(ObjectInformer, "run", watches)

    @property
    def cache(self) -> ObjectCache:
        """What the agent knows of the API server."""
        return self._informers[0].cache

    def delete(self, name: str) -> None:
        """Delete a frontend, and have the watch tell it."""
        gone: Any = self.server.objects.pop((ObjectKind.FRONTEND, key(name)))
        version = str(int(gone["metadata"]["resourceVersion"]) + 1000)
        gone["metadata"]["resourceVersion"] = version
        self.cache.apply_event(ObjectKind.FRONTEND, "DELETED", gone)


async def test_what_is_flushed_is_on_disk_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, memory, stop = AgentWorld(monkeypatch), tmp_path / "memory.json", asyncio.Event()
    options = app.AgentOptions(
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
    options = app.AgentOptions(
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
