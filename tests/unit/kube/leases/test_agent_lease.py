import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from fakes.api_server import FakeApiServer
from fakes.clock import LoopClock
from vpplb.kube.api_types import ApiUnreachable, JsonObject, api_error
from vpplb.kube.leases.agent_lease import HolderReplaced, LeaseHeartbeat, LeaseObserver
from vpplb.model.names import ObjectKey, ObjectKind

KEY = ObjectKey("vpplb-system", "node-1")
OWNER = {"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "u"}


@asynccontextmanager
async def beating(server: FakeApiServer) -> AsyncIterator[LeaseHeartbeat]:
    beats = heartbeat(server)
    task = asyncio.create_task(beats.run())
    yield beats
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def heartbeat(
    server: FakeApiServer,
    holder: str = "agent-1",
    outranks: Callable[[str], bool] = lambda holder: False,
) -> LeaseHeartbeat:
    return LeaseHeartbeat(
        client=server,
        key=KEY,
        holder=holder,
        clock=LoopClock(),
        owners=lambda: (OWNER,),
        outranks=outranks,
    )


def holder(server: FakeApiServer) -> object:
    return server.objects[ObjectKind.LEASE, KEY]["spec"].get("holderIdentity")


@pytest.mark.looptime
async def test_a_missing_lease_is_created_and_goes_with_its_owner() -> None:
    server = FakeApiServer()
    async with beating(server):
        await asyncio.sleep(1)
    lease = server.objects[ObjectKind.LEASE, KEY]
    assert lease["metadata"]["ownerReferences"] == [OWNER]
    assert lease["spec"]["holderIdentity"] == "agent-1"
    assert lease["spec"]["leaseDurationSeconds"] == 30


@pytest.mark.looptime
async def test_the_lease_is_renewed_thrice_a_duration() -> None:
    server = FakeApiServer()
    async with beating(server):
        await asyncio.sleep(61)
    assert [verb for verb, _, _ in server.requests] == ["create", *["patch"] * 6]
    assert (
        server.objects[ObjectKind.LEASE, KEY]["spec"]["renewTime"] == "2026-01-01T00:01:00.000000Z"
    )


@pytest.mark.looptime
async def test_a_renewal_that_failed_is_tried_again_before_the_lease_runs_out() -> None:
    server = FakeApiServer()
    async with beating(server):
        await asyncio.sleep(1)
        server.faults.extend([ApiUnreachable("refused")] * 2)
        await asyncio.sleep(18)
    assert server.objects[ObjectKind.LEASE, KEY]["spec"]["renewTime"].startswith(
        "2026-01-01T00:00:16.66"
    )


# --- whose lease it is ----------------------------------------------------------------------


@pytest.mark.looptime
async def test_a_second_of_one_name_waits_until_the_first_is_silent_for_its_duration() -> None:
    server, second = FakeApiServer(), heartbeat(FakeApiServer(), "agent-2")
    second.client = server
    async with beating(server):
        await asyncio.sleep(1)
        claiming = asyncio.create_task(second.claim_lease())
        await asyncio.sleep(300)
        assert not claiming.done()
        assert (second.rival, holder(server)) == ("agent-1", "agent-1")
        assert {verb for verb, _, _ in server.requests} == {"create", "patch", "get"}
    start = asyncio.get_running_loop().time()
    await claiming
    assert 20 <= asyncio.get_running_loop().time() - start <= 34
    assert (second.rival, holder(server)) == ("", "agent-2")


@pytest.mark.looptime
async def test_one_that_is_started_again_need_not_wait_for_itself() -> None:
    server = FakeApiServer()
    async with beating(server):
        await asyncio.sleep(1)
    await heartbeat(server).claim_lease()
    assert asyncio.get_running_loop().time() < 2


@pytest.mark.looptime
async def test_one_that_was_replaced_ends_and_leaves_the_lease_to_the_other() -> None:
    server = FakeApiServer()
    await heartbeat(server).claim_lease()
    first = heartbeat(server)
    await first.claim_lease()
    await heartbeat(server, "agent-2", lambda holder: holder == "agent-1").claim_lease()
    with pytest.raises(HolderReplaced, match="agent-2 has taken lease vpplb-system/node-1"):
        await first.run()
    assert holder(server) == "agent-2"


@pytest.mark.looptime
async def test_a_lease_that_was_given_up_or_deleted_or_labelled_is_simply_taken() -> None:
    server = FakeApiServer()
    first = heartbeat(server)
    await first.claim_lease()
    await first.resign_lease()
    assert holder(server) is None
    second = heartbeat(server, "agent-2")
    await second.claim_lease()
    await server.patch_object(ObjectKind.LEASE, KEY, {"metadata": {"labels": {"team": "net"}}})
    await second.renew_lease()
    del server.objects[ObjectKind.LEASE, KEY]
    await second.renew_lease()
    assert holder(server) == "agent-2"


@pytest.mark.looptime
async def test_one_that_never_had_the_lease_gives_nobody_elses_up() -> None:
    server = FakeApiServer()
    async with beating(server):
        await asyncio.sleep(1)
        second = heartbeat(server, "agent-2")
        claiming = asyncio.create_task(second.claim_lease())
        await asyncio.sleep(1)
        await second.resign_lease()
        claiming.cancel()
        with suppress(asyncio.CancelledError):
            await claiming
        assert holder(server) == "agent-1"


@pytest.mark.looptime
async def test_where_leases_are_forbidden_nobody_is_waited_for() -> None:
    server = FakeApiServer(refuse=lambda _: api_error(403, "Forbidden", "no leases"))
    await heartbeat(server).claim_lease()
    assert asyncio.get_running_loop().time() < 1


@pytest.mark.looptime
async def test_a_server_that_is_away_is_asked_until_it_tells() -> None:
    server = FakeApiServer()
    server.faults.extend([ApiUnreachable("refused")] * 5)
    await heartbeat(server).claim_lease()
    assert holder(server) == "agent-1"


def lease(renewed: str, duration: int = 30) -> JsonObject:
    return {
        "metadata": {"namespace": KEY.namespace, "name": KEY.name},
        "spec": {"renewTime": renewed, "leaseDurationSeconds": duration},
    }


def test_a_lease_lives_for_its_duration_after_it_was_seen_to_change() -> None:
    judge = LeaseObserver()
    judge.observe_lease(lease("a"), at=100.0)
    assert judge.is_alive(KEY, at=129.9)
    assert not judge.is_alive(KEY, at=130.0)
    judge.observe_lease(lease("b"), at=131.0)
    assert judge.is_alive(KEY, at=160.0)
    assert judge.expires_at(KEY) == 161.0


def test_seeing_the_same_renewal_again_does_not_prolong_a_lease() -> None:
    judge = LeaseObserver()
    judge.observe_lease(lease("a"), at=100.0)
    judge.observe_lease(lease("a"), at=129.0)
    assert not judge.is_alive(KEY, at=130.0)


def test_the_clock_of_whoever_renews_does_not_matter() -> None:
    judge = LeaseObserver()
    judge.observe_lease(lease("1999-01-01T00:00:00.000000Z"), at=100.0)
    assert judge.is_alive(KEY, at=110.0)


def test_a_lease_that_was_never_there_is_not_alive() -> None:
    judge = LeaseObserver()
    assert not judge.is_alive(KEY, at=0.0)
    assert judge.expires_at(KEY) is None


@pytest.mark.looptime
async def test_a_lease_follows_a_node_that_was_made_anew() -> None:
    server, anew = FakeApiServer(), {**OWNER, "uid": "another"}
    async with beating(server) as beats:
        await asyncio.sleep(1)
        beats.owners = lambda: [anew]
        await asyncio.sleep(30)
    assert server.objects[ObjectKind.LEASE, KEY]["metadata"]["ownerReferences"] == [anew]


@pytest.mark.looptime
async def test_a_lease_that_may_not_be_renewed_is_a_trouble_and_lapses() -> None:
    server = FakeApiServer()
    async with beating(server) as beats:
        await asyncio.sleep(1)
        server.refuse = lambda _: api_error(403, "Forbidden", "leases")
        await asyncio.sleep(25)
        assert beats.trouble == ("lease vpplb-system/node-1 is not renewed: 403 Forbidden: leases")
        lapsed = [beats.has_lapsed()]
        await asyncio.sleep(10)
        lapsed.append(beats.has_lapsed())
        server.refuse = lambda _: None
        await asyncio.sleep(5)
        assert beats.trouble == ""
        assert [*lapsed, beats.has_lapsed()] == [False, True, False]
