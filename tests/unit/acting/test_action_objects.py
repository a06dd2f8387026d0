"""The objects that people act on are found without holding up what decides."""

import asyncio

from data.manifests import frontend
from vpplb.acting.action_objects import SLICE, ActionObjects
from vpplb.acting.ports import Person
from vpplb.acting.spec_edits import SpecEdit
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.stored_objects import StoredObject, StoredObjects


def stored_frontends(count: int) -> StoredObjects:
    """Return frontends that all have one and the same backend."""
    raw = frontend(pools=[{"name": "main", "backends": [{"name": "a"}]}])
    keys = [ObjectKey("default", f"web-{number}") for number in range(count)]
    stored = StoredObjects()
    stored._objects[ObjectKind.FRONTEND] = {
        key: StoredObject(key=key, raw=raw, generation=1) for key in keys
    }
    return stored


async def edit_nothing(person: Person, edit: SpecEdit) -> None:
    raise AssertionError("nothing is edited")


async def test_while_frontends_are_looked_through_others_have_their_turn() -> None:
    objects = ActionObjects(
        stored=stored_frontends(3 * SLICE), show=lambda kind, key: None, edit_spec=edit_nothing
    )
    finding, turns = asyncio.create_task(objects.find_frontends([ObjectKey("default", "a")])), 0
    while not finding.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(finding.result()) == 3 * SLICE
    assert turns >= 3
