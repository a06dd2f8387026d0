"""What people's commands ask for: of the fake, and of standalone's control socket by its client."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Protocol

import pytest

from data.manifests import backend, frontend
from data.objects import key
from fakes.user_client import FakeUserClient
from in_memory.router import LocalRouter
from vpplb.kube.api_types import ApiError, Gone, JsonObject, NotFound
from vpplb.kube.user_api.user_client import UserClient, WatchEvent
from vpplb.model.names import ObjectKey, ObjectKind

BACKEND, FRONTEND = ObjectKind.BACKEND, ObjectKind.FRONTEND
A = key("a")
OBJECTS = (
    backend("a", "192.0.2.1"),
    backend("b", "192.0.2.2"),
    frontend(pools=[{"name": "main", "backends": [{"name": "a"}, {"name": "b"}]}]),
)
HELD = {"op": "test", "path": "/spec/address", "value": "192.0.2.1"}
PAUSE = {"op": "add", "path": "/spec/paused", "value": True}


class SteeredSide(Protocol):
    """The objects `OBJECTS`, a client of them, and what happens meanwhile."""

    client: UserClient

    async def pause(self, name: str) -> None:
        """Have somebody else pause a backend; watches tell it."""

    def refuse_files(self) -> None:
        """Have the newest files refused."""

    def expire(self) -> str:
        """Return a version that is too old for a watch."""


class FakeSide:
    """The fake, whose watches tell what a test puts there."""

    def __init__(self) -> None:
        made = [(ObjectKind(str(raw["kind"])), _in_default(raw)) for raw in OBJECTS]
        self.fake = FakeUserClient(*made)
        self.client: UserClient = self.fake

    async def pause(self, name: str) -> None:
        edited = self.fake.server.merge(BACKEND, key(name), {"spec": {"paused": True}})
        self.fake.changes[BACKEND] = [WatchEvent("MODIFIED", edited)]

    def refuse_files(self) -> None:
        self.fake.refused = "those of now are refused"
        self.fake.reloaded = {"findings": ["all.yaml:1: no"], "discarded": [], "objects": 3}

    def expire(self) -> str:
        self.fake.changes[BACKEND] = [Gone(410, "Expired", "too old resource version")]
        return "1"


class SocketSide:
    """Standalone with these objects as files, reached by its control socket."""

    def __init__(self, router: LocalRouter) -> None:
        self.client: UserClient = UserClient(router.socket)
        self._router = router

    async def pause(self, name: str) -> None:
        await UserClient(self._router.socket).edit_object(
            BACKEND, key(name), {"spec": {"paused": True}}
        )

    def refuse_files(self) -> None:
        self._router.write(*OBJECTS[:2], frontend(port="eighty"))

    def expire(self) -> str:
        return "elsewhere-1"


def _in_default(raw: dict[str, object]) -> JsonObject:
    metadata = raw["metadata"]
    assert isinstance(metadata, dict)
    return {**raw, "metadata": {"namespace": "default", "labels": {}, **metadata}}


@pytest.fixture(params=["fake", "socket"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SteeredSide]:
    if request.param == "fake":
        yield FakeSide()
    else:
        router = LocalRouter(tmp_path, *OBJECTS)
        async with router.running("a", "b"):
            yield SocketSide(router)


async def first_changes(client: UserClient, version: str, count: int) -> list[WatchEvent]:
    told: list[WatchEvent] = []
    changes = client.watch_objects(BACKEND, "default", version)
    assert isinstance(changes, AsyncGenerator)
    async with asyncio.timeout(20), aclosing(changes):
        async for one in changes:
            told.append(one)
            if len(told) == count:
                break
    return told


async def test_lists_are_of_a_kind_and_a_namespace(side: SteeredSide) -> None:
    async def names(kind: ObjectKind, namespace: str = "", labels: str = "") -> list[str]:
        listing = await side.client.list_objects(kind, namespace, labels=labels)
        assert listing.resource_version
        return [one["metadata"]["name"] for one in listing.items]

    assert await names(BACKEND) == ["a", "b"]
    assert await names(BACKEND, "default") == ["a", "b"]
    assert await names(BACKEND, "elsewhere") == []
    assert await names(BACKEND, labels="tier=web") == []
    assert await names(FRONTEND) == ["web"]


async def test_one_object_is_read_or_not_found(side: SteeredSide) -> None:
    read = await side.client.get_object(BACKEND, A)
    assert (read["metadata"]["name"], read["spec"]["address"]) == ("a", "192.0.2.1")
    with pytest.raises(NotFound, match="404 NotFound"):
        await side.client.get_object(BACKEND, ObjectKey("default", "nobody"))


async def test_an_edit_is_merged_and_is_there_from_then_on(side: SteeredSide) -> None:
    edited = await side.client.edit_object(BACKEND, A, {"spec": {"paused": True}})
    assert (edited["spec"]["paused"], edited["spec"]["address"]) == (True, "192.0.2.1")
    assert (await side.client.get_object(BACKEND, A))["spec"] == edited["spec"]
    with pytest.raises(NotFound):
        await side.client.edit_object(BACKEND, key("nobody"), {"spec": {"paused": True}})


async def test_an_exact_edit_is_done_when_its_tests_hold_and_refused_otherwise(
    side: SteeredSide,
) -> None:
    edited = await side.client.apply_json_patch(BACKEND, A, [HELD, PAUSE])
    assert edited["spec"]["paused"] is True
    wrong = {**HELD, "value": "192.0.2.9"}
    with pytest.raises(ApiError, match="422 Invalid"):
        await side.client.apply_json_patch(BACKEND, A, [wrong, {**PAUSE, "value": False}])
    assert (await side.client.get_object(BACKEND, A))["spec"]["paused"] is True


async def test_a_watch_tells_what_others_change_after_a_version(side: SteeredSide) -> None:
    version = (await side.client.list_objects(BACKEND, "default")).resource_version
    await side.pause("b")
    [change] = await first_changes(side.client, version, 1)
    assert (change.type, change.object["metadata"]["name"]) == ("MODIFIED", "b")
    assert change.object["spec"]["paused"] is True
    assert change.object["metadata"]["resourceVersion"] != version


async def test_a_watch_of_a_version_that_is_forgotten_says_so(side: SteeredSide) -> None:
    with pytest.raises(Gone, match="too old resource version"):
        await first_changes(side.client, side.expire(), 1)


async def test_files_are_read_again_and_a_refusal_is_told(side: SteeredSide) -> None:
    taken = await side.client.reload_files(discard_changes=False)
    assert taken.keys() == {"findings", "discarded", "objects"}
    assert (taken["findings"], taken["discarded"]) == ([], [])
    assert await side.client.read_refusal() == ""
    side.refuse_files()
    refused = await side.client.reload_files(discard_changes=True)
    assert {type(one) for one in refused["findings"]} == {str}
    assert refused["discarded"] == []
    assert "refused" in await side.client.read_refusal()
