import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from support.fake_apiserver import FakeApiServer
from vpplb.kube.errors import ApiUnreachable
from vpplb.kube.kinds import LEASE, JsonObject
from vpplb.kube.lease import Heartbeat, LeaseJudge
from vpplb.model.names import ObjectKey

KEY = ObjectKey("vpplb-system", "node-1")
OWNER = {"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "u"}


def now() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time())


@asynccontextmanager
async def beating(server: FakeApiServer) -> AsyncIterator[None]:
    heartbeat = Heartbeat(client=server, key=KEY, holder="agent-1", now=now, owners=(OWNER,))
    task = asyncio.create_task(heartbeat.run())
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.looptime
async def test_a_missing_lease_is_created_and_goes_with_its_owner() -> None:
    server = FakeApiServer()
    async with beating(server):
        await asyncio.sleep(1)
    lease = server.objects[LEASE, KEY]
    assert lease["metadata"]["ownerReferences"] == [OWNER]
    assert lease["spec"]["holderIdentity"] == "agent-1"
    assert lease["spec"]["leaseDurationSeconds"] == 30


@pytest.mark.looptime
async def test_the_lease_is_renewed_thrice_a_duration() -> None:
    server = FakeApiServer()
    async with beating(server):
        await asyncio.sleep(61)
    assert [verb for verb, _, _ in server.requests] == ["patch", "create", *["patch"] * 6]
    assert server.objects[LEASE, KEY]["spec"]["renewTime"] == "2026-01-01T00:01:00.000000Z"


@pytest.mark.looptime
async def test_a_renewal_that_failed_is_tried_again_before_the_lease_runs_out() -> None:
    server = FakeApiServer()
    async with beating(server):
        await asyncio.sleep(1)
        server.faults.extend([ApiUnreachable("refused")] * 2)
        await asyncio.sleep(18)
    assert server.objects[LEASE, KEY]["spec"]["renewTime"].startswith("2026-01-01T00:00:16.66")


def lease(renewed: str, duration: int = 30) -> JsonObject:
    return {
        "metadata": {"namespace": KEY.namespace, "name": KEY.name},
        "spec": {"renewTime": renewed, "leaseDurationSeconds": duration},
    }


def test_a_lease_lives_for_its_duration_after_it_was_seen_to_change() -> None:
    judge = LeaseJudge()
    judge.saw(lease("a"), at=100.0)
    assert judge.alive(KEY, at=129.9)
    assert not judge.alive(KEY, at=130.0)
    judge.saw(lease("b"), at=131.0)
    assert judge.alive(KEY, at=160.0)
    assert judge.expires(KEY) == 161.0


def test_seeing_the_same_renewal_again_does_not_prolong_a_lease() -> None:
    judge = LeaseJudge()
    judge.saw(lease("a"), at=100.0)
    judge.saw(lease("a"), at=129.0)
    assert not judge.alive(KEY, at=130.0)


def test_the_clock_of_whoever_renews_does_not_matter() -> None:
    judge = LeaseJudge()
    judge.saw(lease("1999-01-01T00:00:00.000000Z"), at=100.0)
    assert judge.alive(KEY, at=110.0)


def test_a_lease_that_is_deleted_or_was_never_there_is_not_alive() -> None:
    judge = LeaseJudge()
    assert not judge.alive(KEY, at=0.0)
    judge.saw(lease("a"), at=100.0)
    judge.forget(KEY)
    assert not judge.alive(KEY, at=101.0)
    assert judge.expires(KEY) is None
