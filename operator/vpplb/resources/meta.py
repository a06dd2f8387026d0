"""Metadata of an object: read leniently, since the API server puts there what it likes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from vpplb.model.names import ObjectKey
from vpplb.resources.base import Finding
from vpplb.resources.raw_fields import parse_time

NAMESPACE_PATTERN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
NAME_PATTERN = rf"{NAMESPACE_PATTERN}(\.{NAMESPACE_PATTERN})*"
"""What the name of a namespace, and of an object, can be (RFC 1123), as regular expressions."""
NAMESPACE_CHARS, NAME_CHARS = 63, 253
"""How long they can be."""


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
    findings = _check_name("name", name, NAME_PATTERN, NAME_CHARS)
    if namespaced:
        findings += _check_name("namespace", namespace, NAMESPACE_PATTERN, NAMESPACE_CHARS)
    return meta, findings


def read_generation(raw: Mapping[str, object]) -> int:
    """Read which version of its spec an object is; 0 where it does not say."""
    value = _read_metadata(raw).get("generation")
    return value if isinstance(value, int) else 0


def _read_metadata(raw: Mapping[str, object]) -> Mapping[str, object]:
    found = raw.get("metadata")
    return found if isinstance(found, Mapping) else {}


def _check_name(field: str, value: object, pattern: str, most: int) -> list[Finding]:
    if value is None or value == "":
        return [(("metadata", field), "is required")]
    if isinstance(value, str) and len(value) <= most and re.fullmatch(pattern, value):
        return []
    return [(("metadata", field), "must be a name of lower-case letters, digits and - (RFC 1123)")]


def _read_time(value: object) -> datetime | None:
    try:
        return parse_time(value)
    except ValueError:
        return None
