"""Metadata of an object: read leniently, since the API server puts there what it likes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from vpplb.model.names import ObjectKey
from vpplb.resources.base import Finding
from vpplb.resources.raw_fields import parse_time

_PART = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"{_PART}(\.{_PART})*")
_NAMESPACE = re.compile(_PART)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMeta:
    """What is read of an object's metadata; absent things are empty, 0 or None."""

    key: ObjectKey
    generation: int = 0
    created: datetime | None = None


def read_meta(
    raw: Mapping[str, object], *, namespaced: bool = True
) -> tuple[ObjectMeta, list[Finding]]:
    """Read the metadata of an object; the namespace is `default` where none is given.

    Only the name and the namespace can be wrong: whatever else is there, and is not what it
    should be, counts as absent.
    """
    metadata = _read_metadata(raw)
    name, namespace = metadata.get("name"), metadata.get("namespace") or "default"
    meta = ObjectMeta(
        key=ObjectKey(str(namespace) if namespaced else "", str(name or "")),
        generation=read_generation(raw),
        created=_read_time(metadata.get("creationTimestamp")),
    )
    findings = _check_name("name", name, _NAME, 253)
    if namespaced:
        findings += _check_name("namespace", namespace, _NAMESPACE, 63)
    return meta, findings


def read_generation(raw: Mapping[str, object]) -> int:
    """Read which version of its spec an object is; 0 where it does not say."""
    value = _read_metadata(raw).get("generation")
    return value if isinstance(value, int) else 0


def _read_metadata(raw: Mapping[str, object]) -> Mapping[str, object]:
    found = raw.get("metadata")
    return found if isinstance(found, Mapping) else {}


def _check_name(field: str, value: object, pattern: re.Pattern[str], most: int) -> list[Finding]:
    if value is None or value == "":
        return [(("metadata", field), "is required")]
    if isinstance(value, str) and len(value) <= most and pattern.fullmatch(value):
        return []
    return [(("metadata", field), "must be a name of lower-case letters, digits and - (RFC 1123)")]


def _read_time(value: object) -> datetime | None:
    try:
        return parse_time(value)
    except ValueError:
        return None
