"""JSON merge patches (RFC 7386) between two versions of a status."""

from collections.abc import Mapping
from typing import TypeGuard


def merge_patch(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    """Return the smallest merge patch that makes `new` of `old`; empty when they are equal.

    Keys that vanished become null, lists are replaced whole. Members that are None in `new`
    count as absent: a merge patch cannot write null, and Kubernetes drops it anyway.
    """
    patch: dict[str, object] = {
        key: None for key, value in old.items() if value is not None and new.get(key) is None
    }
    for key, value in new.items():
        before = old.get(key)
        if value is None:
            continue
        if _is_object(value) and _is_object(before):
            if inner := merge_patch(before, value):
                patch[key] = inner
        elif value != before:
            patch[key] = value
    return patch


def _is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, Mapping)
