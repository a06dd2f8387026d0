"""The agent's Node and Dataplane: labels mirrored, owned by the Node, made anew when deleted."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from data.kept_memory import HERE
from fakes.api_server import FakeApiServer
from vpplb.agent.node_registration import (
    REFRESH,
    NodeRegistration,
    agent_identity,
    outranks_holder,
)
from vpplb.files import machine
from vpplb.files.owned_state_store import OwnedStateStore
from vpplb.kube.api_types import ApiError, ApiUnreachable, JsonObject, cluster_key
from vpplb.model.names import ObjectKind
from vpplb.resources.stored_objects import StoredObject
from vpplb.sync.vip_state import OwnedState

pytestmark = pytest.mark.looptime

KEY = cluster_key("n1")
OWNER = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "node-uid"}


class NodeServer(FakeApiServer):
    """A server with one Node, and its Dataplane."""

    def node(self, **labels: str) -> None:
        """Have the Node with these labels."""
        metadata = {"name": "n1", "uid": "node-uid", "labels": labels}
        self.objects[ObjectKind.NODE, KEY] = {"metadata": metadata}

    @property
    def dataplane(self) -> JsonObject:
        metadata = self.objects[ObjectKind.DATAPLANE, KEY]["metadata"]
        assert isinstance(metadata, dict)
        return metadata

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _, _ in self.requests]


class Store(OwnedStateStore):
    """Keeps nothing, but counts how often it was to."""

    def __init__(self, spec: Mapping[str, object] | None = None) -> None:
        super().__init__(None, OwnedState, HERE)
        self.spec = spec
        self.saves = 0

    def save_soon(self) -> None:
        self.saves += 1


def node(
    server: NodeServer, spec: Mapping[str, object] | None = None
) -> tuple[NodeRegistration, list[Mapping[str, str]]]:
    told: list[Mapping[str, str]] = []
    return NodeRegistration(server, "n1", Store(spec)), told


async def test_the_dataplane_carries_the_labels_of_its_node_and_goes_with_it() -> None:
    server = NodeServer()
    server.node(role="edge")
    one, told = node(server)
    made = await one.register_node(told.append)
    wanted = {
        "name": "n1",
        "labels": {"role": "edge"},
        "annotations": {"vpplb.dev/node-labels": "role"},
        "ownerReferences": [OWNER],
    }
    assert server.requests[-1] == ("create", KEY, {"metadata": wanted, "spec": {}})
    assert made["metadata"].items() >= wanted.items()
    assert made["spec"] == {}
    assert told == [{"role": "edge"}]
    assert one.labels == {"role": "edge"}


async def test_where_there_is_no_node_the_dataplane_stands_alone() -> None:
    server = NodeServer()
    one, told = node(server)
    made = await one.register_node(told.append)
    assert (made["metadata"]["labels"], made["metadata"]["ownerReferences"]) == ({}, [])
    assert told == []


async def test_a_dataplane_that_is_as_it_should_be_is_left_alone() -> None:
    server = NodeServer()
    server.node(role="edge")
    await node(server)[0].register_node()
    server.requests.clear()
    await node(server)[0].register_node()
    assert server.verbs == ["get", "get"]


async def test_the_settings_and_status_of_a_dataplane_that_is_there_are_returned() -> None:
    server = NodeServer()
    server.objects[ObjectKind.DATAPLANE, KEY] = {
        "metadata": {"name": "n1"},
        "spec": {"paused": True},
        "status": {"owned": {}},
    }
    found = await node(server)[0].register_node()
    assert (found["spec"], found["status"]) == ({"paused": True}, {"owned": {}})


async def test_new_labels_are_told_and_mirrored_and_old_ones_go() -> None:
    server = NodeServer()
    server.node(role="edge", zone="a")
    one, told = node(server)
    await one.register_node(told.append)
    running = asyncio.create_task(one.run(told.append))
    server.node(zone="b")
    await asyncio.sleep(REFRESH + 1)
    assert told == [{"role": "edge", "zone": "a"}, {"zone": "b"}]
    assert server.dataplane["labels"] == {"zone": "b"}
    running.cancel()


async def test_the_labels_of_others_are_left_alone_also_when_the_agent_is_started_anew() -> None:
    server = NodeServer()
    server.node(role="edge", zone="a")
    await node(server)[0].register_node()
    server.dataplane["labels"] |= {"team": "net", "app.kubernetes.io/managed-by": "argo"}
    server.node(zone="b")
    await node(server)[0].register_node()
    assert server.dataplane["labels"] == {
        "zone": "b",
        "team": "net",
        "app.kubernetes.io/managed-by": "argo",
    }
    server.requests.clear()
    await node(server)[0].register_node()
    assert server.verbs == ["get", "get"]


async def test_labels_that_an_agent_before_has_left_are_kept_where_nothing_says_whose() -> None:
    server = NodeServer()
    server.node(zone="a")
    server.objects[ObjectKind.DATAPLANE, KEY] = {
        "metadata": {"name": "n1", "labels": {"zone": "a", "old": "x"}}
    }
    await node(server)[0].register_node()
    assert server.dataplane["labels"] == {"zone": "a", "old": "x"}
    server.node()
    await node(server)[0].register_node()
    assert server.dataplane["labels"] == {"old": "x"}


async def test_a_node_made_anew_becomes_the_owner() -> None:
    server = NodeServer()
    server.node()
    one, _ = node(server)
    await one.register_node()
    server.objects[ObjectKind.NODE, KEY]["metadata"]["uid"] = "another"
    await one.register_node()
    assert server.dataplane["ownerReferences"] == [OWNER | {"uid": "another"}]


async def test_a_node_that_is_being_removed_takes_its_dataplane_with_it() -> None:
    """Taking the owner off would leave a Dataplane of no node behind, for ever."""
    server = NodeServer()
    server.node(role="edge")
    one, told = node(server)
    await one.register_node(told.append)
    del server.objects[ObjectKind.NODE, KEY]
    await one.register_node(told.append)
    assert server.dataplane["ownerReferences"] == [OWNER]
    assert server.dataplane["labels"] == {"role": "edge"}
    assert told == [{"role": "edge"}]


async def test_a_deleted_dataplane_is_made_anew_within_seconds() -> None:
    server = NodeServer()
    server.node(role="edge")
    one, _ = node(server)
    await one.register_node()
    running = asyncio.create_task(one.run(lambda _: None))
    await asyncio.sleep(0)
    for _ in range(2):
        del server.objects[ObjectKind.DATAPLANE, KEY]
        one.on_delete(ObjectKind.DATAPLANE, KEY)
        await asyncio.sleep(2)
        assert server.dataplane["labels"] == {"role": "edge"}
    running.cancel()


async def test_a_deletion_that_nobody_told_is_noticed_all_the_same() -> None:
    server = NodeServer()
    one, _ = node(server)
    await one.register_node()
    running = asyncio.create_task(one.run(lambda _: None))
    await asyncio.sleep(0)
    del server.objects[ObjectKind.DATAPLANE, KEY]
    await asyncio.sleep(REFRESH + 1)
    assert (ObjectKind.DATAPLANE, KEY) in server.objects
    running.cancel()


async def test_a_dataplane_made_by_another_meanwhile_is_taken() -> None:
    class Overtaken(NodeServer):
        async def create_object(self, kind: ObjectKind, body: Mapping[str, object]) -> JsonObject:
            self.objects[kind, KEY] = {"metadata": {"name": "n1"}, "spec": {"paused": True}}
            return await super().create_object(kind, body)

    found = await node(Overtaken())[0].register_node()
    assert found["spec"] == {"paused": True}


async def test_an_api_server_that_is_away_is_tried_until_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = NodeServer()
    server.node(role="edge")
    server.faults.extend(ApiUnreachable("refused") for _ in range(20))
    one, told = node(server)
    await one.register_node(told.append)
    assert server.dataplane["labels"] == {"role": "edge"}
    assert told == [{"role": "edge"}]
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.getMessage() for record in warnings] == [
        "dataplane n1 cannot be made, will try again: refused"
    ]


def dataplane_with(spec: Mapping[str, object]) -> StoredObject:
    raw = {"metadata": {"name": "n1"}, "spec": spec}
    return StoredObject(key=cluster_key("n1"), raw=raw, generation=1, version=1)


SPEC = {"paused": True, "flowTimeout": "77s"}


async def test_a_dataplane_that_was_deleted_comes_back_as_it_was() -> None:
    server, store = NodeServer(), Store()
    server.node()
    one = NodeRegistration(server, "n1", store)
    await one.register_node()
    assert store.saves == 1, "its labels are kept"
    one.on_upsert(ObjectKind.DATAPLANE, None, dataplane_with(SPEC))
    one.on_upsert(ObjectKind.DATAPLANE, None, dataplane_with(dict(SPEC)))
    assert store.saves == 2
    del server.objects[ObjectKind.DATAPLANE, KEY]
    assert (await one.register_node())["spec"] == SPEC


async def test_a_node_that_is_made_anew_is_paused_as_the_last_agent_left_it() -> None:
    server = NodeServer()
    server.node()
    one, _ = node(server, SPEC)
    assert (await one.register_node())["spec"] == SPEC
    server.objects[ObjectKind.DATAPLANE, KEY]["spec"] = {}
    assert (await one.register_node())["spec"] == {}, "what a person says counts"


@pytest.mark.parametrize(("spec", "left"), [(SPEC, {"paused": True}), ({"new": 1}, {})])
async def test_settings_that_the_api_server_no_longer_takes_are_left_out_but_never_paused(
    spec: Mapping[str, object], left: Mapping[str, object]
) -> None:
    server = NodeServer()
    server.node()
    one, _ = node(server, spec)
    create = server.create_object

    async def refusing(kind: ObjectKind, body: Mapping[str, object]) -> JsonObject:
        if body["spec"] == spec:
            raise ApiError(422, "Invalid", "spec.flowTimeout")
        return await create(kind, body)

    server.create_object = refusing  # type: ignore[method-assign]  # one method of a fake
    assert (await one.register_node())["spec"] == left


async def test_what_a_dataplane_of_an_earlier_node_of_that_name_says_is_not_ours() -> None:
    server = NodeServer()
    server.node()
    one, _ = node(server)
    await one.register_node()
    server.objects[ObjectKind.DATAPLANE, KEY]["status"] = {
        "owned": "192.0.2.1/32 tcp/80 default/web\n"
    }
    assert "owned" in (await one.register_node())["status"]
    server.dataplane["ownerReferences"] = [{**OWNER, "uid": "earlier"}]
    assert (await one.register_node())["status"] == {}
    assert server.dataplane["ownerReferences"] == [OWNER]


SOCKET = Path("/run/vpp/api.sock")


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "boot_id"
    file.write_text("boot-1\n")
    monkeypatch.setattr(machine, "BOOT_ID", file)
    return file


def test_one_beside_the_same_vpp_is_the_same_until_the_machine_starts_anew(boot: Path) -> None:
    before = agent_identity("n1", SOCKET)
    assert agent_identity("n1", SOCKET) == before
    assert agent_identity("n1", SOCKET.with_name("other.sock")) != before
    boot.write_text("boot-2")
    assert agent_identity("n1", SOCKET) != before


def test_one_where_the_kubelet_is_goes_before_one_of_another_machine_or_start(boot: Path) -> None:
    here = agent_identity("n1", SOCKET)
    boot.write_text("boot-2")
    elsewhere = agent_identity("n1", SOCKET)
    assert outranks_holder("boot-2", here)
    assert not outranks_holder("boot-2", elsewhere)
    assert not outranks_holder("boot-1", here)
    assert not outranks_holder("", here)


# --- releases ---------------------------------------------------------------------------------


async def test_a_dataplane_says_which_release_keeps_it() -> None:
    server = NodeServer()
    server.node(role="edge")
    ours = NodeRegistration(server, "n1", Store(), "edge/vpplb")
    await ours.register_node()
    told = {"vpplb.dev/node-labels": "role", "vpplb.dev/release": "edge/vpplb"}
    assert server.dataplane["annotations"] == told
    asked = len(server.requests)
    await ours.register_node()
    assert "patch" not in server.verbs[asked:]
    # An older agent leaves it, and one of another release that took the node over says so.
    await NodeRegistration(server, "n1", Store()).register_node()
    assert server.dataplane["annotations"] == told
    await NodeRegistration(server, "n1", Store(), "core/vpplb").register_node()
    assert server.dataplane["annotations"] == told | {"vpplb.dev/release": "core/vpplb"}
