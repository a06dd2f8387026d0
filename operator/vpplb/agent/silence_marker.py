"""Lets statuses say that nobody probes any more, where no operator is left who could say so.

Each agent does so for the Frontends that its node carries, and their Backends: of those it knows
without asking. What it writes is the mark alone (`resources.stale_status`), and its rights allow no
more (decision 46). It begins once nobody has led for long, and goes on looking at the Lease while
it writes. One agent at a time is enough: where the marks of others appear, it lets them work. And
where somebody takes a mark away there is an operator, whatever the Lease tells: then it marks
nothing more.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from vpplb.agent.operator_observer import OperatorObserver
from vpplb.kube.api_types import JsonObject, KubeError, NotFound
from vpplb.kube.client import KubeClient
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.stale_marks import mark_stale
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.stale_status import is_stale
from vpplb.resources.stored_objects import StoredObject

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0
"""Seconds between two looks at whether there is something to mark, give or take a half."""
BEGIN_AFTER = 60.0
"""Seconds for which nobody must have led, beside those after which an agent says so at all."""
SPREAD = 30.0
"""Seconds within which agents begin: those that do so in one second do the same work twice."""
WORK = 10.0
"""Seconds for which one marks, until it looks whether others do."""
PER_SECOND = 20.0
"""Objects that one marks in a second at most."""
LOOK_AGAIN = 1.0
"""Seconds from one look at the Lease to the next while it marks."""


@dataclass(slots=True, kw_only=True)
class SilenceMarker:
    """Marks the Frontends that `list_carried` names, as they are in `cache`, and their Backends."""

    client: KubeClient
    observer: OperatorObserver
    cache: ObjectCache
    list_carried: Callable[[], Collection[ObjectKey]]
    clock: Clock
    _begin_at: float | None = None
    _unmarked: int | None = None
    _marked: dict[ObjectKey, int] = field(default_factory=dict)
    _look_at: float = 0.0
    _is_refused: bool = False

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY * random.uniform(0.5, 1.5))
            try:
                await self.mark_due()
            except KubeError as error:
                level = logging.DEBUG if self._is_refused else logging.WARNING
                self._is_refused = True
                log.log(level, "statuses are not marked as old: %s", error)

    async def mark_due(self) -> None:
        """Mark for a while, where nobody leads and nobody else marks (KubeError)."""
        now = asyncio.get_running_loop().time()
        if not self.observer.silence:
            self._begin_at = self._unmarked = None
            self._marked.clear()
            return
        if self._begin_at is None:
            self._begin_at = now + BEGIN_AFTER + random.uniform(0, SPREAD)
        if now < self._begin_at:
            return
        due = list(self._list_unmarked())
        if any(one.version > self._marked.get(one.key, one.version) for one in due):
            return  # somebody keeps them
        before, self._unmarked = self._unmarked, len(due)
        if not due or before is None or len(due) < before:
            return
        random.shuffle(due)
        await self._mark_some([one.key for one in due], until=now + WORK)
        self._unmarked = None

    # --- pieces ------------------------------------------------------------------------------

    def _list_unmarked(self) -> Iterator[StoredObject]:
        found = (self._find_unmarked(key) for key in self.list_carried())
        return (one for one in found if one is not None)

    def _find_unmarked(self, key: ObjectKey) -> StoredObject | None:
        """Return a frontend as it is now; None where it is gone, or says so already."""
        frontend = self.cache.get(ObjectKind.FRONTEND, key)
        is_due = frontend is not None and frontend.status and not is_stale(frontend.status)
        return frontend if is_due else None

    async def _mark_some(self, keys: list[ObjectKey], until: float) -> None:
        said, before = self.observer.silence, len(self._marked)
        for key in keys:
            if (frontend := self._find_unmarked(key)) is None:
                continue
            for name in _list_backends(frontend):
                await self._mark_backend(ObjectKey(frontend.key.namespace, name))
            # Last: whoever finds it marked takes its backends for marked, too.
            if version := await self._mark_object(ObjectKind.FRONTEND, frontend.raw):
                self._marked[frontend.key] = version
            if asyncio.get_running_loop().time() >= until or not self.observer.silence:
                break
        log.warning("%d frontends say so now: %s", len(self._marked) - before, said)

    async def _mark_backend(self, key: ObjectKey) -> None:
        with suppress(NotFound):
            raw = await self.client.get_object(ObjectKind.BACKEND, key)
            await self._mark_object(ObjectKind.BACKEND, raw)

    async def _mark_object(self, kind: ObjectKind, raw: JsonObject) -> int:
        await asyncio.sleep(1 / PER_SECOND)
        if asyncio.get_running_loop().time() >= self._look_at:
            await self.observer.judge_operator()
            self._look_at = asyncio.get_running_loop().time() + LOOK_AGAIN
        if not (said := self.observer.silence):
            return 0
        return await mark_stale(self.client, kind, raw, said, self.clock.now())


def _list_backends(frontend: StoredObject) -> list[str]:
    """Name the backends of a frontend, as its status does; none where that cannot be read."""
    listed = frontend.status.get("backends")
    members = listed if isinstance(listed, list | tuple) else ()
    names = (one.get("name") for one in members if isinstance(one, dict))
    return sorted({name for name in names if isinstance(name, str)})
