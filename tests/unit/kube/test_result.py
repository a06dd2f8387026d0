import asyncio

import pytest

from data.objects import key
from fakes.api_server import FakeApiServer
from in_memory.status_writer import Told, running, see
from vpplb.kube.errors import ApiUnreachable, KubeError, api_error
from vpplb.kube.result import NoStatus, result_of
from vpplb.model.names import ObjectKind


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (ApiUnreachable("refused"), "unreachable"),
        (api_error(404), "gone"),
        (api_error(409), "conflict"),
        (api_error(429), "throttled"),
        (api_error(503), "throttled"),
        (api_error(401), "forbidden"),
        (api_error(403), "forbidden"),
        (NoStatus(ObjectKind.BACKEND), "no_status"),
        (api_error(413, "RequestEntityTooLarge", "limit is 3145728"), "too_large"),
        (api_error(500, "", "etcdserver: request is too large"), "too_large"),
        (api_error(422), "refused"),
        (api_error(500), "refused"),
    ],
    ids=str,
)
def test_a_failed_write_is_counted_by_what_failed(error: KubeError, result: str) -> None:
    assert result_of(error) == result


@pytest.mark.looptime
async def test_a_crd_without_status_subresource_is_not_taken_for_a_deleted_object() -> None:
    server, told = FakeApiServer(has_status=False), Told()
    async with running(server, told) as writer:
        see(writer, server, ["b"])
        writer.submit(ObjectKind.BACKEND, key("b"), lambda: {"state": "up"})
        await asyncio.sleep(5)
        assert writer.pending == 1
        assert {result for _, result in told.results} == {"no_status"}
        del server.objects[ObjectKind.BACKEND, key("b")]
        await writer.drain(20)
        assert writer.pending == 0
