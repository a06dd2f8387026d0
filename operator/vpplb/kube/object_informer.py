"""Keeps the cache as the API server is: a watch, and lists that make sure of what it tells.

A watch alone is not enough: it says nothing when there is no object (an empty list is complete
too), and one that was interrupted never tells of what was deleted meanwhile. So everything is
listed before the watch begins, whenever it began anew, and now and then; what a list does not
show is deleted (`ObjectCache`).
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus

from vpplb.kube.api_types import (
    ApiError,
    KubeError,
    NotFound,
    ObjectListing,
    cluster_key,
)
from vpplb.kube.client import KubeClient
from vpplb.kube.cluster_access import ClusterAccess, load_access
from vpplb.kube.object_cache import HistoryChanged, ObjectCache
from vpplb.kube.object_watch import PERIOD, ObjectWatch
from vpplb.model.backoff import backoff_seconds
from vpplb.model.names import ObjectKind

log = logging.getLogger(__name__)

RELIST_DELAY = 1.0
"""Seconds from a sign that the watch began anew to the list that makes sure."""
RELIST_INTERVAL = 600.0
"""Seconds from a list to the next where there is no such sign."""
RETRY = (0.2, 2.0)
"""Seconds from a list that failed to the next: after the first failure, and at most."""


class ObjectInformer:
    """Follows `kinds` in `namespaces` (none: all; cluster-scoped kinds whole in any case).

    `trouble` says in words why the lists are not complete; empty when they are. `on_list` is called
    before all is listed, and what it returns once the cache has all of it. For `period` and `load`
    see `ObjectWatch`.
    """

    def __init__(
        self,
        client: KubeClient,
        kinds: Sequence[ObjectKind],
        cache: ObjectCache,
        namespaces: Sequence[str] = (),
        *,
        on_list: Callable[[], Callable[[], None]] = lambda: lambda: None,
        period: float = PERIOD,
        load: Callable[[], Awaitable[ClusterAccess]] = load_access,
    ) -> None:
        self._client, self._kinds, self.cache = client, kinds, cache
        self._on_list = on_list
        self._namespaces, self._due = namespaces, asyncio.Event()
        self.watch = ObjectWatch(kinds, cache, namespaces, self.list_soon, period=period, load=load)
        self.trouble = "objects have not been listed yet"

    def watch_ages(self) -> Mapping[str, float]:
        """Return, by plural, for how many seconds the watch of each kind has had no answer."""
        return self.watch.health.ages()

    def list_soon(self) -> None:
        """Have all listed soon, since something may have been missed."""
        self._due.set()

    async def run(self) -> None:
        """Watch, and list again whenever something may have been missed, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watch.run())
            group.create_task(self._list_again())

    async def list_all(self) -> None:
        """List until every kind is complete, trying again for as long as it takes."""
        failures = 0
        while True:
            note_listed = self._on_list()
            try:
                for kind in self._kinds:
                    await self._list_kind(kind)
            except HistoryChanged as change:
                log.warning(
                    "the API server's history has changed (was it restored from a backup?): %s;"
                    " everything is listed and compared anew", change,
                )  # fmt: skip
                self.cache.reset_versions()
                self.watch.begin_anew("the server's history has changed")
            except KubeError as error:
                failures += 1
                self.trouble = _explain(error)
                level = logging.WARNING if failures == 1 else logging.DEBUG
                log.log(level, "objects cannot be listed, will try again: %s", self.trouble)
                await asyncio.sleep(backoff_seconds(failures, *RETRY, jitter=random.random()))
            else:
                self.trouble = ""
                note_listed()
                return

    async def _list_again(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RELIST_INTERVAL):
                    await self._due.wait()
            # A watch that began anew has told most of it by then; and signs come in crowds.
            await asyncio.sleep(RELIST_DELAY)
            self._due.clear()
            await self.list_all()
            if self.watch.health.is_partial():
                self.watch.begin_anew("kopf began without a kind that is there now")

    async def _list_kind(self, kind: ObjectKind) -> None:
        scopes = self._namespaces if kind.is_namespaced and self._namespaces else [None]
        for namespace in scopes:
            asked_at, gone = self.cache.newest_version(kind), False
            try:
                listing = await self._client.list_objects(kind, namespace)
            except ApiError as error:
                gone = namespace is not None and await self._is_gone(namespace, error)
                if not gone:
                    raise
                listing = ObjectListing([], str(self.cache.newest_version(kind)))
            if namespace is not None:
                self.watch.health.note_namespace(kind, namespace, gone=gone)
            await self.cache.apply_listing(kind, namespace, listing, asked_at=asked_at)

    async def _is_gone(self, namespace: str, refused: ApiError) -> bool:
        """Tell a namespace that is no more from one whose objects we may not see (KubeError).

        With it went the Role by which we could list there, and all objects too: the list is
        complete and empty. Without this one deleted namespace would hold up all others.
        """
        if refused.status != HTTPStatus.FORBIDDEN:
            return False
        try:
            await self._client.get_object(ObjectKind.NAMESPACE, cluster_key(namespace))
        except NotFound:
            return True
        except ApiError:  # we may not ask either
            return False
        return False


def _explain(error: KubeError) -> str:
    if isinstance(error, NotFound):
        return f"{error} (are the CustomResourceDefinitions installed?)"
    return str(error)
