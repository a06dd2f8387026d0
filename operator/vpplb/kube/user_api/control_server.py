"""The control socket: a program without an API server answers people's client as one would.

It serves the paths of `UserClient` and no more: lists, objects, patches and watches of our kinds,
and `/reload`. Who may open the socket may change things; nobody is asked for a password. The
objects are `ServedObjects`, whose affair it is what may be changed.
"""

import asyncio
import errno
import json
import logging
import pwd
import socket
import stat
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import inf, nan
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jsonpatch
from aiohttp import web

from vpplb.kube.api_types import (
    JSON_PATCH,
    MERGE_PATCH,
    RESOURCES,
    ApiError,
    Gone,
    JsonObject,
    NotFound,
    api_error,
)
from vpplb.kube.user_api.label_selector import parse_selector
from vpplb.model.names import ObjectKey, ObjectKind

log = logging.getLogger(__name__)

MODE = 0o660
"""Who may open the socket: its owner and its group."""
SLICE = 64
"""Objects written at once; between two slices the program does its work."""
MOST_AT_ONCE = 64
"""Requests answered at a time, watches among them; others are refused."""
TAKEN_WITHIN = 60.0
"""Seconds within which a reader has to take a piece of an answer."""
LONGEST_WATCH = 300.0
MOST_OPERATIONS = 64
"""Operations of a JSON patch."""
NAMED_WITHIN = 1.0
"""Seconds within which the user database has to name a user."""

_OPERATIONS = frozenset({"test", "add", "replace", "remove"})
"""Those after which a spec is larger by no more than what was sent: `copy` doubles it."""

_SERVED = (ObjectKind.FRONTEND, ObjectKind.BACKEND, ObjectKind.HEALTH_CHECK, ObjectKind.DATAPLANE)
_NONE_OF = (ObjectKind.EVENT, ObjectKind.LEASE)
"""Kinds of which there are none without a cluster."""


class ObjectChange(NamedTuple):
    """What was changed, or is there no more; `version` continues a watch behind it."""

    version: str
    kind: ObjectKind
    key: ObjectKey


class ServedObjects(Protocol):
    """The objects of the program, as the API server would have them."""

    @property
    def version(self) -> str:
        """The version from which a watch tells all that is yet to come."""

    def list_keys(self, kind: ObjectKind) -> Sequence[ObjectKey]:
        """Give the keys of a kind, sorted."""

    def show_object(self, kind: ObjectKind, key: ObjectKey) -> JsonObject | None:
        """Give an object with its status as of now; None when it is not there."""

    async def edit_spec(
        self, kind: ObjectKind, key: ObjectKey, edit: Callable[[Any], Any], by: str
    ) -> None:
        """Change a spec (ApiError), as the user `by` asks for; it is kept when this returns."""

    async def reload_files(self, *, discard_changes: bool) -> Mapping[str, object]:
        """Read the files again, and return what came of it."""

    def describe_refusal(self) -> str:
        """Say why the newest files are not in force; empty: they are."""

    def follow_changes(self, version: str) -> AsyncIterator[ObjectChange]:
        """Give what changes after a version; Gone."""


class ControlServer:
    """Serves objects at `path` from `start` to `stop`; None: nowhere.

    Where that cannot be, `trouble` says why, and the program works without: what serves must not
    wait for what steers it.
    """

    def __init__(self, path: Path | None, objects: ServedObjects) -> None:
        self._path, self._objects = path, objects
        self._under_way = 0
        self._runner: web.AppRunner | None = None
        self._inode = 0
        # A thread of its own: a user database in the network that hangs holds up nothing else.
        self._namer = ThreadPoolExecutor(1, "user-names")
        self.trouble = "off" if path is None else "not begun"

    async def start(self) -> None:
        if self._path is None:
            return
        try:
            listening = _bind_socket(self._path)
        except OSError as error:
            self.trouble = f"cannot listen on {self._path}: {error.strerror or error}"
            log.error("%s; nothing can be steered by `vpplb ctl`", self.trouble)
            return
        self._inode = self._path.stat().st_ino
        self._runner = web.AppRunner(
            self._make_app(), access_log=None, handle_signals=False, shutdown_timeout=1.0
        )
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()
        self.trouble = ""

    async def stop(self) -> None:
        if self._runner is not None and self._path is not None:
            with suppress(OSError):
                if self._path.stat().st_ino == self._inode:  # else it is another program's by now
                    self._path.unlink()
            await self._runner.cleanup()
            self._runner = None
        self._namer.shutdown(wait=False, cancel_futures=True)

    def _make_app(self) -> web.Application:
        app = web.Application(middlewares=[self._answer_errors])
        app.router.add_post("/reload", self._reload)
        app.router.add_get("/manifests", self._show_manifests)
        app.router.add_get("/api/v1/namespaces", self._list_namespaces)
        for kind in (*_SERVED, *_NONE_OF):
            every = RESOURCES[kind].collection_path()
            root, _, plural = every.rpartition("/")
            inside = f"{root}/namespaces/{{namespace}}/{plural}"
            for path in (every, inside):
                app.router.add_get(path, self._about(kind, self._list))
            name = f"{inside if kind.is_namespaced else every}/{{name}}"
            app.router.add_get(name, self._about(kind, self._get))
            app.router.add_patch(name, self._about(kind, self._patch))
        return app

    @web.middleware
    async def _answer_errors(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self._under_way >= MOST_AT_ONCE:
            return _status_answer(api_error(429, "TooManyRequests", "too many requests at a time"))
        self._under_way += 1
        try:
            return await handler(request)
        except ApiError as error:
            return _status_answer(error)
        except web.HTTPError as error:
            return _status_answer(api_error(error.status, "", error.reason))
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            log.exception("a request on the control socket failed: %s", request.path)
            return _status_answer(api_error(500, "InternalError", "the program's log says why"))
        finally:
            self._under_way -= 1

    @staticmethod
    def _about(
        kind: ObjectKind,
        handler: Callable[[ObjectKind, web.Request], Awaitable[web.StreamResponse]],
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await handler(kind, request)

        return handle

    # --- reading ------------------------------------------------------------------------------

    async def _list(self, kind: ObjectKind, request: web.Request) -> web.StreamResponse:
        chosen = self._read_selection(kind, request)
        if request.query.get("watch") in ("1", "true"):
            return await self._watch(kind, request, chosen)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        head = json.dumps({"resourceVersion": self._objects.version})
        await _write_piece(response, f'{{"kind":"{kind}List","metadata":{head},"items":['.encode())
        keys = list(self._objects.list_keys(kind)) if kind in _SERVED else []
        written = 0
        for start in range(0, len(keys), SLICE):
            shown = [self._objects.show_object(kind, key) for key in keys[start : start + SLICE]]
            texts = [json.dumps(raw) for raw in shown if raw is not None and chosen(raw)]
            if texts:
                await _write_piece(response, ("," * bool(written) + ",".join(texts)).encode())
            written += len(texts)
            await asyncio.sleep(0)
        await _write_piece(response, b"]}")
        return response

    def _read_selection(
        self, kind: ObjectKind, request: web.Request
    ) -> Callable[[JsonObject], bool]:
        namespace = request.match_info.get("namespace", "") if kind.is_namespaced else ""
        try:
            meets = parse_selector(request.query.get("labelSelector", ""))
        except ValueError as error:
            raise api_error(400, "BadRequest", str(error)) from error

        def is_chosen(raw: JsonObject) -> bool:
            metadata = raw["metadata"]
            here = namespace in ("", metadata.get("namespace"))
            return here and meets(metadata.get("labels") or {})

        return is_chosen

    async def _list_namespaces(self, request: web.Request) -> web.StreamResponse:
        kinds = (kind for kind in _SERVED if kind.is_namespaced)
        names = {key.namespace for kind in kinds for key in self._objects.list_keys(kind)}
        items = [{"metadata": {"name": name}} for name in sorted(names)]
        return web.json_response({"kind": "NamespaceList", "metadata": {}, "items": items})

    async def _get(self, kind: ObjectKind, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._read_object(kind, _key_of(kind, request)))

    def _read_object(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        raw = self._objects.show_object(kind, key) if kind in _SERVED else None
        if raw is None:
            raise NotFound(404, "NotFound", f"{kind} {key.name} not found")
        return raw

    async def _watch(
        self, kind: ObjectKind, request: web.Request, chosen: Callable[[JsonObject], bool]
    ) -> web.StreamResponse:
        lasts = _read_duration(request.query.get("timeoutSeconds") or str(LONGEST_WATCH))
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        version = request.query.get("resourceVersion", "")
        try:
            async with asyncio.timeout(lasts):
                async for change in self._objects.follow_changes(version):
                    if change.kind == kind:
                        await self._tell_change(response, change, chosen)
        except TimeoutError:
            return response
        except Gone as error:
            await _write_line(response, "ERROR", _status_of(error))
        return response

    async def _tell_change(
        self,
        response: web.StreamResponse,
        change: ObjectChange,
        chosen: Callable[[JsonObject], bool],
    ) -> None:
        shown = self._objects.show_object(change.kind, change.key)
        raw = shown or {"metadata": change.key._asdict()}
        raw["metadata"]["resourceVersion"] = change.version
        if shown is None or chosen(shown):
            await _write_line(response, "MODIFIED" if shown else "DELETED", raw)

    # --- changing -----------------------------------------------------------------------------

    async def _patch(self, kind: ObjectKind, request: web.Request) -> web.StreamResponse:
        key, patch = _key_of(kind, request), await _read_json(request)
        edit = read_edit(request.content_type, patch)
        self._read_object(kind, key)
        await self._objects.edit_spec(kind, key, edit, await self._name_peer(request))
        return web.json_response(self._read_object(kind, key))

    async def _name_peer(self, request: web.Request) -> str:
        """Name the user whose process asks."""
        uid = _read_uid(request)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(NAMED_WITHIN):
                return (await loop.run_in_executor(self._namer, pwd.getpwuid, uid)).pw_name
        except (KeyError, TimeoutError):
            return f"uid {uid}"

    async def _reload(self, request: web.Request) -> web.StreamResponse:
        asked = await _read_json(request)
        discard = isinstance(asked, dict) and asked.get("discardChanges") is True
        return web.json_response(await self._objects.reload_files(discard_changes=discard))

    async def _show_manifests(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"refused": self._objects.describe_refusal()})


# --- pieces -----------------------------------------------------------------------------------


def _bind_socket(path: Path) -> socket.socket:
    """Bind; OSError. What a crash has left is removed, and nothing that somebody has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.setblocking(False)
        listening.bind(str(path))
        path.chmod(MODE)  # nobody can connect before it listens
    except OSError:
        listening.close()
        raise
    return listening


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, "another program listens there")


def _read_uid(request: web.Request) -> int:
    """Return the user whose process asks."""
    assert request.transport is not None
    connection = request.transport.get_extra_info("socket")
    size = struct.calcsize("3i")
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", told)[1])


def _read_duration(text: str) -> float:
    """Return for how many seconds a watch may last (ApiError)."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = nan
    if not 0 <= seconds < inf:
        raise api_error(400, "BadRequest", "timeoutSeconds: not a number of seconds")
    return min(seconds, LONGEST_WATCH)


def _key_of(kind: ObjectKind, request: web.Request) -> ObjectKey:
    namespace = request.match_info["namespace"] if kind.is_namespaced else ""
    return ObjectKey(namespace, request.match_info["name"])


async def _read_json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read() or b"null")
    except (ValueError, RecursionError) as error:
        raise api_error(400, "BadRequest", f"the request is not JSON: {error}") from error


def read_edit(content_type: str, patch: Any) -> Callable[[Any], Any]:
    """Return what a patch of an object does to its spec; ApiError for what is none."""
    if content_type == MERGE_PATCH and isinstance(patch, dict) and set(patch) == {"spec"}:
        return lambda spec: _merge_patch(spec, patch["spec"])
    if content_type == JSON_PATCH and isinstance(patch, list):
        _check_operations(patch)
        return lambda spec: _apply_operations(spec, patch)
    raise api_error(415, "UnsupportedMediaType", "a merge patch of the spec or a JSON patch only")


def _check_operations(operations: Sequence[Any]) -> None:
    """ApiError unless they are few, and each of a kind that takes little time."""
    if len(operations) > MOST_OPERATIONS:
        raise api_error(400, "BadRequest", f"more than {MOST_OPERATIONS} operations in a patch")
    if not all(isinstance(one, dict) and str(one.get("op")) in _OPERATIONS for one in operations):
        known = ", ".join(sorted(_OPERATIONS))
        raise api_error(400, "BadRequest", f"operations of a patch can be: {known}")


def _merge_patch(target: Any, patch: Any) -> Any:
    """Merge as RFC 7386 says."""
    if not isinstance(patch, dict):
        return patch
    base = target if isinstance(target, dict) else {}
    merged = {**base, **{name: _merge_patch(base.get(name), one) for name, one in patch.items()}}
    return {name: one for name, one in merged.items() if one is not None}


def _apply_operations(spec: Any, operations: Iterable[Any]) -> Any:
    try:
        return jsonpatch.apply_patch({"spec": spec}, operations)["spec"]
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, KeyError) as error:
        raise api_error(422, "Invalid", f"the patch does not fit: {error}") from error


def _status_of(error: ApiError) -> JsonObject:
    return {
        "kind": "Status",
        "status": "Failure",
        "code": error.status,
        "reason": error.reason,
        "message": error.message,
    }


def _status_answer(error: ApiError) -> web.Response:
    return web.json_response(_status_of(error), status=error.status)


async def _write_line(response: web.StreamResponse, event: str, raw: JsonObject) -> None:
    await _write_piece(response, json.dumps({"type": event, "object": raw}).encode() + b"\n")


async def _write_piece(response: web.StreamResponse, piece: bytes) -> None:
    async with asyncio.timeout(TAKEN_WITHIN):
        await response.write(piece)
