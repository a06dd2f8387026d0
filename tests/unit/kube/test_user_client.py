"""What people's commands ask of the API server: selections, edits, watches, a pod's HTTP."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from fakes.api_http import Handler, answering
from vpplb.kube.cluster_access import ClusterAccess
from vpplb.kube.errors import ApiError, ApiUnreachable, Gone, NotFound
from vpplb.kube.user_client import WATCH_PERIOD, UserClient, WatchEvent, read_url
from vpplb.model.names import ObjectKey, ObjectKind

WEB = ObjectKey("shop", "web")


async def auth_headers() -> Mapping[str, str]:
    return {"Authorization": "Bearer sekrit"}


@asynccontextmanager
async def console(handler: Handler) -> AsyncIterator[UserClient]:
    """Give a console whose requests are all answered by `handler`."""
    async with (
        answering(handler) as url,
        UserClient(ClusterAccess(server=url, auth_headers=auth_headers)) as made,
    ):
        yield made


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


async def test_objects_are_selected_by_labels_and_fields() -> None:
    server = Answering({"items": [{"metadata": {"name": "a"}}]})
    async with console(server.handle) as asked:
        found = await asked.select_objects(
            ObjectKind.POD, "sys", labels="a=b,c=d", fields="spec.nodeName=n1"
        )
    assert [one["metadata"]["name"] for one in found] == ["a"]
    assert server.path == "/api/v1/namespaces/sys/pods"
    assert server.query == {"labelSelector": "a=b,c=d", "fieldSelector": "spec.nodeName=n1"}


async def test_an_edit_is_a_merge_patch_under_the_commands_own_field_manager() -> None:
    server = Answering({"metadata": {}})
    async with console(server.handle) as asked:
        await asked.edit_object(ObjectKind.BACKEND, WEB, {"spec": {"paused": True}})
    assert server.path.endswith("/namespaces/shop/backends/web")
    assert server.query == {"fieldManager": "kubectl-vpplb"}
    assert server.type == "application/merge-patch+json"
    assert server.body == {"spec": {"paused": True}}


async def test_an_exact_edit_is_a_json_patch() -> None:
    server = Answering({"metadata": {}})
    operations = [{"op": "test", "path": "/spec/pools/0/name", "value": "main"}]
    async with console(server.handle) as asked:
        await asked.apply_json_patch(ObjectKind.FRONTEND, WEB, operations)
    assert (server.type, server.body) == ("application/json-patch+json", operations)
    assert server.query == {"fieldManager": "kubectl-vpplb"}


async def test_a_pod_is_asked_through_the_api_server() -> None:
    server = Answering({"vips": []})
    async with console(server.handle) as asked:
        told = await asked.get_through_pod(ObjectKey("sys", "agent-x"), 9091, "/api/v1/x")
    assert told == {"vips": []}
    assert server.path == "/api/v1/namespaces/sys/pods/agent-x:9091/proxy/api/v1/x"


@pytest.mark.parametrize(
    ("body", "said"),
    [('{"error": "VPP cannot be read"}', "VPP cannot be read"), ("no route", "no route")],
)
async def test_what_a_pod_answers_instead_is_told_in_its_words(body: str, said: str) -> None:
    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response(status=503, text=body)

    async with console(handler) as asked:
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


async def test_a_watch_yields_changes_however_they_are_cut_and_however_long_they_are() -> None:
    long = line("MODIFIED", text="x" * 300_000)
    text = line("ADDED", a=1) + long + line("BOOKMARK")
    async with console(streaming(text[:5], text[5:40], text[40:])) as asked:
        changes = [change async for change in asked.watch_objects(ObjectKind.BACKEND, "shop", "7")]
    assert [change.type for change in changes] == ["ADDED", "MODIFIED", "BOOKMARK"]
    assert changes[0] == WatchEvent("ADDED", {"a": 1})
    assert len(changes[1].object["text"]) == 300_000


async def test_a_watch_of_a_version_that_is_too_old_says_so() -> None:
    expired = line("ERROR", code=410, reason="Expired", message="too old resource version")
    async with console(streaming(expired)) as asked:
        with pytest.raises(Gone, match="too old"):
            [change async for change in asked.watch_objects(ObjectKind.BACKEND, "", "7")]


async def test_a_watch_that_is_refused_or_broken_says_so() -> None:
    async def refuse(_: web.BaseRequest) -> web.Response:
        return web.Response(status=403, text="no")

    async def hang_up(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        assert request.transport is not None
        request.transport.close()
        return response

    for handler, error in ((refuse, ApiError), (hang_up, ApiUnreachable)):
        async with console(handler) as asked:
            with pytest.raises(error):
                [change async for change in asked.watch_objects(ObjectKind.BACKEND, "", "7")]


async def test_a_program_of_ours_is_read_by_its_url() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        if request.path == "/good":
            return web.json_response({"node": "n1"})
        if request.path == "/list":
            return web.json_response([])
        return web.json_response({"error": "no such thing"}, status=404)

    async with answering(handler) as server:
        assert await read_url(f"{server}/good") == {"node": "n1"}
        with pytest.raises(NotFound, match="no such thing"):
            await read_url(f"{server}/other")
        with pytest.raises(ApiError):
            await read_url(f"{server}/list")
    for url in ("http://127.0.0.1:1/good", "nonsense"):
        with pytest.raises(ApiUnreachable, match=url):
            await read_url(url)
