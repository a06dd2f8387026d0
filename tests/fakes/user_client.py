"""A cluster in memory, as far as people's commands use one."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from copy import deepcopy
from typing import Self

from fakes.api_server import FakeApiServer
from fakes.api_store import Selection
from vpplb.kube.api_types import (
    RESOURCES,
    ApiError,
    JsonObject,
    KubeError,
    ObjectListing,
    key_of,
)
from vpplb.kube.user_api.user_client import UserClient, WatchEvent
from vpplb.model.names import ObjectKey, ObjectKind


class FakeUserClient(UserClient):
    """Objects by kind and key. `edits` are what was asked for.

    `before_edit` is called before each edit, `after_edit` after it: what others do meanwhile.
    `reloads` are the demands to read files again, answered by `reloaded`; `refused` says why the
    newest files are not in force. Lists of `forbidden`
    kinds (in a namespace, "" for all) are refused. `changes` are told by
    watches, one a turn; after the last one of all kinds the user hits Ctrl-C.
    """

    def __init__(self, *objects: tuple[ObjectKind, JsonObject]) -> None:
        self.server = FakeApiServer()
        self.objects = self.server.objects
        self.objects |= {(kind, key_of(raw)): deepcopy(raw) for kind, raw in objects}
        self.edits: list[tuple[ObjectKey, object]] = []
        self.asked: list[tuple[str, ...]] = []
        self.before_edit: Callable[[], None] = lambda: None
        self.after_edit: Callable[[], None] = lambda: None
        self.changes: dict[ObjectKind, list[WatchEvent | KubeError]] = {}
        self.forbidden: set[tuple[ObjectKind, str]] = set()
        self.reloads: list[bool] = []
        self.reloaded: JsonObject = {"findings": [], "discarded": [], "objects": 0}
        self.refused = ""
        self.pods: dict[tuple[ObjectKey, int, str], JsonObject] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    def of(self, kind: ObjectKind, name: str, namespace: str = "default") -> JsonObject:
        return self.objects[kind, ObjectKey(namespace if kind.is_namespaced else "", name)]

    async def list_objects(
        self, kind: ObjectKind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> ObjectListing:
        self.asked.append((RESOURCES[kind].plural, namespace, labels, fields))
        self._permit(kind, namespace)
        await self.server.ask("list", ObjectKey(namespace, ""), {})
        selection = Selection(kind=kind, namespace=namespace, labels=labels, fields=fields)
        return ObjectListing(deepcopy(self.server.list_all(selection)), self.server.version)

    async def get_object(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        return deepcopy(await self.server.get_object(kind, key))

    async def edit_object(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        return await self._edit_as(key, body, lambda: self.server.merge(kind, key, body))

    async def apply_json_patch(
        self, kind: ObjectKind, key: ObjectKey, operations: Sequence[Mapping[str, object]]
    ) -> JsonObject:
        return await self._edit_as(key, operations, lambda: self.server.edit(kind, key, operations))

    async def get_through_pod(
        self, pod: ObjectKey, port: int, path: str, *, tls: bool = False
    ) -> JsonObject:
        return self.pods[pod, port, path]

    async def watch_objects(
        self, kind: ObjectKind, namespace: str, version: str, *, labels: str = ""
    ) -> AsyncIterator[WatchEvent]:
        told = self.changes.get(kind, [])
        while told:
            await asyncio.sleep(0)
            one = told.pop(0)
            if isinstance(one, KubeError):
                raise one
            yield one
        if not any(self.changes.values()):
            signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()

    async def reload_files(self, *, discard_changes: bool) -> JsonObject:
        self.reloads.append(discard_changes)
        return self.reloaded

    async def read_refusal(self) -> str:
        return self.refused

    async def _edit_as(
        self, key: ObjectKey, body: object, change: Callable[[], JsonObject]
    ) -> JsonObject:
        await self.server.ask("edit", key, {})
        self.edits.append((key, body))
        self.before_edit()
        made = deepcopy(change())
        self.after_edit()
        return made

    def _permit(self, kind: ObjectKind, namespace: str | None) -> None:
        if (kind, namespace or "") in self.forbidden:
            raise ApiError(403, "Forbidden", f"{RESOURCES[kind].plural} are forbidden")
