import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

import pytest
from aiohttp import web

from fakes.api_http import Handler, answering
from lab.authority import Authority
from vpplb.kube.api_types import (
    ApiError,
    ApiUnreachable,
    Conflict,
    JsonObject,
    NotFound,
    UntrustedServer,
    cluster_key,
)
from vpplb.kube.client import KEPT_ALIVE, KubeClient
from vpplb.kube.cluster_access import ClusterAccess
from vpplb.model.names import ObjectKey, ObjectKind

WEB = ObjectKey("shop", "web")
PATH = "/apis/vpplb.dev/v1alpha1/namespaces/shop/backends"
ANSWER = {"metadata": {"name": "web", "resourceVersion": "5"}}


class SeenRequest(NamedTuple):
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: object


def access(server: str, token: str = "Bearer sekrit") -> ClusterAccess:
    async def auth_headers() -> Mapping[str, str]:
        return {"Authorization": token}

    return ClusterAccess(server=server, auth_headers=auth_headers)


@asynccontextmanager
async def api(
    handler: Handler, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, list[SeenRequest]]]:
    """Serve everything by `handler`; give the address and what was asked."""
    seen: list[SeenRequest] = []

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        text = await request.text()
        body = json.loads(text) if text else None
        seen.append(
            SeenRequest(request.method, request.path, dict(request.query), request.headers, body)
        )
        return await handler(request)

    async with answering(note, tls) as url:
        yield url, seen


async def answer_object(request: web.BaseRequest) -> web.Response:
    return web.json_response(ANSWER)


def refusing(status: int, *, headers: Mapping[str, str] | None = None, **body: object) -> Handler:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.json_response(body, status=status, headers=headers)

    return handler


async def test_a_status_patch_is_a_merge_patch_of_the_subresource_under_our_field_manager() -> None:
    async with api(answer_object) as (url, seen), KubeClient(access(url)) as client:
        answer = await client.patch_status(ObjectKind.BACKEND, WEB, {"status": {"state": "up"}})
    assert answer == ANSWER
    asked = seen[0]
    assert (asked.method, asked.path) == ("PATCH", f"{PATH}/web/status")
    assert asked.query == {"fieldManager": "vpplb"}
    assert asked.headers["Content-Type"] == "application/merge-patch+json"
    assert asked.headers["Authorization"] == "Bearer sekrit"
    assert asked.body == {"status": {"state": "up"}}


async def test_a_status_is_replaced_in_the_version_that_is_known() -> None:
    async with api(answer_object) as (url, seen), KubeClient(access(url)) as client:
        await client.replace_status(ObjectKind.BACKEND, WEB, 7, {"state": "up"})
        await client.replace_status(ObjectKind.DATAPLANE, cluster_key("n1"), 8, {})
    of_backend, of_dataplane = seen
    assert (of_backend.method, of_backend.path) == ("PUT", f"{PATH}/web/status")
    assert of_backend.headers["Content-Type"] == "application/json"
    assert of_backend.body == {
        "apiVersion": "vpplb.dev/v1alpha1",
        "kind": "Backend",
        "metadata": {"namespace": "shop", "name": "web", "resourceVersion": "7"},
        "status": {"state": "up"},
    }
    assert isinstance(of_dataplane.body, dict)
    assert of_dataplane.body["metadata"] == {"name": "n1", "resourceVersion": "8"}


async def test_what_is_no_object_is_read_whatever_type_it_has() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        if "*/*" not in request.headers["Accept"]:  # as an API server asks for its set of keys
            return web.Response(status=406)
        return web.Response(text='{"keys": []}', content_type="application/jwk-set+json")

    async with api(handler) as (url, seen), KubeClient(access(url)) as client:
        assert await client.read_path("/openid/v1/jwks") == {"keys": []}
    assert [(asked.method, asked.path) for asked in seen] == [("GET", "/openid/v1/jwks")]


@pytest.mark.parametrize(
    ("answer", "forbidden"),
    [
        (answer_object, False),
        (refusing(403, reason="Forbidden"), True),
        (refusing(409, reason="AlreadyExists"), False),
    ],
)
async def test_whether_something_is_forbidden_is_asked_by_a_dry_run(
    answer: Handler, forbidden: bool
) -> None:
    body = {"metadata": {"namespace": "shop", "name": "web"}}
    async with api(answer) as (url, seen), KubeClient(access(url)) as client:
        assert await client.is_forbidden(ObjectKind.BACKEND, body) is forbidden
    [asked] = seen
    assert (asked.method, asked.path, asked.query["dryRun"]) == ("POST", PATH, "All")


async def test_an_api_server_that_fails_does_not_say_what_is_forbidden() -> None:
    body = {"metadata": {"namespace": "shop", "name": "web"}}
    async with api(refusing(500)) as (url, _), KubeClient(access(url)) as client:
        with pytest.raises(ApiError):
            await client.is_forbidden(ObjectKind.BACKEND, body)


async def test_what_is_created_says_its_kind_and_goes_to_its_namespace() -> None:
    async with api(answer_object) as (url, seen), KubeClient(access(url)) as client:
        await client.create_object(
            ObjectKind.BACKEND, {"metadata": {"namespace": "shop", "name": "web"}}
        )
        await client.replace_object(
            ObjectKind.BACKEND, WEB, {"metadata": {"namespace": "shop", "name": "web"}}
        )
        await client.delete_object(ObjectKind.BACKEND, WEB)
    assert [(asked.method, asked.path) for asked in seen] == [
        ("POST", PATH),
        ("PUT", f"{PATH}/web"),
        ("DELETE", f"{PATH}/web"),
    ]
    assert (
        seen[0].body
        == seen[1].body
        == {
            "apiVersion": "vpplb.dev/v1alpha1",
            "kind": "Backend",
            "metadata": {"namespace": "shop", "name": "web"},
        }
    )


def pages(request: web.BaseRequest) -> JsonObject:
    at = int(request.query.get("continue", 0))
    size = int(request.query.get("limit", 1000))
    rest = at + size
    return {
        "items": [{**ANSWER, "n": n} for n in range(at, min(rest, 1200))],
        "metadata": {"resourceVersion": "7", **({"continue": str(rest)} if rest < 1200 else {})},
    }


async def test_a_big_list_is_read_page_by_page() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.json_response(pages(request))

    async with api(handler) as (url, seen), KubeClient(access(url)) as client:
        items, version = await client.list_objects(ObjectKind.BACKEND, "shop")
    assert [item["n"] for item in items] == list(range(1200))
    assert version == "7"
    assert [asked.query.get("continue") for asked in seen] == [None, "500", "1000"]


async def test_a_list_that_expires_between_pages_is_begun_anew_in_one_piece() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        if "continue" in request.query:
            return web.json_response({"reason": "Expired"}, status=410)
        if "limit" not in request.query:
            items = [{**ANSWER, "n": n} for n in range(1200)]
            return web.json_response({"items": items, "metadata": {"resourceVersion": "9"}})
        return web.json_response(pages(request))

    async with api(handler) as (url, _), KubeClient(access(url)) as client:
        items, version = await client.list_objects(ObjectKind.BACKEND)
    assert [item["n"] for item in items] == list(range(1200))
    assert version == "9"


async def test_a_list_without_items_is_empty() -> None:
    handler = refusing(200, items=None, metadata={"resourceVersion": "1"})
    async with api(handler) as (url, _), KubeClient(access(url)) as client:
        assert await client.list_objects(ObjectKind.BACKEND) == ([], "1")


@pytest.mark.parametrize(("status", "error"), [(404, NotFound), (409, Conflict), (500, ApiError)])
async def test_a_failure_is_raised_with_what_the_server_says(
    status: int, error: type[ApiError]
) -> None:
    handler = refusing(status, kind="Status", reason="SomeReason", message="some message")
    async with api(handler) as (url, _), KubeClient(access(url)) as client:
        with pytest.raises(error) as caught:
            await client.get_object(ObjectKind.BACKEND, WEB)
    assert str(caught.value) == f"{status} SomeReason: some message"
    assert caught.value.retry_after is None


async def test_a_throttled_request_tells_how_long_to_wait() -> None:
    handler = refusing(429, headers={"Retry-After": "3"})
    async with api(handler) as (url, _), KubeClient(access(url)) as client:
        with pytest.raises(ApiError) as caught:
            await client.get_object(ObjectKind.BACKEND, WEB)
    assert (caught.value.status, caught.value.retry_after) == (429, 3.0)


async def test_an_answer_that_is_no_object_is_an_api_error() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text="<html>a proxy</html>")

    async with api(handler) as (url, _), KubeClient(access(url)) as client:
        with pytest.raises(ApiError, match="not a JSON object"):
            await client.get_object(ObjectKind.BACKEND, WEB)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"error": "please log in"},
        {"metadata": None, "items": []},
        {"kind": "Status", "metadata": {}, "message": "failure"},
        {"metadata": {"resourceVersion": ""}, "items": []},
        {"metadata": {"resourceVersion": "5"}, "items": [None]},
        {"metadata": {"resourceVersion": "5"}, "items": [{"metadata": {"name": "web"}}]},
        {"metadata": {"resourceVersion": "5"}, "items": [{"spec": {}}]},
    ],
)
async def test_what_is_nothing_of_an_api_server_is_an_api_error(body: JsonObject) -> None:
    async with api(refusing(200, **body)) as (url, _), KubeClient(access(url)) as client:
        with pytest.raises(ApiError, match="of an API server"):
            await client.list_objects(ObjectKind.BACKEND)
        for answered in (
            client.get_object(ObjectKind.BACKEND, WEB),
            client.create_object(ObjectKind.BACKEND, ANSWER),
            client.replace_object(ObjectKind.BACKEND, WEB, ANSWER),
            client.patch_object(ObjectKind.BACKEND, WEB, {}),
            client.replace_status(ObjectKind.BACKEND, WEB, 5, {}),
            client.patch_status(ObjectKind.BACKEND, WEB, {}),
        ):
            with pytest.raises(ApiError, match="no object of an API server"):
                await answered


async def test_a_failure_of_something_in_between_is_raised_with_its_text() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(status=502, text="bad gateway")

    async with api(handler) as (url, _), KubeClient(access(url)) as client:
        with pytest.raises(ApiError, match=r"^502: bad gateway$"):
            await client.get_object(ObjectKind.BACKEND, WEB)


async def test_a_refused_connection_is_unreachable() -> None:
    async with api(answer_object) as (url, _):
        pass
    async with KubeClient(access(url)) as client:
        with pytest.raises(ApiUnreachable, match=url):
            await client.get_object(ObjectKind.BACKEND, WEB)


async def test_a_redirect_takes_our_token_to_no_other_server() -> None:
    """As an aggregated API server could (CVE-2022-3172), or a gateway that has people log in."""
    async with api(answer_object) as (other, taken):

        async def redirect(request: web.BaseRequest) -> web.Response:
            raise web.HTTPTemporaryRedirect(other + PATH)

        async with api(redirect) as (url, _), KubeClient(access(url)) as client:
            with pytest.raises(ApiUnreachable, match=f"{url}: it redirects to {other}"):
                await client.list_objects(ObjectKind.BACKEND)
    assert not taken


async def test_a_request_without_answer_in_time_is_unreachable() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with api(handler) as (url, _), KubeClient(access(url), timeout=0.05) as client:
        with pytest.raises(ApiUnreachable, match=r"no answer in 0\.05 s"):
            await client.get_object(ObjectKind.BACKEND, WEB)


async def test_a_connection_cut_during_the_answer_is_unreachable() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    async with api(handler) as (url, _), KubeClient(access(url)) as client:
        with pytest.raises(ApiUnreachable):
            await client.get_object(ObjectKind.BACKEND, WEB)


@pytest.mark.parametrize(("idle", "connections"), [(0.9 * KEPT_ALIVE, 1), (1.1 * KEPT_ALIVE, 2)])
async def test_a_connection_outlives_a_quiet_minute(
    monkeypatch: pytest.MonkeyPatch, idle: float, connections: int
) -> None:
    peers = set[object]()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return await answer_object(request)

    async with api(handler) as (url, _), KubeClient(access(url)) as client:
        await client.get_object(ObjectKind.BACKEND, WEB)
        monkeypatch.setattr("aiohttp.connector.monotonic", lambda: time.monotonic() + idle)
        await client.get_object(ObjectKind.BACKEND, WEB)
    assert len(peers) == connections


async def only_new_token(request: web.BaseRequest) -> web.Response:
    status = 200 if request.headers["Authorization"] == "Bearer new" else 401
    return web.json_response({**ANSWER, "reason": "Unauthorized"}, status=status)


async def test_on_401_the_configuration_is_read_anew_once_for_all_that_were_refused() -> None:
    async with api(only_new_token) as (url, _):
        reads = 0

        async def reload() -> ClusterAccess:
            nonlocal reads
            reads += 1
            return access(url, "Bearer new")

        async with KubeClient(access(url, "Bearer old"), reload=reload) as client:
            await asyncio.gather(*(client.get_object(ObjectKind.BACKEND, WEB) for _ in range(5)))
    assert reads == 1


async def test_a_401_that_stays_is_raised() -> None:
    async with api(only_new_token) as (url, seen):

        async def reload() -> ClusterAccess:
            return access(url, "Bearer wrong")

        async with KubeClient(access(url, "Bearer old"), reload=reload) as client:
            with pytest.raises(ApiError, match="Unauthorized"):
                await client.get_object(ObjectKind.BACKEND, WEB)
    assert len(seen) == 2


async def test_a_configuration_that_does_not_help_is_not_read_at_each_request() -> None:
    async with api(only_new_token) as (url, _):
        reads = 0

        async def reload() -> ClusterAccess:
            nonlocal reads
            reads += 1
            return access(url, "Bearer wrong")

        async with KubeClient(access(url, "Bearer old"), reload=reload) as client:
            for _ in range(5):
                with pytest.raises(ApiError, match="Unauthorized"):
                    await client.get_object(ObjectKind.BACKEND, WEB)
            assert reads == 1
            assert client.health.age() > 0, "a refusal of all that is asked is no answer"


async def test_a_certificate_that_is_not_trusted_has_the_configuration_read_anew() -> None:
    old, new = Authority(), Authority()
    async with api(answer_object, new.server("127.0.0.1")) as (url, _):

        async def reload() -> ClusterAccess:
            return replace(access(url), tls=ssl.create_default_context(cadata=new.pem))

        trusting_old = replace(access(url), tls=ssl.create_default_context(cadata=old.pem))
        async with KubeClient(trusting_old, reload=reload) as client:
            assert await client.get_object(ObjectKind.BACKEND, WEB) == ANSWER
        async with KubeClient(trusting_old) as client:
            with pytest.raises(UntrustedServer, match="certificate verify failed"):
                await client.get_object(ObjectKind.BACKEND, WEB)


async def test_a_client_used_outside_of_its_with_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await KubeClient(access("http://127.0.0.1:1")).get_object(ObjectKind.BACKEND, WEB)
