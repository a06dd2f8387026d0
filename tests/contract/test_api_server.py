"""What every API server does, as far as we use one: the fake in memory and by HTTP, and a real."""

import asyncio
import secrets
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.control_plane import ControlPlane, account_kubeconfig
from cluster.kubectl import Kubectl
from fakes.api_http import served
from fakes.api_schemas import ApiSchemas
from fakes.api_server import FakeApiServer
from vpplb.kube import client as client_module
from vpplb.kube.api_types import ApiError, Conflict, Gone, JsonObject, NotFound, key_of
from vpplb.kube.client import KubeClient
from vpplb.kube.cluster_access import ClusterAccess, load_access
from vpplb.kube.user_api import user_client
from vpplb.kube.user_api.kubectl_proxy import KUBECTL, open_cluster
from vpplb.kube.user_api.user_client import UserClient, WatchEvent
from vpplb.model.names import ObjectKey, ObjectKind

pytestmark = pytest.mark.slow

BACKEND, LEASE = ObjectKind.BACKEND, ObjectKind.LEASE
STATUS = {
    "state": "down",
    "code": "L4CON",
    "detail": "connection refused",
    "observedGeneration": 1,
}
UNSEEN = {"observedGeneration": 0}
"""The status of what nobody has looked at, by the schema."""
PREFIX = "contract-"
REAL = pytest.param("real", marks=pytest.mark.control_plane)

Api = KubeClient | FakeApiServer
"""What all tests of single objects use: the fake is used as the client is."""


class BothClients(KubeClient):
    """A server by the programs' client, and by people's (`users`) as kubectl reaches it."""

    def __init__(self, access: ClusterAccess, users: UserClient) -> None:
        super().__init__(access)
        self.users = users


@asynccontextmanager
async def reached(server: str, request: pytest.FixtureRequest) -> AsyncIterator[BothClients]:
    if server == "real":
        plane: ControlPlane = request.getfixturevalue("control_plane")
        request.getfixturevalue("monkeypatch").setenv(KUBECTL, str(plane.kubectl.binary))
        async with (
            open_cluster([f"--kubeconfig={plane.kubeconfig}"]) as users,
            BothClients(await load_access(plane.kubeconfig), users) as clients,
        ):
            yield clients
            # The server is shared: whoever comes next counts the objects that there are.
            for raw in (await clients.list_objects(BACKEND)).items:
                if raw["metadata"]["namespace"].startswith(PREFIX):
                    await clients.delete_object(BACKEND, key_of(raw))
    else:
        fake = FakeApiServer(schemas=ApiSchemas(), forbidden=False)
        path = request.getfixturevalue("tmp_path") / "api.sock"
        async with (
            served(fake, path) as access,
            BothClients(access, UserClient(path)) as clients,
        ):
            yield clients


@pytest.fixture(params=["memory", "http", REAL])
async def api(request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    if request.param == "memory":
        yield FakeApiServer(schemas=ApiSchemas(), forbidden=False)
    else:
        async with reached(request.param, request) as console:
            yield console


@pytest.fixture(params=["http", REAL])
async def console(request: pytest.FixtureRequest) -> AsyncIterator[BothClients]:
    async with reached(request.param, request) as console:
        yield console


def version_of(raw: JsonObject) -> int:
    return int(raw["metadata"]["resourceVersion"])


async def new_key(api: Api) -> ObjectKey:
    """Return a key in a namespace of its own."""
    namespace = f"{PREFIX}{secrets.token_hex(4)}"
    await api.create_object(ObjectKind.NAMESPACE, {"metadata": {"name": namespace}})
    return ObjectKey(namespace, "a")


def named(key: ObjectKey, **metadata: object) -> Mapping[str, object]:
    return {"namespace": key.namespace, "name": key.name, **metadata}


async def backend(api: Api, key: ObjectKey, **extra: object) -> JsonObject:
    spec = {"address": "192.0.2.1", "enabled": True}
    return await api.create_object(BACKEND, {"metadata": named(key), "spec": spec, **extra})


# --- one object -----------------------------------------------------------------------------


async def test_what_is_created_is_read_with_its_system_fields(api: Api) -> None:
    key = await new_key(api)
    made = await backend(api, key)
    read = await api.get_object(BACKEND, key)
    assert read["metadata"] == made["metadata"]
    assert read["spec"]["address"] == "192.0.2.1"
    assert made["metadata"]["uid"]
    assert made["metadata"]["creationTimestamp"].endswith("Z")
    assert made["metadata"]["generation"] == 1


async def test_a_status_given_at_creation_is_dropped(api: Api) -> None:
    key = await new_key(api)
    assert (await backend(api, key, status=STATUS))["status"] == UNSEEN


async def test_what_exists_is_not_created_again(api: Api) -> None:
    key = await new_key(api)
    await backend(api, key)
    with pytest.raises(Conflict, match="409 AlreadyExists"):
        await backend(api, key)


@pytest.fixture(params=["memory", "http", REAL])
async def unentitled(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Api]:
    """Give a server as those reach it who may make no Backend."""
    if request.param == "real":
        plane: ControlPlane = request.getfixturevalue("control_plane")
        kubectl = Kubectl(plane.kubectl.binary, plane.kubeconfig)
        account = account_kubeconfig(tmp_path, kubectl, "vpplb-agent")
        async with KubeClient(await load_access(account)) as client:
            yield client
        return
    fake = FakeApiServer(forbidden=True)
    if request.param == "memory":
        yield fake
    else:
        async with served(fake) as access, KubeClient(access) as client:
            yield client


async def test_whether_making_an_object_is_refused_is_told_and_nothing_is_made(api: Api) -> None:
    key = await new_key(api)
    body = {"metadata": named(key), "spec": {"address": "192.0.2.1"}}
    assert not await api.is_forbidden(BACKEND, body)
    with pytest.raises(NotFound):
        await api.get_object(BACKEND, key)
    await backend(api, key)
    assert not await api.is_forbidden(BACKEND, body), "it is there, and nobody refused to make it"


async def test_who_may_not_make_an_object_is_told_so(unentitled: Api) -> None:
    body = {"metadata": {"namespace": "default", "name": "a"}, "spec": {"address": "192.0.2.1"}}
    assert await unentitled.is_forbidden(BACKEND, body)


async def test_what_is_not_there_is_not_found(api: Api) -> None:
    key = await new_key(api)
    with pytest.raises(NotFound, match="404 NotFound"):
        await api.get_object(BACKEND, key)
    with pytest.raises(NotFound):
        await api.delete_object(BACKEND, key)
    with pytest.raises(NotFound):
        await api.patch_object(BACKEND, key, {"spec": {"paused": True}})
    with pytest.raises(NotFound):
        await api.patch_status(BACKEND, key, {"status": STATUS})
    with pytest.raises(NotFound):
        await api.replace_status(BACKEND, key, 7, STATUS)
    with pytest.raises(NotFound):
        await api.replace_object(BACKEND, key, {"metadata": named(key), "spec": {}})


async def test_what_a_schema_does_not_allow_is_refused_and_changes_nothing(api: Api) -> None:
    key = await new_key(api)
    with pytest.raises(ApiError, match="422 Invalid"):
        await api.create_object(BACKEND, {"metadata": named(key), "spec": {"enabled": True}})
    made = await backend(api, key)
    with pytest.raises(ApiError, match="422 Invalid"):
        await api.patch_object(BACKEND, key, {"spec": {"address": 7}})
    assert await api.get_object(BACKEND, key) == made


async def test_fields_that_a_schema_does_not_know_are_pruned(api: Api) -> None:
    key = await new_key(api)
    await backend(api, key)
    status = {**STATUS, "unheardOf": 1}
    assert (await api.patch_status(BACKEND, key, {"status": status}))["status"] == STATUS


async def test_a_change_of_the_spec_is_a_new_generation_and_one_of_the_status_is_not(
    api: Api,
) -> None:
    key = await new_key(api)
    made = await backend(api, key)
    labelled = await api.patch_object(BACKEND, key, {"metadata": {"labels": {"x": "y"}}})
    told = await api.patch_status(BACKEND, key, {"status": STATUS})
    edited = await api.patch_object(BACKEND, key, {"spec": {"paused": True}})
    versions = [version_of(one) for one in (made, labelled, told, edited)]
    assert versions == sorted(set(versions))
    generations = [one["metadata"]["generation"] for one in (made, labelled, told, edited)]
    assert generations == [1, 1, 1, 2]
    assert edited["status"] == STATUS


async def test_a_write_that_changes_nothing_is_no_new_version(api: Api) -> None:
    key = await new_key(api)
    await backend(api, key)
    first = await api.patch_status(BACKEND, key, {"status": STATUS})
    again = await api.patch_status(BACKEND, key, {"status": STATUS})
    replaced = await api.replace_status(BACKEND, key, version_of(first), STATUS)
    patched = await api.patch_object(BACKEND, key, {"spec": {"enabled": True}})
    assert {version_of(one) for one in (again, replaced, patched)} == {version_of(first)}


async def test_the_status_and_the_rest_are_written_apart(api: Api) -> None:
    key = await new_key(api)
    made = await backend(api, key)
    patched = await api.patch_object(BACKEND, key, {"status": STATUS, "spec": {"paused": True}})
    assert patched["status"] == UNSEEN
    told = await api.patch_status(BACKEND, key, {"status": STATUS, "spec": {"paused": False}})
    assert (told["spec"]["paused"], told["status"]) == (True, STATUS)
    whole = {"metadata": told["metadata"], "spec": made["spec"], "status": {"state": "up"}}
    replaced = await api.replace_object(BACKEND, key, whole)
    assert replaced["status"] == STATUS


async def test_a_replaced_status_holds_nothing_of_the_old(api: Api) -> None:
    key = await new_key(api)
    made = await backend(api, key)
    first = await api.replace_status(BACKEND, key, version_of(made), STATUS)
    second = await api.replace_status(BACKEND, key, version_of(first), {"state": "up"})
    assert second["status"] == {"state": "up"}
    merged = await api.patch_status(BACKEND, key, {"status": {"state": None, "code": "L7OK"}})
    assert merged["status"] == {"code": "L7OK"}


async def test_a_write_on_an_old_version_is_a_conflict(api: Api) -> None:
    key = await new_key(api)
    made = await backend(api, key)
    await api.patch_object(BACKEND, key, {"spec": {"paused": True}})
    old = {"resourceVersion": made["metadata"]["resourceVersion"]}
    with pytest.raises(Conflict, match="409 Conflict"):
        await api.replace_object(BACKEND, key, made)
    with pytest.raises(Conflict):
        await api.replace_status(BACKEND, key, version_of(made), STATUS)
    with pytest.raises(Conflict):
        await api.patch_object(BACKEND, key, {"metadata": old, "spec": {"paused": False}})
    with pytest.raises(Conflict):
        await api.patch_status(BACKEND, key, {"metadata": old, "status": STATUS})


async def test_a_write_for_another_object_of_the_name_is_refused(api: Api) -> None:
    key = await new_key(api)
    made = await backend(api, key)
    other = {**made, "metadata": {**made["metadata"], "uid": "another"}}
    with pytest.raises(Conflict):
        await api.replace_object(BACKEND, key, {**other, "spec": {**made["spec"], "paused": True}})
    with pytest.raises(ApiError, match="422 Invalid"):
        await api.patch_object(
            BACKEND, key, {"metadata": {"uid": "another"}, "spec": {"paused": True}}
        )
    assert await api.get_object(BACKEND, key) == made


async def test_a_whole_object_is_written_on_a_version_only(api: Api) -> None:
    key = await new_key(api)
    made = await backend(api, key)
    with pytest.raises(ApiError, match="422 Invalid"):
        await api.replace_object(BACKEND, key, {"metadata": named(key), "spec": made["spec"]})


async def test_what_is_deleted_is_gone_and_what_comes_then_is_another(api: Api) -> None:
    key = await new_key(api)
    first = await backend(api, key)
    await api.delete_object(BACKEND, key)
    with pytest.raises(NotFound):
        await api.get_object(BACKEND, key)
    second = await backend(api, key)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert version_of(second) > version_of(first)


# --- leases and events ----------------------------------------------------------------------


async def test_a_lease_is_created_by_a_replacement_and_by_no_second_one(api: Api) -> None:
    key = await new_key(api)
    body = {"metadata": named(key), "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15}}
    made = await api.replace_object(LEASE, key, body)
    assert made["spec"]["holderIdentity"] == "me"
    with pytest.raises(ApiError, match="422 Invalid"):
        await api.replace_object(LEASE, key, body)


async def test_a_lease_is_taken_on_the_version_that_was_read(api: Api) -> None:
    key = await new_key(api)
    made = await api.create_object(
        LEASE, {"metadata": named(key), "spec": {"holderIdentity": "me"}}
    )
    on = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    taken = await api.patch_object(LEASE, key, {**on, "spec": {"holderIdentity": "you"}})
    assert taken["spec"]["holderIdentity"] == "you"
    with pytest.raises(Conflict):
        await api.patch_object(LEASE, key, {**on, "spec": {"holderIdentity": "me"}})
    freed = await api.patch_object(LEASE, key, {"spec": {"holderIdentity": None}})
    assert "holderIdentity" not in freed["spec"]


# --- lists ----------------------------------------------------------------------------------


async def test_a_list_has_all_of_a_namespace_in_order_and_the_version_to_watch_from(
    api: Api,
) -> None:
    key = await new_key(api)
    elsewhere = await new_key(api)
    made = [await backend(api, key._replace(name=name)) for name in "bac"]
    await backend(api, elsewhere)
    listing = await api.list_objects(BACKEND, key.namespace)
    assert [item["metadata"]["name"] for item in listing.items] == ["a", "b", "c"]
    assert int(listing.resource_version) >= version_of(made[-1])
    everywhere = await api.list_objects(BACKEND)
    found = {item["metadata"]["namespace"] for item in everywhere.items}
    assert found >= {key.namespace, elsewhere.namespace}


async def test_an_empty_list_has_a_version_too(api: Api) -> None:
    key = await new_key(api)
    listing = await api.list_objects(BACKEND, key.namespace)
    assert listing.items == []
    assert int(listing.resource_version) > 0


@pytest.mark.parametrize("client", ["programs", "people"])
async def test_pages_are_of_one_moment(
    console: BothClients, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await new_key(console)
    for number in range(8):
        await backend(console, key._replace(name=f"b{number}"))
    monkeypatch.setattr(client_module, "PAGE", 3)
    monkeypatch.setattr(user_client, "PAGE", 3)
    asked: KubeClient | UserClient = console if client == "programs" else console.users
    send: Callable[..., Awaitable[JsonObject]] = asked._send_request

    async def meanwhile(method: str, path: str, **how: Any) -> JsonObject:
        answer = await send(method, path, **how)
        if method == "GET" and not (how["query"] or {}).get("continue"):
            await console.delete_object(BACKEND, key._replace(name="b7"))
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(asked, "_send_request", meanwhile)
        listing = await asked.list_objects(BACKEND, key.namespace)
    assert [item["metadata"]["name"] for item in listing.items] == [f"b{n}" for n in range(8)]


async def test_objects_are_selected_by_labels_and_fields(console: BothClients) -> None:
    key = await new_key(console)
    for name in "abc":
        await backend(console, key._replace(name=name))
        labels = {"tier": "web" if name != "c" else "db", "of": name}
        await console.patch_object(
            BACKEND, key._replace(name=name), {"metadata": {"labels": labels}}
        )

    async def names(labels: str = "", fields: str = "") -> str:
        found = await console.users.list_objects(
            BACKEND, key.namespace, labels=labels, fields=fields
        )
        return "".join(one["metadata"]["name"] for one in found.items)

    assert await names() == "abc"
    assert await names(labels="tier=web") == "ab"
    assert await names(labels="tier=web,of=b") == "b"
    assert await names(fields="metadata.name=c") == "c"


# --- JSON patches ---------------------------------------------------------------------------


async def test_an_exact_edit_is_done_when_its_tests_hold_and_refused_otherwise(
    console: BothClients,
) -> None:
    key = await new_key(console)
    await backend(console, key)
    held = {"op": "test", "path": "/spec/address", "value": "192.0.2.1"}
    edit = {"op": "add", "path": "/spec/paused", "value": True}
    edited = await console.users.apply_json_patch(BACKEND, key, [held, edit])
    assert edited["spec"]["paused"] is True
    assert edited["metadata"]["generation"] == 2
    for wrong in ({**held, "value": "192.0.2.2"}, {**edit, "path": "/spec/nowhere/x"}):
        with pytest.raises(ApiError, match="422 Invalid"):
            await console.users.apply_json_patch(BACKEND, key, [wrong, {**edit, "value": False}])
    assert (await console.get_object(BACKEND, key))["spec"]["paused"] is True


# --- watches --------------------------------------------------------------------------------


async def told(console: BothClients, key: ObjectKey, version: str, count: int) -> list[WatchEvent]:
    """Return the first changes of the namespace that a watch from a version tells."""
    changes: list[WatchEvent] = []
    following = console.users.watch_objects(BACKEND, key.namespace, version)
    assert isinstance(following, AsyncGenerator)
    async with asyncio.timeout(20), aclosing(following):
        async for change in following:
            changes.append(change)
            if len(changes) == count:
                break
    return changes


def short(changes: Sequence[WatchEvent]) -> list[tuple[str, str, int]]:
    return [(one.type, one.object["metadata"]["name"], version_of(one.object)) for one in changes]


async def test_a_watch_tells_what_has_changed_since_a_version_and_what_changes_then(
    console: BothClients,
) -> None:
    key = await new_key(console)
    elsewhere = await new_key(console)
    await backend(console, key._replace(name="before"))
    version = (await console.list_objects(BACKEND, key.namespace)).resource_version
    made = await backend(console, key)
    await backend(console, elsewhere)
    telling = asyncio.create_task(told(console, key, version, 4))
    await asyncio.sleep(0.2)
    status = await console.patch_status(BACKEND, key, {"status": STATUS})
    same = await console.patch_status(BACKEND, key, {"status": STATUS})
    assert version_of(same) == version_of(status)
    edited = await console.patch_object(BACKEND, key, {"spec": {"paused": True}})
    await console.delete_object(BACKEND, key)
    changes = await telling
    assert short(changes[:3]) == [
        ("ADDED", "a", version_of(made)),
        ("MODIFIED", "a", version_of(status)),
        ("MODIFIED", "a", version_of(edited)),
    ]
    assert (changes[3].type, changes[3].object["spec"]) == ("DELETED", edited["spec"])
    assert version_of(changes[3].object) > version_of(edited)


async def test_a_watch_that_is_begun_again_misses_and_repeats_nothing(console: BothClients) -> None:
    key = await new_key(console)
    version = (await console.list_objects(BACKEND, key.namespace)).resource_version
    made = [await backend(console, key._replace(name=name)) for name in "abc"]
    first = await told(console, key, version, 2)
    resumed = await told(console, key, first[-1].object["metadata"]["resourceVersion"], 1)
    assert short([*first, *resumed]) == [
        ("ADDED", one["metadata"]["name"], version_of(one)) for one in made
    ]


async def test_a_watch_ends_in_time_with_a_bookmark_of_what_it_has_come_to(
    console: BothClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_client, "WATCH_PERIOD", 4)
    key, elsewhere = await new_key(console), await new_key(console)
    version = (await console.list_objects(BACKEND, key.namespace)).resource_version

    async def follow() -> list[WatchEvent]:
        return [
            change async for change in console.users.watch_objects(BACKEND, key.namespace, version)
        ]

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.2)
    made = await backend(console, elsewhere)
    changes = await following
    assert {change.type for change in changes} == {"BOOKMARK"}
    assert version_of(changes[-1].object) >= version_of(made)


async def test_a_watch_of_a_version_that_is_forgotten_says_so(console: BothClients) -> None:
    key = await new_key(console)
    await backend(console, key)
    with pytest.raises(Gone, match="too old resource version"):
        await told(console, key, "1", 1)
