"""The requests of people's commands to what answers as an API server on a Unix socket.

HTTP is the standard library's, in threads: importing more takes longer than a command may.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from vpplb.kube.api_types import (
    JSON_PATCH,
    MERGE_PATCH,
    PAGE,
    RESOURCES,
    ApiError,
    ApiUnreachable,
    Gone,
    JsonObject,
    NotFound,
    ObjectListing,
    api_error,
    read_answer,
)
from vpplb.model.names import ObjectKey, ObjectKind

USER_FIELD_MANAGER = "kubectl-vpplb"
"""Who changed a spec, as `metadata.managedFields` shows it."""
ANSWER_TIMEOUT = 30.0
"""Seconds for which nothing may come of an answer."""
WATCH_PERIOD = 60
"""Seconds after which the server ends a watch, so that a dead one is noticed soon after."""
_SILENCE = WATCH_PERIOD + 30.0


class WatchEvent(NamedTuple):
    """What a watch tells: `type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: JsonObject


class UserClient:
    """A client for people, of what answers at `socket_path`.

    Every method raises ApiUnreachable when there is no answer, and NotFound, Conflict or another
    ApiError when the answer is a failure. Nothing is retried.
    """

    clock: datetime | None = None
    """The time of whatever answered, by its newest answer."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path

    async def list_objects(
        self, kind: ObjectKind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> ObjectListing:
        """Read the objects that meet both selectors, of one namespace if given, page by page.

        A list that expires between two pages is begun anew in one piece.
        """
        path = RESOURCES[kind].collection_path(namespace)
        given = {"labelSelector": labels, "fieldSelector": fields}
        query = {name: value for name, value in given.items() if value}
        try:
            return await self._list_pages(path, {**query, "limit": str(PAGE)})
        except Gone:
            return await self._list_pages(path, query)

    async def _list_pages(self, path: str, query: Mapping[str, str]) -> ObjectListing:
        items: list[JsonObject] = []
        token: dict[str, str] = {}
        while True:
            page = await self._send_request("GET", path, query={**query, **token})
            items += page.get("items") or ()
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                return ObjectListing(items, str(metadata.get("resourceVersion") or ""))
            token = {"continue": metadata["continue"]}

    async def get_object(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        return await self._send_request("GET", RESOURCES[kind].object_path(key))

    async def edit_object(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        """Merge `body` into an object (RFC 7386) as a person does, and return the result."""
        return await self._patch_object(kind, key, dict(body), MERGE_PATCH)

    async def apply_json_patch(
        self, kind: ObjectKind, key: ObjectKey, operations: Sequence[Mapping[str, object]]
    ) -> JsonObject:
        """Apply a JSON patch (RFC 6902); ApiError 422 when a `test` in it fails."""
        return await self._patch_object(kind, key, list(operations), JSON_PATCH)

    async def _patch_object(
        self, kind: ObjectKind, key: ObjectKey, body: object, patch: str
    ) -> JsonObject:
        path = RESOURCES[kind].object_path(key)
        query = {"fieldManager": USER_FIELD_MANAGER}
        return await self._send_request("PATCH", path, query=query, body=body, content_type=patch)

    async def get_through_pod(
        self, pod: ObjectKey, port: int, path: str, *, tls: bool = False
    ) -> JsonObject:
        """GET from a pod's HTTP port by way of the API server (right `get` on `pods/proxy`).

        With `tls` over HTTPS; the API server takes any certificate.
        """
        named = RESOURCES[ObjectKind.POD].object_path(
            ObjectKey(pod.namespace, f"{'https:' if tls else ''}{pod.name}:{port}"), "proxy"
        )
        try:
            return await self._send_request("GET", named + path)
        except ApiError as error:
            raise api_error(error.status, error.reason, _find_error(error.message)) from error

    async def reload_files(self, *, discard_changes: bool) -> JsonObject:
        """Have a program without an API server read its files again, and return what came of it."""
        body = {"discardChanges": discard_changes}
        return await self._send_request("POST", "/reload", body=body)

    async def read_refusal(self) -> str:
        """Ask such a program why its newest files are not in force; empty: they are.

        A program of an earlier version does not say.
        """
        with suppress(NotFound):
            return str((await self._send_request("GET", "/manifests"))["refused"])
        return ""

    async def watch_objects(
        self, kind: ObjectKind, namespace: str, version: str, *, labels: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Yield what changes after a version, until the server ends it, about once a minute.

        Gone when the version is too old, ApiUnreachable when nobody answers. A stream that breaks
        off has ended.
        """
        query = {
            "watch": "1",
            "allowWatchBookmarks": "1",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_PERIOD),
            **({"labelSelector": labels} if labels else {}),
        }
        path = RESOURCES[kind].collection_path(namespace)
        connection = _SocketConnection(self._socket_path, timeout=_SILENCE)
        try:
            response = await asyncio.to_thread(
                connection.exchange, "GET", _with_query(path, query), None, ""
            )
            if response.status != 200:
                _read_content(response, await asyncio.to_thread(response.read))
            while line := await asyncio.to_thread(response.readline):
                yield _read_event(line)
        except (OSError, HTTPException, ValueError) as error:
            raise self._unreachable(error) from error
        finally:
            connection.abort()

    def _unreachable(self, error: Exception) -> ApiUnreachable:
        return ApiUnreachable(f"{self._socket_path}: {_describe_failure(error)}")

    async def _send_request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        connection = _SocketConnection(self._socket_path, timeout=ANSWER_TIMEOUT)
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        try:
            response, content = await asyncio.to_thread(
                connection.read_answer, method, _with_query(path, query or {}), data, content_type
            )
        except (OSError, HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.abort()  # an interrupted command waits for no answer
        with suppress(TypeError, ValueError):
            self.clock = parsedate_to_datetime(response.headers["Date"])
        return _read_content(response, content)


class _SocketConnection(HTTPConnection):
    """One request to a Unix socket."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self._own = socket.socket(socket.AF_UNIX)

    def connect(self) -> None:
        self._own.settimeout(self.timeout)
        self._own.connect(str(self._path))
        self.sock = self._own

    def exchange(
        self, method: str, path: str, body: bytes | None, content_type: str
    ) -> HTTPResponse:
        headers = {"Accept": "application/json", "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = content_type
        self.request(method, path, body=body, headers=headers)
        return self.getresponse()

    def read_answer(
        self, method: str, path: str, body: bytes | None, content_type: str
    ) -> tuple[HTTPResponse, bytes]:
        response = self.exchange(method, path, body, content_type)
        return response, response.read()

    def abort(self) -> None:
        """Close, and wake whoever still reads in another thread."""
        with suppress(OSError):
            self._own.shutdown(socket.SHUT_RDWR)
        self._own.close()


def _with_query(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _describe_failure(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return said or type(error).__name__


def _read_content(response: HTTPResponse, content: bytes) -> JsonObject:
    """Return the object of an answer, or raise the error that it is.

    A failure of these kinds that is not JSON is of kubectl's proxy, which had no answer itself.
    """
    if response.status in (500, 502) and not content.lstrip().startswith(b"{"):
        said = content[:300].decode(errors="replace").strip()
        raise ApiUnreachable(said or f"status {response.status}")
    return read_answer(response.status, response.headers.get("Retry-After"), content)


def _find_error(message: str) -> str:
    """Return what a program of ours said in an answer that is an error, else the message."""
    try:
        return str(json.loads(message)["error"])
    except (ValueError, KeyError, TypeError):
        return message


def _read_event(line: bytes) -> WatchEvent:
    told = json.loads(line)
    if told["type"] == "ERROR":
        status = told["object"]
        raise api_error(
            int(status.get("code") or 500), status.get("reason", ""), status.get("message", "")
        )
    return WatchEvent(told["type"], told["object"])
