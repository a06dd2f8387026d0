from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from fakes.clock import FakeClock
from vpplb.controller.agent_heartbeats import AgentHeartbeats
from vpplb.kube.api_types import (
    ApiError,
    ApiUnreachable,
    JsonObject,
    NotFound,
    ObjectListing,
    api_error,
)
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.dataplane import AGENT_GONE

CONNECTED = {"type": "Connected", "status": "True", "reason": "Connected", "message": ""}


class HeartbeatClient(KubeClient):
    """Has the leases of `renewed` (node: stamp) and remembers the statuses that were patched."""

    def __init__(self) -> None:
        self.renewed: dict[str, str] = {}
        self.status: JsonObject = {"conditions": [CONNECTED]}
        self.patched: list[str] = []
        self.away = False

    def nodes(self) -> Mapping[str, bool]:
        """Return what a watch of the Dataplanes tells."""
        return {"n1": self.status["conditions"][0]["reason"] == AGENT_GONE}

    async def list_objects(self, kind: ObjectKind, namespace: str | None = None) -> ObjectListing:
        assert (kind, namespace) == (ObjectKind.LEASE, "system")
        if self.away:
            raise ApiUnreachable("away")
        items: list[JsonObject] = [
            {
                "metadata": {"namespace": "system", "name": node},
                "spec": {"renewTime": stamp, "leaseDurationSeconds": 30},
            }
            for node, stamp in self.renewed.items()
        ]
        return ObjectListing(items, "1")

    async def get_object(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        return {"status": self.status}

    async def patch_status(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, Any]
    ) -> JsonObject:
        self.patched.append(key.name)
        self.status = {**self.status, **body["status"]}
        return {}


@pytest.fixture
def server() -> HeartbeatClient:
    return HeartbeatClient()


@pytest.fixture
def heartbeats(server: HeartbeatClient) -> AgentHeartbeats:
    return AgentHeartbeats(server, "system", server.nodes, FakeClock())


async def test_an_agent_that_renews_is_left_alone(
    server: HeartbeatClient, heartbeats: AgentHeartbeats
) -> None:
    for second in range(0, 100, 10):
        server.renewed["n1"] = f"stamp {second}"
        await heartbeats.look_at_leases(float(second))
    assert server.patched == []


async def test_a_lease_that_has_run_out_makes_its_node_unknown_once(
    server: HeartbeatClient, heartbeats: AgentHeartbeats
) -> None:
    server.renewed["n1"] = "stamp"
    await heartbeats.look_at_leases(0.0)
    await heartbeats.look_at_leases(29.0)
    assert server.patched == []
    await heartbeats.look_at_leases(31.0)
    await heartbeats.look_at_leases(34.0)
    assert server.patched == ["n1"]
    (condition,) = server.status["conditions"]
    assert (condition["status"], condition["reason"]) == ("Unknown", AGENT_GONE)
    assert datetime.fromisoformat(condition["lastTransitionTime"]) == FakeClock().now()


async def test_an_agent_that_comes_back_and_goes_again_is_told_again(
    server: HeartbeatClient, heartbeats: AgentHeartbeats
) -> None:
    server.renewed["n1"] = "first"
    await heartbeats.look_at_leases(0.0)
    await heartbeats.look_at_leases(31.0)
    server.renewed["n1"] = "second"
    server.status = {"conditions": [CONNECTED]}
    await heartbeats.look_at_leases(40.0)
    await heartbeats.look_at_leases(71.0)
    assert server.patched == ["n1", "n1"]


async def test_a_node_without_any_lease_is_given_time(
    server: HeartbeatClient, heartbeats: AgentHeartbeats
) -> None:
    await heartbeats.look_at_leases(100.0)
    await heartbeats.look_at_leases(129.0)
    assert server.patched == []
    await heartbeats.look_at_leases(131.0)
    assert server.patched == ["n1"]


async def test_a_new_operator_does_not_tell_what_is_told(
    server: HeartbeatClient, heartbeats: AgentHeartbeats
) -> None:
    server.status = {"conditions": [{**CONNECTED, "status": "Unknown", "reason": AGENT_GONE}]}
    await heartbeats.look_at_leases(0.0)
    await heartbeats.look_at_leases(31.0)
    assert server.patched == []


@pytest.mark.looptime
async def test_nobody_is_judged_while_leases_cannot_be_read(
    server: HeartbeatClient, heartbeats: AgentHeartbeats, caplog: pytest.LogCaptureFixture
) -> None:
    import asyncio

    server.away = True
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(600):
            await heartbeats.run()
    assert server.patched == []
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1


async def test_time_in_which_leases_could_not_be_read_counts_for_none(
    server: HeartbeatClient, heartbeats: AgentHeartbeats
) -> None:
    """After ten minutes without an API server the agents may renew a moment after we look."""
    server.renewed["n1"] = "before"
    await heartbeats.look_at_leases(0.0)
    server.away = True
    for second in (10.0, 300.0, 600.0):
        with pytest.raises(ApiUnreachable):
            await heartbeats.look_at_leases(second)
    server.away = False
    await heartbeats.look_at_leases(610.0)
    assert server.patched == []
    await heartbeats.look_at_leases(641.0)
    assert server.patched == ["n1"], "it did not renew after all"


async def test_an_agent_that_is_gone_is_told_again_when_that_was_lost(
    server: HeartbeatClient, heartbeats: AgentHeartbeats
) -> None:
    server.renewed["n1"] = "stamp"
    await heartbeats.look_at_leases(0.0)
    await heartbeats.look_at_leases(31.0)
    server.status = {"conditions": [CONNECTED]}  # as a restore tool writes it, or the agent
    await heartbeats.look_at_leases(34.0)
    assert server.patched == ["n1", "n1"]


async def test_one_that_cannot_be_told_does_not_hold_up_the_others(server: HeartbeatClient) -> None:
    nodes = {"n1": False, "n2": False, "n3": False}
    heartbeats = AgentHeartbeats(server, "system", lambda: nodes, FakeClock())
    refused = {"n1": NotFound(404), "n2": api_error(403, "Forbidden", "no")}
    patch = server.patch_status

    async def patch_status(kind: ObjectKind, key: ObjectKey, body: Mapping[str, Any]) -> JsonObject:
        if key.name in refused:
            raise refused[key.name]
        return await patch(kind, key, body)

    server.patch_status = patch_status  # type: ignore[method-assign]  # it refuses two
    await heartbeats.look_at_leases(0.0)
    with pytest.raises(ApiError, match="Forbidden"):
        await heartbeats.look_at_leases(31.0)
    assert server.patched == ["n3"]
