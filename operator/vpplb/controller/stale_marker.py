"""Marks what nobody probes: the statuses of namespaces that no operator serves any more.

An operator that leads does so for namespaces that were served before and are not now, as far as it
may; `vpplb retire` does so for all, once the last operator has gone.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from vpplb.kube.api_types import ApiError, JsonObject, KubeError, key_of
from vpplb.kube.client import KubeClient
from vpplb.kube.leases.probing_silence import ProbingSilence, find_unserved
from vpplb.kube.stale_marks import mark_stale
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.stale_status import STALE_KINDS

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StaleMarker:
    """Writes by `client`, which must have a right to the statuses; dates by `clock`.

    `on_marked` is told of each object that is marked, and what it says now.
    """

    client: KubeClient
    clock: Clock
    on_marked: Callable[[ObjectKind, JsonObject, str], None] = lambda kind, raw, said: None

    async def mark_unserved(self, election: ObjectKey) -> None:
        """Mark what was served before and is not now, as far as the rights go, and log that.

        With rights for certain namespaces alone there is none to others: then the plugin tells it.
        """
        try:
            lease = await self.client.get_object(ObjectKind.LEASE, election)
            marked = await self.mark_objects(partial(find_unserved, lease))
        except KubeError as error:
            is_meant = isinstance(error, ApiError) and error.status == HTTPStatus.FORBIDDEN
            level = logging.DEBUG if is_meant else logging.WARNING
            log.log(level, "what is served no more cannot be told on its objects: %s", error)
        else:
            level = logging.WARNING if marked else logging.DEBUG
            log.log(level, "%d statuses of namespaces that are served no more say so now", marked)

    async def mark_objects(
        self, find_silence: Callable[[str], ProbingSilence | None], namespace: str = ""
    ) -> int:
        """Mark all of which that says that nobody probes; return how many (KubeError).

        With a namespace those of it alone. What somebody changes meanwhile is left alone.
        """
        marked = 0
        for kind in STALE_KINDS:
            listing = await self.client.list_objects(kind, namespace)
            marked += await self._mark_kind(kind, listing.items, find_silence)
        return marked

    async def _mark_kind(
        self,
        kind: ObjectKind,
        objects: Iterable[JsonObject],
        find_silence: Callable[[str], ProbingSilence | None],
    ) -> int:
        marked = 0
        for raw in objects:
            silence = find_silence(key_of(raw).namespace)
            if silence is None:
                continue
            said, now = str(silence), self.clock.now()
            if await mark_stale(self.client, kind, raw, said, now):
                marked += 1
                self.on_marked(kind, raw, said)
        return marked
