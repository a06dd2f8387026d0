"""Lists of some kinds that make sure of what a watch tells, and feed the cache.

A watch alone is not enough: it says nothing when there is no object (an empty list is complete
too), and one that was interrupted never tells of what was deleted meanwhile. So everything is
listed before the watch begins, and again whenever the watch had to begin anew, and what a list
does not show is gone (`ObjectCache`).
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from vpplb.kube.api_resources import RESOURCES, JsonObject, cluster_key
from vpplb.kube.client import Listing
from vpplb.kube.errors import ApiError, KubeError, NotFound
from vpplb.kube.object_cache import HistoryChanged, ObjectCache
from vpplb.model.backoff import backoff_seconds
from vpplb.model.names import ObjectKey, ObjectKind

log = logging.getLogger(__name__)

RELIST_DELAY = 1.0
"""Seconds from a sign that the watch began anew to the list that makes sure."""
RELIST_INTERVAL = 600.0
RETRY = (0.2, 5.0)


class ListClient(Protocol):
    """What an informer needs of `KubeClient`."""

    async def list(self, kind: ObjectKind, namespace: str | None = None) -> Listing:
        """Read all objects of a kind."""
        ...

    async def get(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        """Read one object; NotFound when there is none."""
        ...


@dataclass(slots=True)
class Informer:
    """Follows `kinds` in `namespaces` (none: all; cluster-scoped kinds whole in any case).

    `trouble` says in words why the lists are not complete; empty when they are. `on_rewound` is
    told that the server's history has changed, before all is listed again.
    """

    client: ListClient
    kinds: Sequence[ObjectKind]
    cache: ObjectCache
    namespaces: Sequence[str] = ()
    trouble: str = "objects have not been listed yet"
    on_rewound: Callable[[], None] = lambda: None
    _listed: dict[str, str] = field(default_factory=dict)
    _suspect: asyncio.Event = field(default_factory=asyncio.Event)

    def suspect(self) -> None:
        """Take note that the watch began anew, and may have missed something."""
        self._suspect.set()

    def take_version(self, path: str) -> str:
        """Return the version of the last list of a collection, once; "" when it is taken.

        A watch that continues from there misses nothing. From any thread.
        """
        return self._listed.pop(path, "")

    async def list_all(self) -> None:
        """List until every kind is complete, trying again for as long as it takes."""
        failures = 0
        while True:
            try:
                for kind in self.kinds:
                    await self._list(kind)
            except HistoryChanged as change:
                self._rewind(str(change))
            except KubeError as error:
                failures += 1
                self.trouble = _explain(error)
                level = logging.WARNING if failures == 1 else logging.DEBUG
                log.log(level, "objects cannot be listed, will try again: %s", self.trouble)
                await asyncio.sleep(backoff_seconds(failures, *RETRY, jitter=random.random()))
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

    async def _list(self, kind: ObjectKind) -> None:
        scopes = self.namespaces if kind.namespaced and self.namespaces else [None]
        for namespace in scopes:
            asked_at = self.cache.newest_version(kind)
            try:
                listing = await self.client.list(kind, namespace)
            except ApiError as error:
                if namespace is None or not await self._is_gone(namespace, error):
                    raise
                nothing = Listing([], str(self.cache.newest_version(kind)))
                await self.cache.apply_listing(kind, namespace, nothing)
                continue
            await self.cache.apply_listing(kind, namespace, listing, asked_at=asked_at)
            self._listed[RESOURCES[kind].collection_path(namespace or "")] = (
                listing.resource_version
            )

    def _rewind(self, why: str) -> None:
        log.warning(
            "the API server's history has changed (was it restored from a backup?): %s; everything"
            " is listed and compared anew", why,
        )  # fmt: skip
        self._listed.clear()
        self.cache.reset_versions()
        self.on_rewound()

    async def _is_gone(self, namespace: str, refused: ApiError) -> bool:
        """Tell a namespace that is no more from one whose objects we may not see (KubeError).

        With it went the Role by which we could list there, and all objects too: the list is
        complete and empty. Without this one deleted namespace would hold up all others.
        """
        if refused.status != HTTPStatus.FORBIDDEN:
            return False
        try:
            await self.client.get(ObjectKind.NAMESPACE, cluster_key(namespace))
        except NotFound:
            return True
        except ApiError:  # we may not ask either
            return False
        return False


def _explain(error: KubeError) -> str:
    if isinstance(error, NotFound):
        return f"{error} (are the CustomResourceDefinitions installed?)"
    return str(error)
