"""The watch on a real API server, with everything between them that can fail.

All cases run at once, each with a watch, a proxy and a namespace of its own, since they wait
more than they work.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from cluster.api_proxy import FAILED, GONE, HALF_A_LINE, ApiProxy, Fault, Which, watches
from cluster.control_plane import ControlPlane
from lab.waiting import PATIENCE, eventually
from vpplb.kube.client import KubeClient
from vpplb.kube.cluster_access import load_access
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.object_informer import ObjectInformer
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.stored_objects import StoredObject

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

PERIOD = 2.0
"""Seconds a watch lasts here: what takes up to 35 s by default takes up to 2.4."""


class WatchedWorld:
    """A watched namespace: what users do there, and what the informer has been told of it."""

    def __init__(self, server: KubeClient, namespace: str, proxy: ApiProxy) -> None:
        self.server, self.namespace, self.proxy = server, namespace, proxy
        self.known: set[str] = set()
        self.told: Counter[int] = Counter()

    def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
        self.told[new.version] += 1
        self.known.add(new.key.name)

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        self.known.discard(key.name)

    async def create(self, name: str) -> None:
        metadata = {"namespace": self.namespace, "name": name}
        await self.server.create_object(
            ObjectKind.BACKEND, {"metadata": metadata, "spec": {"address": "192.0.2.1"}}
        )

    async def delete(self, name: str) -> None:
        await self.server.delete_object(ObjectKind.BACKEND, ObjectKey(self.namespace, name))

    async def knows(self, *names: str) -> float:
        """Return, when exactly these are known, how many seconds that took."""
        clock = asyncio.get_running_loop().time
        began = clock()
        await eventually(
            lambda: self.known == set(names), f"{names} in {self.namespace}", within=PATIENCE
        )
        return clock() - began

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[ObjectInformer]:
        """Watch as the operator does, from a complete list on; `old` and `watched` are there."""
        await self.create("old")
        kubeconfig = self.proxy.kubeconfig
        async with await KubeClient.from_config(kubeconfig) as client:
            kinds, namespaces = (ObjectKind.BACKEND, ObjectKind.FRONTEND), (self.namespace,)
            load = partial(load_access, kubeconfig)
            informer = ObjectInformer(
                client, kinds, ObjectCache([self]), namespaces, period=PERIOD, load=load
            )
            await informer.list_all()
            running = asyncio.create_task(informer.run())
            try:
                await self.create("watched")
                await self.knows("old", "watched")
                yield informer
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


Case = Callable[[WatchedWorld], Awaitable[None]]


def interrupted(fault: Callable[[ApiProxy], AbstractContextManager[None]]) -> Case:
    """What is deleted and made while nothing comes through is known soon after."""

    async def case(world: WatchedWorld) -> None:
        async with world.watched() as informer:
            with fault(world.proxy):
                world.proxy.reset()
                await world.delete("old")
                await world.create("new")
                await asyncio.sleep(1.2)
                assert world.known == {"old", "watched"}
            assert await world.knows("watched", "new") < PERIOD * 4 / 3 + 2
            await eventually(
                lambda: max(informer.watch_ages().values()) < PERIOD, "all is answered"
            )

    return case


def cut(last: bytes, only: Which = watches) -> Case:
    """A watch that ends in a bad way is begun anew."""

    async def case(world: WatchedWorld) -> None:
        async with world.watched():
            world.proxy.cut(only, last=last)
            await world.delete("old")
            await world.create("new")
            await world.knows("watched", "new")

    return case


async def quiet(world: WatchedWorld) -> None:
    """A watch without any event proves that it lives."""
    async with world.watched() as informer:
        ages = []
        for _ in range(35):
            await asyncio.sleep(0.1)
            ages.append(max(informer.watch_ages().values()))
        assert PERIOD - 1 < max(ages) < PERIOD + 1
        assert min(ages[10:]) < 1, "it was answered again"
        assert not informer.watch.trouble


async def own_writes(world: WatchedWorld) -> None:
    """What the answers to our own writes have told is told no more by the watch, which goes on."""
    async with world.watched() as informer:
        key, versions = ObjectKey(world.namespace, "old"), list[int]()
        version = (await world.server.get_object(ObjectKind.BACKEND, key))["metadata"][
            "resourceVersion"
        ]
        with world.proxy.failing(Fault(status=500), only=watches):  # no echo before its answer
            world.proxy.reset(only=watches)
            for n in range(20):
                status = {"detail": str(n)}
                answer = await world.server.replace_status(
                    ObjectKind.BACKEND, key, int(version), status
                )
                informer.cache.apply_event(ObjectKind.BACKEND, "MODIFIED", answer)
                version = answer["metadata"]["resourceVersion"]
                versions.append(int(version))
        await world.create("after")
        await world.knows("old", "watched", "after")
        await asyncio.sleep(PERIOD * 3 / 2)  # the next stream begins after them
        assert [world.told[version] for version in versions] == [1] * len(versions)
        await world.delete("old")
        await world.create("new")
        await world.knows("watched", "after", "new")


CASES: Mapping[str, Case] = {
    "packets are dropped and connections stay open": interrupted(ApiProxy.frozen),
    "the server is away": interrupted(ApiProxy.away),
    "watches are throttled": interrupted(lambda it: it.failing(Fault(status=429, retry_after=60))),
    "watches are answered 500": interrupted(lambda it: it.failing(Fault(status=500))),
    "connections are reset": interrupted(lambda it: it.failing(Fault(reset=True))),
    "the version is too old": cut(GONE),
    "it ends": cut(b""),
    "it ends within a line": cut(HALF_A_LINE),
    "one of several ends with an error": cut(
        FAILED, lambda seen: seen.watch and "/backends" in seen.path
    ),
    "nothing happens": quiet,
    "our own writes are answered": own_writes,
}


@pytest.fixture(scope="module")
def outcomes(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, BaseException | None]:
    """Run all cases; give what each failed with."""
    return asyncio.run(_run_all(control_plane, tmp_path_factory.mktemp("proxies")))


async def _run_all(plane: ControlPlane, directory: Path) -> Mapping[str, BaseException | None]:
    async with await KubeClient.from_config(plane.kubeconfig) as server:

        async def run(number: int, case: Case) -> None:
            name = f"watch-{number}"
            await server.create_object(ObjectKind.NAMESPACE, {"metadata": {"name": name}})
            with ApiProxy(plane.operator_kubeconfig, directory) as proxy:
                await case(WatchedWorld(server, name, proxy))
            await server.delete_object(ObjectKind.NAMESPACE, ObjectKey("", name))

        ended = await asyncio.gather(
            *(run(number, case) for number, case in enumerate(CASES.values())),
            return_exceptions=True,
        )
    return dict(zip(CASES, ended, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_watch_misses_nothing_when(
    case: str, outcomes: Mapping[str, BaseException | None]
) -> None:
    if error := outcomes[case]:
        raise error
