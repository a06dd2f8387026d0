"""`kube` against a real API server."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from cluster.control_plane import ControlPlane
from cluster.kubectl import Kubectl
from fakes.clock import FakeClock
from lab.waiting import wait_for
from vpplb.kube import client as client_module
from vpplb.kube.api_types import (
    ApiError,
    ApiResource,
    Conflict,
    JsonObject,
    NamespaceTerminating,
    NotFound,
)
from vpplb.kube.client import KubeClient
from vpplb.kube.kubernetes_events import EventRecorder, ObjectEvent
from vpplb.kube.leases.agent_lease import LeaseHeartbeat
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.status_writer import StatusWriter
from vpplb.model.names import ObjectKey, ObjectKind

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

STATUS = {"state": "down", "code": "L4CON", "detail": "connection refused"}


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    async with await KubeClient.from_config(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture
def key(namespace: Kubectl) -> ObjectKey:
    return ObjectKey(namespace.namespace, "nginx0")


async def backend(client: KubeClient, key: ObjectKey) -> JsonObject:
    metadata = {"namespace": key.namespace, "name": key.name}
    return await client.create_object(
        ObjectKind.BACKEND,
        {"metadata": metadata, "spec": {"address": "192.0.2.1", "enabled": True}},
    )


async def write(client: KubeClient, key: ObjectKey, status: JsonObject) -> JsonObject:
    """Write a status by a writer that knows nothing, and return the object."""
    writer = StatusWriter(client, ObjectCache())
    running = asyncio.create_task(writer.run())
    writer.submit_status(ObjectKind.BACKEND, key, lambda: status)
    assert await writer.drain(10) == 0
    running.cancel()
    await asyncio.wait((running,))
    return await client.get_object(ObjectKind.BACKEND, key)


async def test_a_status_is_written_and_leaves_what_the_user_wrote_alone(
    client: KubeClient, key: ObjectKey
) -> None:
    made = await backend(client, key)
    written = await write(client, key, STATUS)
    assert written["status"] == STATUS
    assert written["spec"] == made["spec"]
    assert written["metadata"]["generation"] == made["metadata"]["generation"]
    assert int(written["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    managers = [entry["manager"] for entry in written["metadata"]["managedFields"]]
    assert set(managers) == {"vpplb"}


async def test_what_is_no_longer_in_a_status_is_removed_from_it(
    client: KubeClient, key: ObjectKey
) -> None:
    await backend(client, key)
    await write(client, key, STATUS)
    assert (await write(client, key, {"state": "up"}))["status"] == {"state": "up"}


async def test_a_status_that_changes_nothing_makes_no_new_version(
    client: KubeClient, key: ObjectKey
) -> None:
    await backend(client, key)
    first = await write(client, key, STATUS)
    second = await write(client, key, STATUS)
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_failures_are_told_apart(
    client: KubeClient, key: ObjectKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFound):
        await client.patch_status(ObjectKind.BACKEND, key, {"status": STATUS})
    made = await backend(client, key)
    with pytest.raises(Conflict):
        await backend(client, key)
    await client.patch_object(ObjectKind.BACKEND, key, {"spec": {"paused": True}})
    with pytest.raises(Conflict):
        await client.replace_object(ObjectKind.BACKEND, key, made)
    with pytest.raises(Conflict):
        await client.replace_status(
            ObjectKind.BACKEND, key, int(made["metadata"]["resourceVersion"]), STATUS
        )
    with pytest.raises(ApiError, match="422 Invalid"):
        await client.patch_object(ObjectKind.BACKEND, key, {"spec": {"address": 7}})
    with monkeypatch.context() as patched:
        nowhere = {ObjectKind.BACKEND: ApiResource("vpplb.dev", "v1", "none")}
        patched.setattr("vpplb.kube.client.RESOURCES", nowhere)
        with pytest.raises(NotFound):
            await client.list_objects(ObjectKind.BACKEND)
    await client.delete_object(ObjectKind.BACKEND, key)
    with pytest.raises(NotFound):
        await client.get_object(ObjectKind.BACKEND, key)


async def test_a_list_is_complete_over_its_pages(
    client: KubeClient, key: ObjectKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE", 3)
    names = [f"b{n}" for n in range(8)]
    made = [await backend(client, key._replace(name=name)) for name in names]
    items, version = await client.list_objects(ObjectKind.BACKEND, key.namespace)
    assert [item["metadata"]["name"] for item in items] == names
    assert int(version) >= int(made[-1]["metadata"]["resourceVersion"])


async def test_a_heartbeat_makes_its_lease_and_renews_it(
    client: KubeClient, key: ObjectKey
) -> None:
    clock = FakeClock()
    heartbeat = LeaseHeartbeat(client=client, key=key, holder="agent", clock=clock)
    await heartbeat.renew_lease()
    first = await client.get_object(ObjectKind.LEASE, key)
    clock.advance(60)
    await heartbeat.renew_lease()
    second = await client.get_object(ObjectKind.LEASE, key)
    assert first["spec"]["leaseDurationSeconds"] == 30
    assert first["spec"]["renewTime"] < second["spec"]["renewTime"]


async def test_kubectl_shows_our_events(
    client: KubeClient, key: ObjectKey, namespace: Kubectl
) -> None:
    made = await backend(client, key)
    recorder = EventRecorder(client, "operator", "pod-1")
    running = asyncio.create_task(recorder.run())
    recorder.emit_event(
        ObjectEvent(
            kind=ObjectKind.BACKEND,
            key=key,
            uid=made["metadata"]["uid"],
            type="Warning",
            reason="BackendDown",
            note="L4CON: connection refused",
            at=datetime.now(UTC),
        )
    )
    listed = await asyncio.to_thread(_until_shown, namespace)
    running.cancel()
    await asyncio.wait((running,))
    described = await asyncio.to_thread(namespace, "describe", "backend", key.name)
    for text in (listed, described):
        assert "Warning" in text
        assert "BackendDown" in text
        assert "connection refused" in text
        assert "<unknown>" not in text


def _until_shown(kubectl: Kubectl) -> str:
    wait_for(lambda: "BackendDown" in kubectl("get", "events"), "the event")
    return kubectl("get", "events")


async def test_a_namespace_that_is_being_deleted_is_told_from_a_right_that_lacks(
    client: KubeClient, key: ObjectKey, namespace: Kubectl
) -> None:
    """Nothing ends it here: what would is not part of an API server."""
    namespace("delete", "namespace", key.namespace, "--wait=false")
    with pytest.raises(NamespaceTerminating, match="being terminated"):
        await backend(client, key)
