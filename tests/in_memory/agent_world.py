"""What a whole agent finds: an API server and a VPP in memory, and its watch is the test."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from data.manifests import frontend
from data.objects import key, vip
from fakes.api_server import FakeApiServer
from fakes.load_balancer import FakeLoadBalancer
from in_memory.agent import API, NODE, WEB, decided
from vpplb.kube.api_health import RequestHealth
from vpplb.kube.client import KubeClient
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.object_informer import ObjectInformer
from vpplb.model.names import ObjectKind
from vpplb.vpp import access

VIPS = {"web": WEB, "api": API, "dns": vip("192.0.2.3/32")}


class OwnClientServer(FakeApiServer):
    """A client of itself."""

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
