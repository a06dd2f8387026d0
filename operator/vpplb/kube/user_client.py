"""`UserClient`: what people's commands ask of the API server, besides what the programs do."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

import aiohttp

from vpplb.kube.api_resources import RESOURCES, JsonObject
from vpplb.kube.client import CONNECT_TIMEOUT, LIST_TIMEOUT, KubeClient
from vpplb.kube.errors import ApiError, ApiUnreachable, api_error
from vpplb.model.names import ObjectKey, ObjectKind

FIELD_MANAGER = "kubectl-vpplb"
"""Who changed a spec, as `metadata.managedFields` shows it."""

WATCH_PERIOD = 60
"""Seconds after which the server ends a watch, so that a dead one is noticed soon after."""
_SILENCE = WATCH_PERIOD + 30.0


class WatchEvent(NamedTuple):
    """What a watch tells: `type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: JsonObject


class UserClient(KubeClient):
    """A `KubeClient` for people: selections, edits of a spec, watches, and a pod's own HTTP."""

    async def select_objects(
        self, kind: ObjectKind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[JsonObject]:
        """Read the objects that meet both selectors, of one namespace if given."""
        given = {"labelSelector": labels, "fieldSelector": fields}
        query = {name: value for name, value in given.items() if value}
        path = RESOURCES[kind].collection_path(namespace)
        answer = await self._send_request("GET", path, query=query, timeout=LIST_TIMEOUT)
        return list(answer.get("items") or ())

    async def edit_object(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        """Merge `body` into an object (RFC 7386) as a person does, and return the result."""
        return await self._edit_object(kind, key, dict(body))

    async def apply_json_patch(
        self, kind: ObjectKind, key: ObjectKey, operations: Sequence[Mapping[str, object]]
    ) -> JsonObject:
        """Apply a JSON patch (RFC 6902); ApiError 422 when a `test` in it fails."""
        return await self._edit_object(kind, key, list(operations))

    async def _edit_object(
        self, kind: ObjectKind, key: ObjectKey, body: dict[str, object] | list[Mapping[str, object]]
    ) -> JsonObject:
        query = {"fieldManager": FIELD_MANAGER}
        return await self._send_request(
            "PATCH", RESOURCES[kind].object_path(key), query=query, body=body
        )

    async def get_through_pod(self, pod: ObjectKey, port: int, path: str) -> JsonObject:
        """GET from a pod's HTTP port by way of the API server (right `get` on `pods/proxy`)."""
        named = RESOURCES[ObjectKind.POD].object_path(
            ObjectKey(pod.namespace, f"{pod.name}:{port}"), "proxy"
        )
        try:
            return await self._send_request("GET", named + path)
        except ApiError as error:
            raise api_error(error.status, error.reason, _find_error(error.message)) from error

    async def watch_objects(
        self, kind: ObjectKind, namespace: str, version: str
    ) -> AsyncIterator[WatchEvent]:
        """Yield what changes after a version, until the server ends it, about once a minute.

        Gone when the version is too old, ApiUnreachable when the stream breaks.
        """
        if self._session is None:
            raise RuntimeError("UserClient is used outside of its `async with`")
        access = self._access
        query = {
            "watch": "1",
            "allowWatchBookmarks": "1",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_PERIOD),
        }
        try:
            async with self._session.get(
                access.server + RESOURCES[kind].collection_path(namespace),
                params=query,
                timeout=aiohttp.ClientTimeout(connect=CONNECT_TIMEOUT, sock_read=_SILENCE),
            ) as response:
                if response.status != 200:
                    raise api_error(response.status, "", await response.text())
                async for line in _split_lines(response.content):
                    yield _read_event(line)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ApiUnreachable(
                f"{access.server}: {str(error) or 'the watch is silent'}"
            ) from error


def _find_error(message: str) -> str:
    """Return what a program of ours said in an answer that is an error, else the message."""
    try:
        return str(json.loads(message)["error"])
    except (ValueError, KeyError, TypeError):
        return message


async def _split_lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Split a stream; lines may be of any length, other than the reader's own `readline` allows."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line


def _read_event(line: bytes) -> WatchEvent:
    told = json.loads(line)
    if told["type"] == "ERROR":
        status = told["object"]
        raise api_error(
            int(status.get("code") or 500), status.get("reason", ""), status.get("message", "")
        )
    return WatchEvent(told["type"], told["object"])


async def read_url(url: str, *, timeout: float = 10.0) -> JsonObject:
    """GET JSON from a program of ours (ApiUnreachable, ApiError)."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
            session.get(url) as response,
        ):
            content = await response.read()
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise ApiUnreachable(f"{url}: {str(error) or f'no answer in {timeout:g} s'}") from error
    try:
        told = json.loads(content)
    except ValueError:
        told = None
    if response.status != 200 or not isinstance(told, dict):
        said = told.get("error") if isinstance(told, dict) else None
        raise api_error(response.status, "", f"{url}: {said or response.reason}")
    return told
