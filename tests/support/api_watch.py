"""A watch of our own on the API server: what every object's status shows, and each write of it."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from vpplb.kube.client import KubeClient
from vpplb.kube.config import Access, load_access
from vpplb.kube.informer import key_of
from vpplb.kube.kinds import JsonObject, Kind
from vpplb.model.names import ObjectKey


@dataclass(slots=True)
class ApiWatch:
    """`objects` as last seen, by kind and key; `writes` counts the changes told since, by kind.

    `told` counts everything that was told, `states` the objects by kind, namespace and
    `status.state`, which is "" before a status was written.
    """

    objects: dict[tuple[Kind, ObjectKey], JsonObject] = field(default_factory=dict)
    writes: Counter[str] = field(default_factory=Counter)
    states: Counter[tuple[Kind, str, str]] = field(default_factory=Counter)
    told: int = 0

    def status(self, kind: Kind, key: ObjectKey) -> JsonObject:
        """Return an object's status, empty when it has none."""
        return (self.objects.get((kind, key)) or {}).get("status") or {}

    def see(self, kind: Kind, raw: JsonObject) -> None:
        """Take an object as it is now."""
        key = key_of(raw)
        if (kind, key) in self.objects:
            self.states[kind, key.namespace, self.status(kind, key).get("state", "")] -= 1
        self.objects[kind, key] = raw
        self.states[kind, key.namespace, self.status(kind, key).get("state", "")] += 1

    def take(self, kind: Kind, line: bytes) -> None:
        """Take a line of a watch; nothing is deleted while we look."""
        told = json.loads(line)
        if told["type"] == "ERROR":
            raise RuntimeError(f"the watch of {kind} ended: {told}")
        if told["type"] == "BOOKMARK":
            return
        self.told += 1
        self.writes[kind.kind] += told["type"] == "MODIFIED"
        self.see(kind, told["object"])


@asynccontextmanager
async def watching(kubeconfig: Path, kinds: Iterable[Kind]) -> AsyncIterator[ApiWatch]:
    """Watch all objects of these kinds, from what there is now."""
    watch = ApiWatch()
    access = await load_access(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=access.tls if access.tls else False)
    async with (
        KubeClient(access) as client,
        aiohttp.ClientSession(connector=connector, read_bufsize=1 << 22) as session,
        asyncio.TaskGroup() as group,
    ):
        tasks = []
        for kind in kinds:
            listing = await client.list(kind)
            for one in listing.items:
                watch.see(kind, one)
            follow = _follow(session, access, kind, listing.resource_version, watch)
            tasks.append(group.create_task(follow))
        yield watch
        for task in tasks:
            task.cancel()


async def _follow(
    session: aiohttp.ClientSession, access: Access, kind: Kind, version: str, watch: ApiWatch
) -> None:
    async with session.get(
        access.server + kind.collection_path(),
        params={"watch": "1", "resourceVersion": version},
        headers=await access.auth_headers(),
        timeout=aiohttp.ClientTimeout(total=None),
    ) as response:
        response.raise_for_status()
        async for line in response.content:
            watch.take(kind, line)
