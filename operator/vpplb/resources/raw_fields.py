"""Fields of objects as JSON, for whoever needs no more of them: quick to import, unlike models."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

NODE_LABELS = "vpplb.dev/node-labels"
"""Annotation of a Dataplane: the labels that are its Node's, by comma. Others select nothing."""
VALID = "the spec is valid"
"""The message of `Accepted` where there is nothing to say."""


def drop_nulls(value: object) -> object:
    """Copy to dicts and lists, leaving out fields that are null, as the API server does."""
    if isinstance(value, Mapping):
        return {str(key): drop_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [drop_nulls(item) for item in value]
    return value


def spec_of(raw: Mapping[str, object]) -> dict[str, Any]:
    """Return the spec of an object as JSON, nulls left out; empty where there is none."""
    fields = drop_nulls(raw.get("spec"))
    return fields if isinstance(fields, dict) else {}


def read_selector(raw: Mapping[str, object]) -> Mapping[str, str] | None:
    """Read the labels of the nodes that carry a Frontend; None: they are not understood."""
    return check_selector(spec_of(raw).get("nodeSelector"))


def check_selector(found: object) -> Mapping[str, str] | None:
    selector = {} if found is None else found
    if not isinstance(selector, Mapping):
        return None
    understood = all(isinstance(value, str) for value in selector.values())
    return selector if understood else None


def node_labels(metadata: Mapping[str, Any]) -> Mapping[str, str]:
    """Return a Dataplane's labels that are its Node's; where an agent does not tell them, all."""
    labels: Mapping[str, str] = metadata.get("labels") or {}
    mirrored = (metadata.get("annotations") or {}).get(NODE_LABELS)
    if mirrored is None:
        return labels
    return {label: labels[label] for label in mirrored.split(",") if label in labels}


def parse_time(value: object) -> datetime:
    """Read an RFC 3339 time; ValueError when it is none, or has no zone."""
    if not isinstance(value, str):
        raise ValueError("must be a time (RFC 3339)")
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError("must be a time with a zone (RFC 3339)")
    try:
        return time.astimezone(UTC)
    except OverflowError as error:  # of the first day there is, or of the last
        raise ValueError("must be a time (RFC 3339)") from error


def find_time(value: object) -> datetime | None:
    """Read a time of somebody else's; None where it is none."""
    try:
        return parse_time(value)
    except ValueError:
        return None
