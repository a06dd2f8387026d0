import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from vpplb.kube.api_health import RequestHealth
from vpplb.kube.api_resources import JsonObject
from vpplb.kube.client import KubeClient
from vpplb.kube.errors import ApiUnreachable
from vpplb.kube.write_fence import FencedClient, WriteFence, WriteFenced
from vpplb.model.names import ObjectKey, ObjectKind

KEY = ObjectKey("default", "nginx0")
UP = {"state": "up"}
BODY = {"metadata": {"namespace": "default"}}

Write = Callable[[KubeClient], Awaitable[object]]
WRITES: Mapping[str, Write] = {
    "replace_status": lambda client: client.replace_status(ObjectKind.BACKEND, KEY, 101, UP),
    "patch_status": lambda client: client.patch_status(ObjectKind.BACKEND, KEY, {"status": UP}),
    "create_event": lambda client: client.create_event({}),
    "create": lambda client: client.create(ObjectKind.BACKEND, BODY),
    "replace": lambda client: client.replace(ObjectKind.BACKEND, KEY, BODY),
    "patch": lambda client: client.patch(ObjectKind.BACKEND, KEY, BODY),
    "delete": lambda client: client.delete(ObjectKind.BACKEND, KEY),
}
each_write = pytest.mark.parametrize("make", WRITES.values(), ids=WRITES)


class Server(KubeClient):
    """A client whose requests take 5 seconds, and are remembered."""

    def __init__(self) -> None:
        self.health, self.under_way = RequestHealth(), 0
        self.requests: list[tuple[str, str, object]] = []
        self.fault: ApiUnreachable | None = None

    async def _request(self, method: str, path: str, **options: Any) -> JsonObject:
        self.requests.append((method, path, options.get("body")))
        self.under_way += 1
        try:
            await asyncio.sleep(5.0)
        finally:
            self.under_way -= 1
        if self.fault is not None:
            raise self.fault
        return {"metadata": {"name": "nginx0", "resourceVersion": "1"}}


@pytest.fixture
def server() -> Server:
    return Server()


async def write(server: Server, fence: WriteFence) -> Mapping[str, object]:
    client = FencedClient(server, fence)
    return await client.patch_status(ObjectKind.BACKEND, KEY, {"status": {"state": "up"}})


@each_write
async def test_without_a_permit_no_write_is_even_sent(server: Server, make: Write) -> None:
    with pytest.raises(WriteFenced):
        await make(FencedClient(server, WriteFence()))
    assert server.requests == []


@pytest.mark.looptime
@each_write
async def test_with_a_permit_each_write_is_sent_as_it_is(server: Server, make: Write) -> None:
    fence, other = WriteFence(), Server()
    fence.extend_until(6.0)
    await make(FencedClient(server, fence))
    await make(other)
    assert server.requests == other.requests


@pytest.mark.looptime
async def test_reading_needs_no_permit(server: Server) -> None:
    client = FencedClient(server, WriteFence())
    assert (await client.list(ObjectKind.BACKEND)).resource_version == "1"
    assert await client.get(ObjectKind.BACKEND, KEY)


@pytest.mark.looptime
async def test_a_write_is_made_while_the_permit_lasts(server: Server) -> None:
    fence = WriteFence()
    fence.extend_until(6.0)
    assert await write(server, fence)
    assert len(server.requests) == 1


@pytest.mark.looptime
async def test_a_write_under_way_is_cut_off_when_the_permit_ends(server: Server) -> None:
    fence = WriteFence()
    fence.extend_until(4.0)
    with pytest.raises(WriteFenced):
        await write(server, fence)
    assert asyncio.get_running_loop().time() == 4.0
    assert server.under_way == 0


@pytest.mark.looptime
async def test_a_permit_that_is_extended_covers_what_is_under_way(server: Server) -> None:
    fence = WriteFence()
    fence.extend_until(4.0)
    asyncio.get_running_loop().call_later(2, fence.extend_until, 6.0)
    await write(server, fence)
    assert asyncio.get_running_loop().time() == 5.0


@pytest.mark.looptime
async def test_revoking_cuts_off_at_once_and_for_good(server: Server) -> None:
    fence = WriteFence()
    fence.extend_until(100.0)
    asyncio.get_running_loop().call_later(2, fence.close)
    with pytest.raises(WriteFenced):
        await write(server, fence)
    assert asyncio.get_running_loop().time() == 2.0
    with pytest.raises(WriteFenced):
        await write(server, fence)
    assert len(server.requests) == 1


@pytest.mark.looptime
async def test_the_clock_is_read_before_a_write_and_no_timer_is_waited_for(
    server: Server,
) -> None:
    fence = WriteFence()
    fence.extend_until(3.0)
    await asyncio.sleep(3.0)
    with pytest.raises(WriteFenced):
        await write(server, fence)
    assert server.requests == []


@pytest.mark.looptime
async def test_a_failure_of_the_server_stays_what_it_is(server: Server) -> None:
    fence = WriteFence()
    fence.extend_until(100.0)
    server.fault = ApiUnreachable("refused")
    with pytest.raises(ApiUnreachable, match="refused"):
        await write(server, fence)
