"""A cluster in memory, as far as people's commands use one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Self

from fakes.api_server import apply_merge_patch
from vpplb.kube.api_resources import RESOURCES, JsonObject, key_of
from vpplb.kube.client import Listing
from vpplb.kube.errors import ApiError, KubeError, NotFound
from vpplb.kube.user_client import Change, Console
from vpplb.model.names import ObjectKey, ObjectKind

Objects = list[JsonObject]


class FakeConsole(Console):
    """Objects by kind and key. `edits` are what was asked for, `faults` raised by next requests.

    `before_edit` is called before each edit, `after_edit` after it: what others do meanwhile.
    Lists of `forbidden` kinds (in a namespace, "" for all) are refused. `changes` are told by
    watches, one a turn; after the last one of all kinds the user hits Ctrl-C.
    """

    def __init__(self, *objects: tuple[ObjectKind, JsonObject]) -> None:
        self.objects = {(kind, key_of(raw)): deepcopy(raw) for kind, raw in objects}
        self.edits: list[tuple[ObjectKey, object]] = []
        self.faults: list[KubeError] = []
        self.asked: list[tuple[str, ...]] = []
        self.before_edit: Callable[[], None] = lambda: None
        self.after_edit: Callable[[], None] = lambda: None
        self.changes: dict[ObjectKind, list[Change | KubeError]] = {}
        self.forbidden: set[tuple[ObjectKind, str]] = set()
        self.pods: dict[tuple[ObjectKey, int, str], JsonObject] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    def of(self, kind: ObjectKind, name: str, namespace: str = "default") -> JsonObject:
        return self.objects[kind, ObjectKey(namespace if kind.namespaced else "", name)]

    async def list(self, kind: ObjectKind, namespace: str | None = None) -> Listing:
        self._fail()
        if (kind, namespace or "") in self.forbidden:
            raise ApiError(403, "Forbidden", f"{RESOURCES[kind].plural} are forbidden")
        found = [
            deepcopy(raw)
            for (other, key), raw in self.objects.items()
            if other == kind and namespace in (None, key.namespace)
        ]
        return Listing(found, "1")

    async def get(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        self._fail()
        if (kind, key) not in self.objects:
            raise NotFound(404, "NotFound", f"{RESOURCES[kind].plural} {key.name} not found")
        return deepcopy(self.objects[kind, key])

    async def select(
        self, kind: ObjectKind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> Objects:
        self.asked.append((RESOURCES[kind].plural, namespace, labels, fields))
        return (await self.list(kind, namespace or None)).items

    async def edit(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        return self._store(kind, key, body, apply_merge_patch)

    async def edit_exactly(
        self, kind: ObjectKind, key: ObjectKey, operations: Sequence[Mapping[str, object]]
    ) -> JsonObject:
        return self._store(kind, key, operations, _apply_json_patch)

    async def through_pod(self, pod: ObjectKey, port: int, path: str) -> JsonObject:
        return self.pods[pod, port, path]

    async def follow(self, kind: ObjectKind, namespace: str, version: str) -> AsyncIterator[Change]:
        told = self.changes.get(kind, [])
        while told:
            await asyncio.sleep(0)
            one = told.pop(0)
            if isinstance(one, KubeError):
                raise one
            yield one
        if not any(self.changes.values()):
            raise KeyboardInterrupt
        await asyncio.Event().wait()

    def _store(
        self,
        kind: ObjectKind,
        key: ObjectKey,
        body: Any,
        change: Callable[[JsonObject, Any], object],
    ) -> JsonObject:
        self._fail()
        self.edits.append((key, body))
        self.before_edit()
        made = change(deepcopy(self.objects[kind, key]), body)
        assert isinstance(made, dict)
        made["metadata"] = {**made["metadata"], "generation": made["metadata"]["generation"] + 1}
        self.objects[kind, key] = made
        self.after_edit()
        return deepcopy(made)

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


def _apply_json_patch(target: JsonObject, operations: Sequence[Mapping[str, Any]]) -> JsonObject:
    """Apply `test` and `add` of RFC 6902, which is all that is sent."""
    for operation in operations:
        *steps, last = operation["path"].lstrip("/").split("/")
        place: Any = target
        try:
            for step in steps:
                place = place[int(step) if isinstance(place, list) else step]
            found = place.get(last)
        except (IndexError, KeyError) as error:
            raise ApiError(422, "Invalid", "the path does not exist") from error
        if operation["op"] == "test" and found != operation["value"]:
            raise ApiError(422, "Invalid", "testing value failed")
        if operation["op"] == "add":
            place[last] = operation["value"]
    return target
