"""An API server in memory that fails when told to; it is used as a `KubeClient` is."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from fakes.api_store import ApiStore, Body, Selection
from vpplb.kube.api_types import JsonObject, KubeError, ObjectListing, api_error, cluster_key
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey, ObjectKind


@dataclass(slots=True)
class FakeApiServer(ApiStore, KubeClient):
    """The server, and what was asked of it.

    `faults` are raised by the next requests, in order; None in it lets one pass. `refuse` says
    what else is raised for an object, `forbidden` what those hear who ask what they may. Every
    request takes `latency` seconds of the loop's time.
    """

    forbidden: bool = True
    latency: float = 0.0
    faults: deque[KubeError | None] = field(default_factory=deque)
    refuse: Callable[[ObjectKey], KubeError | None] = lambda _: None
    requests: list[tuple[str, ObjectKey, Mapping[str, object]]] = field(default_factory=list)
    events: list[Mapping[str, object]] = field(default_factory=list)
    documents: dict[str, JsonObject] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Have nothing open."""

    @property
    def server_url(self) -> str:
        return "https://api.example:6443"

    # --- what tests do ------------------------------------------------------------------------

    def add(self, kind: ObjectKind, key: ObjectKey, status: Mapping[str, object]) -> JsonObject:
        """Have an object with a status; the test may put more into what is returned."""
        self._version += 1
        made = {
            "metadata": {
                "namespace": key.namespace,
                "name": key.name,
                "resourceVersion": self.version,
                "uid": f"u-{self._version}",
            },
            "status": dict(status),
        }
        self.record("MODIFIED" if (kind, key) in self.objects else "ADDED", kind, key, made)
        return made

    def store(self, kind: ObjectKind, key: ObjectKey, now: JsonObject) -> JsonObject:
        """Have an object of another content, its status too; a new version where it differs."""
        return self._write(kind, key, now, {})

    def status(self, kind: ObjectKind, key: ObjectKey) -> Mapping[str, object]:
        """Return the status that the object has."""
        status = self.objects[kind, key]["status"]
        assert isinstance(status, Mapping)
        return status

    # --- what clients ask -----------------------------------------------------------------------

    async def get_object(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        await self.ask("get", key, {})
        return self.read(kind, key)

    async def list_objects(self, kind: ObjectKind, namespace: str | None = None) -> ObjectListing:
        await self.ask("list", ObjectKey(namespace or "", ""), {})
        found = self.list_all(Selection(kind=kind, namespace=namespace or ""))
        return ObjectListing(found, self.version)

    async def create_object(self, kind: ObjectKind, body: Body) -> JsonObject:
        metadata = body["metadata"]
        assert isinstance(metadata, Mapping)
        await self.ask("create", ObjectKey(metadata.get("namespace", ""), metadata["name"]), body)
        return self.put_new(kind, body)

    async def is_forbidden(self, kind: ObjectKind, body: Body) -> bool:
        metadata = body["metadata"]
        assert isinstance(metadata, Mapping)
        await self.ask("is_forbidden", ObjectKey(metadata["namespace"], metadata["name"]), {})
        return self.forbidden

    async def create_event(self, body: Body) -> None:
        await self.ask("create_event", ObjectKey("", ""), body)
        self.events.append(body)

    async def replace_object(self, kind: ObjectKind, key: ObjectKey, body: Body) -> JsonObject:
        await self.ask("replace", key, body)
        return self.put_whole(kind, key, body)

    async def patch_object(self, kind: ObjectKind, key: ObjectKey, body: Body) -> JsonObject:
        await self.ask("patch", key, body)
        return self.merge(kind, key, body)

    async def replace_status(
        self, kind: ObjectKind, key: ObjectKey, version: int, status: Mapping[str, object]
    ) -> JsonObject:
        await self.ask("replace_status", key, {"status": status})
        copied = json.loads(json.dumps(status))
        body = {"metadata": {"resourceVersion": str(version)}, "status": copied}
        return self.put_status(kind, key, body)

    async def patch_status(self, kind: ObjectKind, key: ObjectKey, body: Body) -> JsonObject:
        await self.ask("patch_status", key, body)
        return self.merge_status(kind, key, body)

    async def delete_object(self, kind: ObjectKind, key: ObjectKey) -> None:
        await self.ask("delete", key, {})
        self.remove(kind, key)

    async def read_path(self, path: str) -> JsonObject:
        """Give one of `documents`; this is no request about an object, so it is not noted."""
        if fault := self.refuse(cluster_key(path)):
            raise fault
        if path not in self.documents:
            raise api_error(404, "", f"no {path}")
        return self.documents[path]

    async def ask(self, verb: str, key: ObjectKey, body: Body) -> None:
        """Note a request, let it take its time, and raise what it is to fail with."""
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
