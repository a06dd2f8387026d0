"""The client of people's commands, on a Unix socket that a test answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from fakes.api_http import Handler, answering
from vpplb.kube.api_types import ApiError, ApiUnreachable, Gone
from vpplb.kube.user_api.user_client import WATCH_PERIOD, UserClient, WatchEvent
from vpplb.model.names import ObjectKey, ObjectKind

WEB = ObjectKey("shop", "web")


@asynccontextmanager
async def reached(handler: Handler, folder: Path) -> AsyncIterator[UserClient]:
    """Give a client whose requests are all answered by `handler`."""
    path = folder / "api.sock"
    async with answering(handler, socket_path=path):
        yield UserClient(path)


class Answering:
    """Answers everything with one object, and notes what was asked."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.path, self.query, self.type, self.body = "", dict[str, str](), "", object()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.path, self.query = request.path, dict(request.query)
        self.type = request.content_type
        text = await request.text()
        self.body = json.loads(text) if text else None
        return web.json_response(self.answer)


async def test_objects_are_selected_by_labels_and_fields(tmp_path: Path) -> None:
    server = Answering({"items": [{"metadata": {"name": "a"}}]})
    async with reached(server.handle, tmp_path) as asked:
        found = await asked.list_objects(
            ObjectKind.POD, "sys", labels="a=b,c=d", fields="spec.nodeName=n1"
        )
    assert [one["metadata"]["name"] for one in found.items] == ["a"]
    assert server.path == "/api/v1/namespaces/sys/pods"
    selectors = {"labelSelector": "a=b,c=d", "fieldSelector": "spec.nodeName=n1"}
    assert server.query == {**selectors, "limit": "500"}


async def test_an_edit_is_a_merge_patch_under_the_commands_own_field_manager(
    tmp_path: Path,
) -> None:
    server = Answering({"metadata": {}})
    async with reached(server.handle, tmp_path) as asked:
        await asked.edit_object(ObjectKind.BACKEND, WEB, {"spec": {"paused": True}})
    assert server.path.endswith("/namespaces/shop/backends/web")
    assert server.query == {"fieldManager": "kubectl-vpplb"}
    assert server.type == "application/merge-patch+json"
    assert server.body == {"spec": {"paused": True}}


async def test_an_exact_edit_is_a_json_patch(tmp_path: Path) -> None:
    server = Answering({"metadata": {}})
    operations = [{"op": "test", "path": "/spec/pools/0/name", "value": "main"}]
    async with reached(server.handle, tmp_path) as asked:
        await asked.apply_json_patch(ObjectKind.FRONTEND, WEB, operations)
    assert (server.type, server.body) == ("application/json-patch+json", operations)
    assert server.query == {"fieldManager": "kubectl-vpplb"}


async def test_a_pod_is_asked_through_the_api_server(tmp_path: Path) -> None:
    server = Answering({"vips": []})
    async with reached(server.handle, tmp_path) as asked:
        told = await asked.get_through_pod(ObjectKey("sys", "agent-x"), 9091, "/api/v1/x")
    assert told == {"vips": []}
    assert server.path == "/api/v1/namespaces/sys/pods/agent-x:9091/proxy/api/v1/x"


@pytest.mark.parametrize(
    ("body", "said"),
    [('{"error": "VPP cannot be read"}', "VPP cannot be read"), ("no route", "no route")],
)
async def test_what_a_pod_answers_instead_is_told_in_its_words(
    body: str, said: str, tmp_path: Path
) -> None:
    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response(status=503, text=body)

    async with reached(handler, tmp_path) as asked:
        with pytest.raises(ApiError) as caught:
            await asked.get_through_pod(ObjectKey("sys", "agent-x"), 9091, "/api/v1/x")
    assert (caught.value.status, caught.value.message) == (503, said)


def streaming(*chunks: bytes) -> Handler:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert request.query["resourceVersion"] == "7"
        assert request.query["timeoutSeconds"] == str(WATCH_PERIOD)
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        return response

    return handler


def line(type_: str, **object_: object) -> bytes:
    return json.dumps({"type": type_, "object": object_}).encode() + b"\n"


async def test_a_watch_yields_changes_however_they_are_cut_and_however_long_they_are(
    tmp_path: Path,
) -> None:
    long = line("MODIFIED", text="x" * 300_000)
    text = line("ADDED", a=1) + long + line("BOOKMARK")
    async with reached(streaming(text[:5], text[5:40], text[40:]), tmp_path) as asked:
        changes = [change async for change in asked.watch_objects(ObjectKind.BACKEND, "shop", "7")]
    assert [change.type for change in changes] == ["ADDED", "MODIFIED", "BOOKMARK"]
    assert changes[0] == WatchEvent("ADDED", {"a": 1})
    assert len(changes[1].object["text"]) == 300_000


async def test_a_watch_of_a_version_that_is_too_old_says_so(tmp_path: Path) -> None:
    expired = line("ERROR", code=410, reason="Expired", message="too old resource version")
    async with reached(streaming(expired), tmp_path) as asked:
        with pytest.raises(Gone, match="too old"):
            [change async for change in asked.watch_objects(ObjectKind.BACKEND, "", "7")]


async def test_a_watch_that_is_refused_says_so_and_one_that_breaks_off_has_ended(
    tmp_path: Path,
) -> None:
    """Whoever watches on asks again, and hears then that nobody is there."""

    async def refuse(_: web.BaseRequest) -> web.Response:
        return web.Response(status=403, text="no")

    async def hang_up(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(line("ADDED", a=1))
        assert request.transport is not None
        request.transport.close()
        return response

    async with reached(refuse, tmp_path) as asked:
        with pytest.raises(ApiError, match="403"):
            [change async for change in asked.watch_objects(ObjectKind.BACKEND, "", "7")]
    async with reached(hang_up, tmp_path) as asked:
        told = [change async for change in asked.watch_objects(ObjectKind.BACKEND, "", "7")]
        assert told == [WatchEvent("ADDED", {"a": 1})]
    with pytest.raises(ApiUnreachable):
        [change async for change in asked.watch_objects(ObjectKind.BACKEND, "", "7")]


async def test_a_failure_in_json_is_the_servers_and_any_other_is_of_what_stands_between(
    tmp_path: Path,
) -> None:
    status = {"kind": "Status", "message": "etcd is away", "reason": "InternalError"}

    async def handler(request: web.BaseRequest) -> web.Response:
        if "backends" in request.path:
            return web.json_response(status, status=500)
        return web.Response(status=502, text="dial tcp 127.0.0.1:1: connect: connection refused\n")

    async with reached(handler, tmp_path) as asked:
        with pytest.raises(ApiError, match="etcd is away"):
            await asked.get_object(ObjectKind.BACKEND, WEB)
        with pytest.raises(ApiUnreachable) as caught:
            await asked.get_object(ObjectKind.FRONTEND, WEB)
    assert str(caught.value) == "dial tcp 127.0.0.1:1: connect: connection refused"


async def test_nobody_at_the_socket_and_an_answer_that_breaks_off_are_no_answer(
    tmp_path: Path,
) -> None:
    async def break_off(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    with pytest.raises(ApiUnreachable, match="No such file"):
        await UserClient(tmp_path / "none.sock").get_object(ObjectKind.BACKEND, WEB)
    async with reached(break_off, tmp_path) as asked:
        with pytest.raises(ApiUnreachable):
            await asked.get_object(ObjectKind.BACKEND, WEB)


async def test_whoever_stops_waiting_hangs_up(tmp_path: Path) -> None:
    """Ctrl-C ends a command at once, though a thread of it waits for an answer."""
    asking, left = asyncio.Event(), asyncio.Event()

    async def hang(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        asking.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return response

    async with reached(hang, tmp_path) as asked:
        for waiting in (asked.get_object(ObjectKind.BACKEND, WEB), first_change(asked)):
            task = asyncio.ensure_future(waiting)
            await asking.wait()
            task.cancel()
            await asyncio.wait((task,))
            assert task.cancelled()
            async with asyncio.timeout(10):
                await left.wait()
            asking.clear()
            left.clear()


async def first_change(asked: UserClient) -> WatchEvent:
    async for change in asked.watch_objects(ObjectKind.BACKEND, "", "7"):
        return change
    raise AssertionError("nothing changed")
