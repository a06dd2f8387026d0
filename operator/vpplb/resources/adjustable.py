"""The fields that people adjust while a router runs: what `vpplb ctl` may change beside the files.

Each has a name that says where it is by the names of pools and backends, so that it is found again
when others are put before it.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from vpplb.model.names import ObjectKind

FieldValue = bool | int
_SWITCHES: Mapping[str, FieldValue] = {"enabled": True, "paused": False}
DEFAULT_WEIGHT = 100


def list_adjustable(kind: str, spec: Mapping[str, Any]) -> dict[str, FieldValue]:
    """Return the adjustable fields of a spec with their values, defaults too.

    Of a Backend `enabled` and `paused`; of a Frontend weights, as `pools[NAME].backends[NAME].
    weight`. The spec is valid.
    """
    if kind == ObjectKind.BACKEND:
        return {name: _or_default(spec.get(name), it) for name, it in _SWITCHES.items()}
    members = _list_members(kind, spec)
    return {name: _or_default(member.get("weight"), DEFAULT_WEIGHT) for name, member in members}


def adjust_spec(
    kind: str, spec: Mapping[str, Any], values: Mapping[str, FieldValue]
) -> dict[str, Any]:
    """Copy a spec with these values of adjustable fields; those that it does not have are none."""
    adjusted = deepcopy(dict(spec))
    if kind == ObjectKind.BACKEND:
        adjusted |= {name: value for name, value in values.items() if name in _SWITCHES}
    for name, member in _list_members(kind, adjusted):
        if name in values:
            member["weight"] = values[name]
    return adjusted


def _or_default(value: FieldValue | None, default: FieldValue) -> FieldValue:
    return default if value is None else value  # `enabled:` with nothing behind it is a null


def _list_members(kind: str, spec: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for pool in spec.get("pools") or () if kind == ObjectKind.FRONTEND else ():
        for member in pool.get("backends") or ():
            yield f"pools[{pool['name']}].backends[{member['name']}].weight", member
