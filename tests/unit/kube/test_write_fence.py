import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from fakes.api_server import FakeApiServer
from vpplb.kube.errors import ApiUnreachable
from vpplb.kube.write_fence import NotPermitted, Permit, PermittedClient, WriteClient
from vpplb.model.names import ObjectKey, ObjectKind

KEY = ObjectKey("default", "nginx0")
UP = {"state": "up"}

Write = Callable[[WriteClient], Awaitable[object]]
WRITES: Mapping[str, Write] = {
    "replace_status": lambda client: client.replace_status(ObjectKind.BACKEND, KEY, 101, UP),
    "patch_status": lambda client: client.patch_status(ObjectKind.BACKEND, KEY, {"status": UP}),
    "create_event": lambda client: client.create_event({}),
}
each_write = pytest.mark.parametrize("make", WRITES.values(), ids=WRITES)


def a_server() -> FakeApiServer:
    server = FakeApiServer(latency=5.0)
    server.add(ObjectKind.BACKEND, KEY, {})
    return server


@pytest.fixture
def server() -> FakeApiServer:
    return a_server()


async def write(server: FakeApiServer, permit: Permit) -> Mapping[str, object]:
    client = PermittedClient(server, permit)
    return await client.patch_status(ObjectKind.BACKEND, KEY, {"status": {"state": "up"}})


@each_write
async def test_without_a_permit_no_write_is_even_sent(server: FakeApiServer, make: Write) -> None:
    with pytest.raises(NotPermitted):
        await make(PermittedClient(server, Permit()))
    assert server.requests == []


@pytest.mark.looptime
@each_write
async def test_with_a_permit_each_write_is_sent_as_it_is(
    server: FakeApiServer, make: Write
) -> None:
    permit, other = Permit(), a_server()
    permit.extend(6.0)
    await make(PermittedClient(server, permit))
    await make(other)
    assert server.requests == other.requests


@pytest.mark.looptime
async def test_reading_needs_no_permit(server: FakeApiServer) -> None:
    client = PermittedClient(server, Permit())
    assert (await client.list(ObjectKind.BACKEND)).items == [
        await client.get(ObjectKind.BACKEND, KEY)
    ]


@pytest.mark.looptime
async def test_a_write_is_made_while_the_permit_lasts(server: FakeApiServer) -> None:
    permit = Permit()
    permit.extend(6.0)
    await write(server, permit)
    assert server.status(ObjectKind.BACKEND, KEY) == {"state": "up"}


@pytest.mark.looptime
async def test_a_write_under_way_is_cut_off_when_the_permit_ends(server: FakeApiServer) -> None:
    permit = Permit()
    permit.extend(4.0)
    with pytest.raises(NotPermitted):
        await write(server, permit)
    assert asyncio.get_running_loop().time() == 4.0
    assert server.under_way == 0


@pytest.mark.looptime
async def test_a_permit_that_is_extended_covers_what_is_under_way(server: FakeApiServer) -> None:
    permit = Permit()
    permit.extend(4.0)
    asyncio.get_running_loop().call_later(2, permit.extend, 6.0)
    await write(server, permit)
    assert asyncio.get_running_loop().time() == 5.0


@pytest.mark.looptime
async def test_revoking_cuts_off_at_once_and_for_good(server: FakeApiServer) -> None:
    permit = Permit()
    permit.extend(100.0)
    asyncio.get_running_loop().call_later(2, permit.revoke)
    with pytest.raises(NotPermitted):
        await write(server, permit)
    assert asyncio.get_running_loop().time() == 2.0
    with pytest.raises(NotPermitted):
        await write(server, permit)
    assert len(server.requests) == 1


@pytest.mark.looptime
async def test_the_clock_is_read_before_a_write_and_no_timer_is_waited_for(
    server: FakeApiServer,
) -> None:
    permit = Permit()
    permit.extend(3.0)
    await asyncio.sleep(3.0)
    with pytest.raises(NotPermitted):
        await write(server, permit)
    assert server.requests == []


@pytest.mark.looptime
async def test_a_failure_of_the_server_stays_what_it_is(server: FakeApiServer) -> None:
    permit = Permit()
    permit.extend(100.0)
    server.faults.append(ApiUnreachable("refused"))
    with pytest.raises(ApiUnreachable, match="refused"):
        await write(server, permit)
