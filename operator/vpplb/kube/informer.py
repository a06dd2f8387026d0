"""The objects of some kinds, as a watch tells them and lists make sure of them.

A watch alone is not enough: it says nothing when there is no object (an empty list is complete
too), and one that was interrupted never tells of what was deleted meanwhile. So everything is
listed before the watch begins, and again whenever the watch had to begin anew, and what a list
does not show is gone. Versions of objects are numbers that only grow (Kubernetes 1.35 and
later say so), so whatever comes late and is older than what is known is dropped.

But a server that was restored from a backup counts again from where it was then, and all that it
tells would be older than what is known. A list is as new as the server was when it was asked. So
one that is older than what was known before, or shows an object older than it was known, says that
history has changed: then nothing counts that was known of versions, and all is listed again.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from vpplb.kube.backoff import backoff
from vpplb.kube.client import PAGE, Listing
from vpplb.kube.errors import ApiError, KubeError, NotFound
from vpplb.kube.kinds import NAMESPACE, JsonObject, Kind, cluster_key
from vpplb.model.names import ObjectKey

log = logging.getLogger(__name__)

RELIST_DELAY = 1.0
"""Seconds from a sign that the watch began anew to the list that makes sure."""
RELIST_INTERVAL = 600.0
RETRY = (0.2, 5.0)


class ListClient(Protocol):
    """What an informer needs of `KubeClient`."""

    async def list(self, kind: Kind, namespace: str | None = None) -> Listing:
        """Read all objects of a kind."""
        ...

    async def get(self, kind: Kind, key: ObjectKey) -> JsonObject:
        """Read one object; NotFound when there is none."""
        ...


class Listener(Protocol):
    """Who is told. Called on the event loop; must not block or raise."""

    def seen(self, kind: Kind, key: ObjectKey, raw: JsonObject) -> None:
        """An object is there, new or changed."""
        ...

    def gone(self, kind: Kind, key: ObjectKey) -> None:
        """An object is deleted."""
        ...

    def rewound(self) -> None:
        """The server's history has changed: versions that were seen say nothing any more.

        All objects that there are will be `seen`; what is not there any more will be `gone`.
        """
        ...


class _Rewound(Exception):
    """A list is older than what was known before it was asked for."""


@dataclass(slots=True)
class Informer:
    """Follows `kinds` in `namespaces` (none: all; cluster-scoped kinds whole in any case).

    `trouble` says in words why the lists are not complete; empty when they are. `on_rewound` is
    told that the server's history has changed, before all is listed again.
    """

    client: ListClient
    kinds: Sequence[Kind]
    listener: Listener
    namespaces: Sequence[str] = ()
    trouble: str = "objects have not been listed yet"
    on_rewound: Callable[[], None] = lambda: None
    _listed: dict[str, str] = field(default_factory=dict)
    _reached: dict[Kind, int] = field(default_factory=dict)
    _versions: dict[tuple[Kind, ObjectKey], int] = field(default_factory=dict)
    _deleted: dict[tuple[Kind, ObjectKey], int] = field(default_factory=dict)
    _suspect: asyncio.Event = field(default_factory=asyncio.Event)

    def event(self, kind: Kind, event_type: str | None, raw: JsonObject) -> None:
        """Take what a watch tells; `event_type` None is an object of the list it begins with."""
        key, version = key_of(raw), _version_of(raw["metadata"])
        self.reached(kind, version)
        if event_type == "DELETED":
            self._remove(kind, key, version)
            return
        self._see(kind, key, version, raw)

    def suspect(self) -> None:
        """Take note that the watch began anew, and may have missed something."""
        self._suspect.set()

    def take_version(self, path: str) -> str:
        """Return the version of the last list of a collection, once; "" when it is taken.

        A watch that continues from there misses nothing. From any thread.
        """
        return self._listed.pop(path, "")

    def reached(self, kind: Kind, version: int) -> None:
        """Take note of a version that the server had reached; from any thread."""
        self._reached[kind] = max(version, self._reached.get(kind, 0))

    async def list_all(self) -> None:
        """List until every kind is complete, trying again for as long as it takes."""
        failures = 0
        while True:
            try:
                for kind in self.kinds:
                    await self._list(kind)
            except _Rewound as change:
                self._rewind(str(change))
            except KubeError as error:
                failures += 1
                self.trouble = _explain(error)
                level = logging.WARNING if failures == 1 else logging.DEBUG
                log.log(level, "objects cannot be listed, will try again: %s", self.trouble)
                await asyncio.sleep(backoff(failures, *RETRY))
            else:
                self.trouble = ""
                return

    async def run(self) -> None:
        """List again whenever the watch began anew, and now and then, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(RELIST_INTERVAL):
                    await self._suspect.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(RELIST_DELAY)
            self._suspect.clear()
            await self.list_all()

    async def _list(self, kind: Kind) -> None:
        scopes = self.namespaces if kind.namespaced and self.namespaces else [None]
        for namespace in scopes:
            reached = self._reached.get(kind, 0)
            try:
                listing = await self.client.list(kind, namespace)
            except ApiError as error:
                if namespace is None or not await self._is_gone(namespace, error):
                    raise
                await self._take(
                    kind, namespace, Listing([], str(max(self._versions.values(), default=0)))
                )
                continue
            self._compare(kind, listing, reached)
            await self._take(kind, namespace, listing)
            self._listed[kind.collection_path(namespace or "")] = listing.resource_version

    def _compare(self, kind: Kind, listing: Listing, reached: int) -> None:
        """Raise _Rewound where a list cannot be of the history that is known.

        `reached` is what was known of the kind before the list was asked for.
        """
        version = int(listing.resource_version)
        if version < reached:
            raise _Rewound(f"{kind.plural} are at version {version}, and were at {reached}")
        for raw in listing.items:
            now = _version_of(raw["metadata"])
            if now < (known := self._versions.get((kind, key_of(raw)), 0)) <= version:
                raise _Rewound(f"{kind} {key_of(raw)} is at version {now}, and was at {known}")
        self.reached(kind, version)

    def _rewind(self, why: str) -> None:
        log.warning(
            "the API server's history has changed (was it restored from a backup?): %s; everything"
            " is listed and compared anew", why,
        )  # fmt: skip
        self._versions = dict.fromkeys(self._versions, 0)
        for notes in (self._deleted, self._listed, self._reached):
            notes.clear()
        self.listener.rewound()
        self.on_rewound()

    async def _is_gone(self, namespace: str, refused: ApiError) -> bool:
        """Tell a namespace that is no more from one whose objects we may not see (KubeError).

        With it went the Role by which we could list there, and all objects too: the list is
        complete and empty. Without this one deleted namespace would hold up all others.
        """
        if refused.status != HTTPStatus.FORBIDDEN:
            return False
        try:
            await self.client.get(NAMESPACE, cluster_key(namespace))
        except NotFound:
            return True
        except ApiError:  # we may not ask either
            return False
        return False

    async def _take(self, kind: Kind, namespace: str | None, listing: Listing) -> None:
        """Take a list in, and let others have their turn: 10,000 objects take a second."""
        version = int(listing.resource_version)
        listed: set[ObjectKey] = set()
        for raw in listing.items:
            key = key_of(raw)
            listed.add(key)
            self._see(kind, key, _version_of(raw["metadata"]), raw)
            if len(listed) % PAGE == 0:
                await asyncio.sleep(0)
        missing = [
            key
            for (other, key), seen in self._versions.items()
            if other == kind
            and key not in listed
            and seen <= version
            and namespace in (None, key.namespace)
        ]
        for key in missing:
            log.info("%s %s was deleted while nobody watched", kind, key)
            self._remove(kind, key, version)
        self._deleted = {at: v for at, v in self._deleted.items() if at[0] != kind or v > version}

    def _see(self, kind: Kind, key: ObjectKey, version: int, raw: JsonObject) -> None:
        if version > max(self._versions.get((kind, key), 0), self._deleted.get((kind, key), 0)):
            self._versions[kind, key] = version
            self.listener.seen(kind, key, raw)

    def _remove(self, kind: Kind, key: ObjectKey, version: int) -> None:
        known = self._versions.get((kind, key))
        if known is None or known > version:
            self._deleted[kind, key] = max(version, self._deleted.get((kind, key), 0))
            return
        del self._versions[kind, key]
        self._deleted[kind, key] = version
        self.listener.gone(kind, key)


def key_of(raw: JsonObject) -> ObjectKey:
    """Return the key of an object of the API server."""
    metadata = raw["metadata"]
    return ObjectKey(metadata.get("namespace", ""), metadata["name"])


def _version_of(metadata: JsonObject) -> int:
    return int(metadata["resourceVersion"])


def _explain(error: KubeError) -> str:
    if isinstance(error, NotFound):
        return f"{error} (are the CustomResourceDefinitions installed?)"
    return str(error)
