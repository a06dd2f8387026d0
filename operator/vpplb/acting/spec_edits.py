"""The edits that people's verbs make: of the commands, and of the dashboard. Quick to import."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.adjustable import DEFAULT_WEIGHT, list_adjustable
from vpplb.resources.raw_fields import spec_of

Operations = Sequence[Mapping[str, object]]
"""A JSON patch (RFC 6902)."""


class SpecEdit(NamedTuple):
    """An edit of an object's spec: a merge patch (RFC 7386) of the object, or a JSON patch."""

    kind: ObjectKind
    key: ObjectKey
    patch: Mapping[str, object] | Operations


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSwitch:
    """A boolean of a Backend's spec, the value to give it, and how that is called when done."""

    field: str
    value: bool
    done: str

    @property
    def patch(self) -> Mapping[str, object]:
        """The merge patch that turns it."""
        return {"spec": {self.field: self.value}}

    def is_turned(self, raw: Mapping[str, Any]) -> bool:
        """Tell whether a Backend has that value already."""
        return list_adjustable(ObjectKind.BACKEND, spec_of(raw))[self.field] is self.value

    def find_other(self, raw: Mapping[str, Any]) -> str:
        """Say by which other switch a backend stays out that this one lets in; empty: by none."""
        if self.field == "enabled" and self.value and spec_of(raw).get("paused", False):
            return "paused: `resume` has it probed again"
        if self.field == "paused" and not self.value and not spec_of(raw).get("enabled", True):
            return "disabled: `enable` lets it serve again"
        return ""


PAUSE = BackendSwitch(field="paused", value=True, done="paused")
RESUME = BackendSwitch(field="paused", value=False, done="resumed")
DISABLE = BackendSwitch(field="enabled", value=False, done="disabled")
ENABLE = BackendSwitch(field="enabled", value=True, done="enabled")

DISABLE_PAUSED: Operations = (
    {"op": "test", "path": "/spec/paused", "value": True},
    {"op": "add", "path": "/spec/enabled", "value": False},
    {"op": "add", "path": "/spec/paused", "value": False},
)
"""What ends a drain: what is still paused is disabled, and no more: `enable` alone brings it
back."""


class MemberPlace(NamedTuple):
    """Where a backend stands in the pools of a Frontend's spec, and its weight there."""

    pool: str
    pool_index: int
    member_index: int
    weight: int

    def write_weight(self, backend: str, weight: int) -> Operations:
        """Return the patch that sets the weight.

        It names what it is about, and so hits no other entry of pools that somebody edits at the
        same time.
        """
        pool = f"/spec/pools/{self.pool_index}"
        member = f"{pool}/backends/{self.member_index}"
        return (
            {"op": "test", "path": f"{pool}/name", "value": self.pool},
            {"op": "test", "path": f"{member}/name", "value": backend},
            {"op": "add", "path": f"{member}/weight", "value": weight},
        )


def read_pools(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the pools of a Frontend that have a name, each with its `backends` that have one."""
    pools = _named_entries(spec_of(raw).get("pools"))
    return [pool | {"backends": _named_entries(pool.get("backends"))} for pool in pools]


def _named_entries(entries: object) -> list[dict[str, Any]]:
    found = entries if isinstance(entries, list) else []
    return [one for one in found if isinstance(one, dict) and isinstance(one.get("name"), str)]


def find_places(raw: Mapping[str, Any], backend: str, pool: str = "") -> list[MemberPlace]:
    """Return where a Frontend has a backend, in one pool or in all; empty where it has it not."""
    return [
        MemberPlace(one["name"], at, index, member.get("weight", DEFAULT_WEIGHT))
        for at, one in enumerate(read_pools(raw))
        if pool in ("", one["name"])
        for index, member in enumerate(one["backends"])
        if member["name"] == backend
    ]
