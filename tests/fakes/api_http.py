"""The API server in memory by HTTP: what `KubeClient`, `Console` and kopf speak."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from ssl import SSLContext

from aiohttp import web

from fakes.api_server import FakeApiServer
from fakes.api_store import Selection
from vpplb.kube.api_types import (
    RESOURCES,
    ApiError,
    Gone,
    JsonObject,
    KubeError,
    NotFound,
    api_error,
    key_of,
)
from vpplb.kube.cluster_access import ClusterAccess
from vpplb.model.names import ObjectKey, ObjectKind

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

BOOKMARK_BEFORE_END = 2.0
"""Seconds before a watch ends at which it tells the version that it has come to."""


@asynccontextmanager
async def served(
    server: FakeApiServer, socket_path: Path | None = None
) -> AsyncIterator[ClusterAccess]:
    """Serve on loopback, and on a Unix socket if asked; give the way to it.

    A KubeError that is no answer breaks the line.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await _handle(server, request)
        except ApiError as error:
            return _failure(error)
        except KubeError:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

    async with answering(handle, socket_path=socket_path) as url:
        yield ClusterAccess(server=url, auth_headers=_no_headers)


@asynccontextmanager
async def answering(
    handle: Handler, tls: SSLContext | None = None, *, socket_path: Path | None = None
) -> AsyncIterator[str]:
    """Have every request on an address of loopback answered by `handle`; give the address."""
    server = web.Server(handle, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    if socket_path is not None:
        await web.UnixSite(runner, socket_path).start()
    yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def _no_headers() -> Mapping[str, str]:
    return {}


async def _handle(server: FakeApiServer, request: web.BaseRequest) -> web.StreamResponse:
    kind, key, subresource = _parse_path(request.path)
    text = await request.text()
    body = json.loads(text) if text else {}
    match request.method, subresource:
        case "GET", "" if request.query.get("watch") in ("1", "true"):
            return await _watch(server, request, _selection(kind, key, request))
        case "GET", "" if not key.name:
            return await _list(server, request, _selection(kind, key, request))
        case "GET", "":
            answer = await server.get_object(kind, key)
        case "POST", "":
            metadata = {**body["metadata"], **({"namespace": key.namespace} if key[0] else {})}
            body = {**body, "metadata": metadata}
            if request.query.get("dryRun") == "All":
                answer = await _try_create(server, kind, body)
            else:
                answer = await server.create_object(kind, body)
            return web.json_response(answer, status=201)
        case "PUT", "":
            answer = await server.replace_object(kind, key, body)
        case "PUT", "status":
            version = int(body["metadata"].get("resourceVersion") or 0)
            answer = await server.replace_status(kind, key, version, body["status"])
        case "PATCH", "" if isinstance(body, list):
            await server.ask("edit", key, {"operations": body})
            answer = server.edit(kind, key, body)
        case "PATCH", "":
            answer = await server.patch_object(kind, key, body)
        case "PATCH", "status":
            answer = await server.patch_status(kind, key, body)
        case "DELETE", "":
            await server.delete_object(kind, key)
            answer = {"kind": "Status", "status": "Success"}
        case _:
            raise api_error(405, "MethodNotAllowed", "the server does not allow this method")
    return web.json_response(answer)


async def _try_create(server: FakeApiServer, kind: ObjectKind, body: JsonObject) -> JsonObject:
    """Answer as if the object were made."""
    if await server.is_forbidden(kind, body):
        raise api_error(403, "Forbidden", f"{RESOURCES[kind].plural} are forbidden")
    if (kind, key_of(body)) in server.objects:
        raise api_error(409, "AlreadyExists", f"{kind} {key_of(body).name} already exists")
    return body


async def _list(
    server: FakeApiServer, request: web.BaseRequest, selection: Selection
) -> web.Response:
    await server.ask("list", ObjectKey(selection.namespace, ""), {})
    limit, token = int(request.query.get("limit") or 0), request.query.get("continue", "")
    items, version, more = server.list_page(selection, limit or len(server.objects) + 1, token)
    metadata = {"resourceVersion": version, **({"continue": more} if more else {})}
    kind = f"{selection.kind}List"
    return web.json_response({"kind": kind, "metadata": metadata, "items": items})


async def _watch(
    server: FakeApiServer, request: web.BaseRequest, selection: Selection
) -> web.StreamResponse:
    """Tell what changes until the time is over, or the client leaves."""
    await server.ask("watch", ObjectKey(selection.namespace, ""), {})
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    version = int(request.query.get("resourceVersion") or 0)
    try:
        queue = server.watch(selection, version or int(server.version))
    except Gone as error:
        await _tell(response, "ERROR", _status(error))
        return response
    for raw in () if version else server.list_all(selection):
        await _tell(response, "ADDED", raw)
    lasts = float(request.query.get("timeoutSeconds") or 1800)
    marks = request.query.get("allowWatchBookmarks") in ("1", "true")
    try:
        async with asyncio.timeout(lasts):
            async with asyncio.TaskGroup() as tasks:
                if marks:
                    tasks.create_task(_mark(server, selection, response, lasts))
                for _ in count():
                    await _tell(response, *await queue.get())
    except TimeoutError:
        return response
    finally:
        server.unwatch(queue)
    return response


async def _mark(
    server: FakeApiServer, selection: Selection, response: web.StreamResponse, lasts: float
) -> None:
    begun = server.version
    await asyncio.sleep(max(0.0, lasts - BOOKMARK_BEFORE_END))
    if server.version == begun:
        return
    resource = RESOURCES[selection.kind]
    mark = {"apiVersion": resource.api_version, "kind": str(selection.kind)}
    await _tell(response, "BOOKMARK", {**mark, "metadata": {"resourceVersion": server.version}})


async def _tell(response: web.StreamResponse, event: str, raw: Mapping[str, object]) -> None:
    line = json.dumps({"type": event, "object": raw}, separators=(",", ":"))
    await response.write(line.encode() + b"\n")


def _parse_path(path: str) -> tuple[ObjectKind, ObjectKey, str]:
    """Return what a path names; the key of a collection has no name."""
    steps = path.strip("/").split("/")
    group = "" if steps[0] == "api" else steps[1]
    rest = steps[2:] if steps[0] == "api" else steps[3:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    for kind, resource in RESOURCES.items():
        if rest and (resource.group, resource.plural) == (group, rest[0]):
            name, subresource = [*rest[1:], "", ""][:2]
            return kind, ObjectKey(namespace, name), subresource
    raise NotFound(404, "NotFound", "the server could not find the requested resource")


def _selection(kind: ObjectKind, key: ObjectKey, request: web.BaseRequest) -> Selection:
    return Selection(
        kind=kind,
        namespace=key.namespace,
        labels=request.query.get("labelSelector", ""),
        fields=request.query.get("fieldSelector", ""),
    )


def _failure(error: ApiError) -> web.Response:
    after = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:g}"}
    return web.json_response(_status(error), status=error.status, headers=after)


def _status(error: ApiError) -> Mapping[str, object]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": error.message,
        "reason": error.reason,
        "code": error.status,
    }
