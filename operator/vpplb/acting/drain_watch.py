"""Whether all nodes give a paused backend no new flows, as the statuses of its frontends say."""

from collections.abc import Iterable, Mapping
from typing import Any

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey

LOOK_EVERY = 0.2
"""Seconds between two looks at the statuses."""
DRAIN_TIMEOUT = 30.0
"""Seconds within which all nodes have to have a pause."""

_OUT = (HealthState.PAUSED.value, HealthState.DISABLED.value)


def find_pause_lack(backend: ObjectKey, frontends: Iterable[Mapping[str, Any]]) -> str:
    """Say what is missing until no node gives a backend new flows; empty: nothing."""
    for raw in frontends:
        name, status = raw["metadata"]["name"], raw.get("status") or {}
        states = [
            one.get("state") for one in status.get("backends") or () if one["name"] == backend.name
        ]
        if any(state not in _OUT for state in states):
            return f"frontend {name} has not decided on it yet"
        programmed = next(
            (one for one in status.get("conditions") or () if one["type"] == "Programmed"), None
        )
        if programmed is None or programmed["status"] == "True":
            continue
        if programmed.get("reason") != "NoNodes":
            return f"frontend {name}: {programmed.get('message') or programmed.get('reason')}"
    return ""
