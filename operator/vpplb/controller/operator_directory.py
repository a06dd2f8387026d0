"""How agents find this operator: its entry in the Lease of the election, and those of others.

What the elector reads and writes anyway shows whether the entry is there, so looking costs no
request. Writing is a patch of one annotation that names no version, since it is to disturb nobody:
a leader whose renewal it crosses looks and renews at once (`kube.leases.leader_election`).

An operator renews its entry every few minutes. One whose entry has not changed for three times as
long is dead, and whoever sees it first takes the entry away; one that was wrongly taken for dead
puts it back when it looks next.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from vpplb import __version__
from vpplb.direct.messages import OperatorAddress
from vpplb.direct.operator_directory import (
    dump_operator,
    find_texts,
    name_annotation,
    read_operators,
)
from vpplb.kube.api_types import JsonObject, KubeError
from vpplb.kube.client import KubeClient
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.release_identity import ReleaseIdentity
from vpplb.resources.fields import format_time

log = logging.getLogger(__name__)

RENEW_EVERY = 300.0
"""Seconds after which an operator renews its entry."""
DEAD_AFTER = 900.0
"""Seconds of looking without a change of it after which an entry is a dead operator's."""
LONGEST_LOOK = 10.0
"""Seconds from one look to the next that count at most: nobody is dead for our not looking."""
RETRY_EVERY = 5.0
"""Seconds after which a patch that failed is tried again."""
PATIENCE = 3.0
"""Seconds that a patch may take."""


@dataclass(slots=True, kw_only=True)
class OperatorDirectory:
    """Keeps `own`, of `release`, in the Lease `lease`, and tells of the others.

    `client` is one that writes also while this operator does not lead. `on_change` is told all
    `operators` of the release whenever that changes. `trouble` says why the entry could not be
    written, empty when it could.
    """

    client: KubeClient
    lease: ObjectKey
    own: OperatorAddress
    release: ReleaseIdentity
    clock: Clock
    on_change: Callable[[tuple[OperatorAddress, ...]], None] = lambda operators: None
    trouble: str = ""
    operators: tuple[OperatorAddress, ...] = field(init=False)
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)
    _looked: float | None = None
    _watched: float = 0.0
    _published: str = ""
    _renew_at: float = 0.0
    _due: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.operators = (self.own,)

    @property
    def is_published(self) -> bool:
        """Whether the Lease had this operator's entry when it was seen last."""
        text, _ = self._seen.get(name_annotation(self.own.identity), ("", 0.0))
        return bool(text) and text == self._published

    def observe_lease(self, lease: JsonObject | None) -> None:
        """Take the lease as it was read or written just now; None, when there is none, is no news.

        Whatever stands in it, this raises nothing.
        """
        if lease is None:
            return
        annotations = lease["metadata"].get("annotations")
        self._note_ages(find_texts(annotations))
        self._note_operators(read_operators(annotations, self.release))
        if self._list_changes():
            self._due.set()

    async def run(self) -> None:
        """Publish, renew and prune until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            if not await self._write_changes():
                await asyncio.sleep(RETRY_EVERY)

    async def withdraw_entry(self) -> None:
        """Take this operator's entry away; never raises. Not while `run` runs."""
        if not self._published:
            return
        with suppress(KubeError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._patch_annotations({name_annotation(self.own.identity): None})

    # --- pieces ------------------------------------------------------------------------------

    def _note_ages(self, texts: dict[str, str]) -> None:
        """Note since when, in seconds of looking, each entry has been what it is."""
        now = asyncio.get_running_loop().time()
        if self._looked is not None:
            self._watched += min(now - self._looked, LONGEST_LOOK)
        self._looked = now
        before, self._seen = self._seen, {}
        for name, text in texts.items():
            known, since = before.get(name, ("", self._watched))
            self._seen[name] = (text, since if text == known else self._watched)

    def _note_operators(self, found: tuple[OperatorAddress, ...]) -> None:
        others = [one for one in found if one.identity != self.own.identity]
        operators = tuple(sorted([self.own, *others], key=lambda one: one.identity))
        if operators != self.operators:
            self.operators = operators
            self.on_change(operators)

    def _list_changes(self) -> dict[str, str | None]:
        """Return the annotations that are to be written; None takes one away."""
        own = name_annotation(self.own.identity)
        changes: dict[str, str | None] = {
            name: None
            for name, (_, since) in self._seen.items()
            if name != own and self._watched >= since + DEAD_AFTER
        }
        if not self.is_published or asyncio.get_running_loop().time() >= self._renew_at:
            renewed = format_time(self.clock.now())
            changes[own] = dump_operator(self.own, self.release, __version__, renewed)
        return changes

    async def _write_changes(self) -> bool:
        """Write what is due; return whether that succeeded."""
        changes = self._list_changes()
        if not changes:
            return True
        # Noted before it is sent: the answer may be lost though it was done. The next look tells.
        if published := changes.get(name_annotation(self.own.identity)):
            self._published = published
            self._renew_at = asyncio.get_running_loop().time() + RENEW_EVERY
        try:
            async with asyncio.timeout(PATIENCE):
                lease = await self._patch_annotations(changes)
        except (KubeError, TimeoutError) as error:
            level = logging.DEBUG if self.trouble else logging.WARNING
            said = str(error) or f"no answer in {PATIENCE:g} s"
            self.trouble = f"lease {self.lease} does not get this operator's address: {said}"
            log.log(level, "%s", self.trouble)
            return False
        self.trouble = ""
        self.observe_lease(lease)
        return True

    async def _patch_annotations(self, changes: dict[str, str | None]) -> JsonObject:
        body = {"metadata": {"annotations": changes}}
        return await self.client.patch_object(ObjectKind.LEASE, self.lease, body)
