"""An API server in memory, as far as `kube`'s writers use one, that fails when told to."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vpplb.kube.api_resources import JsonObject
from vpplb.kube.client import Listing
from vpplb.kube.errors import Conflict, KubeError, NotFound
from vpplb.model.names import ObjectKey, ObjectKind


def apply_merge_patch(target: object, patch: object) -> object:
    """Apply a merge patch as RFC 7386, section 2, defines it."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply_merge_patch(result.get(name), value)
    return result


@dataclass(slots=True)
class FakeApiServer:
    """Objects by kind and key, and what was asked of them.

    `faults` are raised by the next requests, in order; None in it lets one pass. `refuse` says
    what else is raised for an object. Every request takes `latency` seconds of the loop's time.
    `prunes` are fields of statuses that its CRDs do not know; without `has_status` these have no
    such subresource.
    """

    latency: float = 0.0
    prunes: frozenset[str] = frozenset()
    has_status: bool = True
    objects: dict[tuple[ObjectKind, ObjectKey], JsonObject] = field(default_factory=dict)
    faults: deque[KubeError | None] = field(default_factory=deque)
    refuse: Callable[[ObjectKey], KubeError | None] = lambda _: None
    requests: list[tuple[str, ObjectKey, Mapping[str, object]]] = field(default_factory=list)
    events: list[Mapping[str, object]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    _version: int = 100

    def add(self, kind: ObjectKind, key: ObjectKey, status: Mapping[str, object]) -> JsonObject:
        """Have an object with a status."""
        self._version += 1
        made = {
            "metadata": {
                "namespace": key.namespace,
                "name": key.name,
                "resourceVersion": str(self._version),
                "uid": f"u-{self._version}",
            },
            "status": dict(status),
        }
        self.objects[kind, key] = made
        return made

    def status(self, kind: ObjectKind, key: ObjectKey) -> Mapping[str, object]:
        """Return the status that the object has."""
        status = self.objects[kind, key]["status"]
        assert isinstance(status, Mapping)
        return status

    async def get(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        await self._request("get", key, {})
        if (kind, key) not in self.objects:
            raise NotFound(404, "NotFound", f"{key} not found")
        return self.objects[kind, key]

    async def replace_status(
        self, kind: ObjectKind, key: ObjectKey, version: int, status: Mapping[str, object]
    ) -> JsonObject:
        await self._request("replace_status", key, {"status": status})
        before = self.objects.get((kind, key))
        if before is None or not self.has_status:
            raise NotFound(404, "NotFound", f"{key} not found")
        if before["metadata"]["resourceVersion"] != str(version):
            raise Conflict(409, "Conflict", "the object has been modified")
        return self.store(kind, key, {**before, "status": json.loads(json.dumps(status))})

    async def patch_status(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        await self._request("patch_status", key, body)
        return self._merge(kind, key, body)

    async def patch(
        self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]
    ) -> JsonObject:
        await self._request("patch", key, body)
        return self._merge(kind, key, body)

    async def create(self, kind: ObjectKind, body: Mapping[str, object]) -> JsonObject:
        metadata = body["metadata"]
        assert isinstance(metadata, Mapping)
        key = ObjectKey(metadata["namespace"], metadata["name"])
        await self._request("create", key, body)
        if (kind, key) in self.objects:
            raise Conflict(409, "AlreadyExists", f"{key} exists")
        self._version += 1
        made = {**body, "metadata": {**metadata, "resourceVersion": str(self._version)}}
        self.objects[kind, key] = made
        return made

    async def create_event(self, body: Mapping[str, object]) -> None:
        await self._request("create_event", ObjectKey("", ""), body)
        self.events.append(body)

    async def _request(self, verb: str, key: ObjectKey, body: Mapping[str, object]) -> None:
        self.requests.append((verb, key, body))
        self.times.append(asyncio.get_running_loop().time())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.latency)
        finally:
            self.under_way -= 1
        fault = self.faults.popleft() if self.faults else self.refuse(key)
        if fault is not None:
            raise fault

    def _merge(self, kind: ObjectKind, key: ObjectKey, body: Mapping[str, object]) -> JsonObject:
        if (kind, key) not in self.objects:
            raise NotFound(404, "NotFound", f"{key} not found")
        before, metadata = self.objects[kind, key], body.get("metadata")
        version = before["metadata"]["resourceVersion"]
        if isinstance(metadata, Mapping) and metadata.get("resourceVersion", version) != version:
            raise Conflict(409, "Conflict", "the object has been modified")
        merged = apply_merge_patch(before, body)
        assert isinstance(merged, dict)
        return self.store(kind, key, merged)

    def store(self, kind: ObjectKind, key: ObjectKey, now: JsonObject) -> JsonObject:
        """Have an object of another content; a new version where it differs."""
        kept = {
            name: it for name, it in (now.get("status") or {}).items() if name not in self.prunes
        }
        now = {**now, "status": kept}
        if now != self.objects[kind, key]:
            self._version += 1
            now["metadata"] = {**now["metadata"], "resourceVersion": str(self._version)}
        self.objects[kind, key] = now
        return now

    async def list(self, kind: ObjectKind, namespace: str | None = None) -> Listing:
        await self._request("list", ObjectKey(namespace or "", ""), {})
        items = [
            raw
            for (one, key), raw in self.objects.items()
            if one == kind and namespace in (None, key.namespace)
        ]
        return Listing(items, str(self._version))
