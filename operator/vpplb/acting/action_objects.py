"""The objects that people act on: as they are kept, as they are shown, and how one is changed."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vpplb.acting.object_plan import PlannedObjects
from vpplb.acting.ports import Person
from vpplb.acting.spec_edits import SpecEdit, read_pools
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.stored_objects import StoredObjects

SLICE = 64
"""Objects looked at at a time; between two slices the program does its work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionObjects:
    """The objects that are `stored`.

    `show` gives one with its status as of now, None for one that is gone; `edit_spec` changes one
    as a person asks (EditRefused, AccessUnknown).
    """

    stored: StoredObjects
    show: Callable[[ObjectKind, ObjectKey], Mapping[str, object] | None]
    edit_spec: Callable[[Person, SpecEdit], Awaitable[None]]

    def show_object(self, kind: ObjectKind, key: ObjectKey) -> Mapping[str, Any] | None:
        """Give an object as it is stored, but with its status as of now; None: it is gone."""
        stored, shown = self.stored.get(kind, key), self.show(kind, key)
        return {**stored.raw, "status": shown["status"]} if stored and shown else None

    async def find_frontends(self, backends: Collection[ObjectKey]) -> set[ObjectKey]:
        """Return the frontends that have one of the backends in a pool."""
        wanted, found = set(backends), set()
        for number, key in enumerate(self.stored.list_keys(ObjectKind.FRONTEND), 1):
            if not wanted.isdisjoint(self._list_members(key)):
                found.add(key)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return found

    def _list_members(self, frontend: ObjectKey) -> Iterator[ObjectKey]:
        stored = self.stored.get(ObjectKind.FRONTEND, frontend)
        for pool in read_pools(stored.raw) if stored is not None else ():
            for member in pool["backends"]:
                yield ObjectKey(frontend.namespace, member["name"])

    async def gather_objects(
        self, backends: Collection[ObjectKey], frontend: ObjectKey | None
    ) -> PlannedObjects:
        """Gather what a forecast needs: the frontends that are concerned, and all that they name.

        A Frontend of which nodes are told nothing is left out: nothing of it is to change.
        """
        chosen = {frontend} if frontend and backends else await self.find_frontends(backends)
        members = {key for one in chosen for key in self._list_members(one)}
        found: dict[tuple[str, ObjectKey], Mapping[str, Any]] = {}
        checks = {
            (ObjectKind.HEALTH_CHECK, key) for key in self.stored.list_keys(ObjectKind.HEALTH_CHECK)
        }
        names = {(ObjectKind.FRONTEND, key) for key in chosen} | checks
        names |= {(ObjectKind.BACKEND, key) for key in members | set(backends)}
        for number, (kind, key) in enumerate(sorted(names), 1):
            raw = self.show_object(kind, key)
            if raw is not None and (kind is not ObjectKind.FRONTEND or _is_programmed(raw)):
                found[kind, key] = raw
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return found


def _is_programmed(raw: Mapping[str, Any]) -> bool:
    return bool((raw.get("status") or {}).get("dataplane"))
