"""What a person asks for on the dashboard, read from JSON: an action, and on which backends."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from vpplb.model.durations import parse_duration
from vpplb.model.names import ObjectKey
from vpplb.plan.flattening import MOST_WEIGHT
from vpplb.resources.meta import NAME_CHARS, NAME_PATTERN, NAMESPACE_CHARS, NAMESPACE_PATTERN

MOST_BACKENDS = 200
"""Backends of one request: what a person can have looked at."""
GRACE = timedelta(minutes=1)
"""How long the flows of drained backends may end by themselves, where nobody says."""
MOST_GRACE = timedelta(hours=1)
MOST_KEY = NAMESPACE_CHARS + 1 + NAME_CHARS
KEY = rf"{NAMESPACE_PATTERN}/{NAME_PATTERN}"
"""How many characters namespace/name can have, and what it can be."""
_FIELDS = frozenset(
    {"action", "backends", "frontend", "pool", "weight", "grace", "dryRun"},
)


class PersonalAction(StrEnum):
    """What can be done to backends, named as the commands are."""

    PAUSE = "pause"
    RESUME = "resume"
    ENABLE = "enable"
    DISABLE = "disable"
    DRAIN = "drain"
    WEIGHT = "weight"


class BadRequest(ValueError):
    """What is asked for is none of what can be; the text says which part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRequest:
    """An action on `backends`, at least one.

    A `weight` (0 to 100) is that of all of them in `pool` of `frontend`, empty: in each of its
    pools that has them. `grace` is how long flows of drained backends may end by themselves.
    """

    action: PersonalAction
    backends: tuple[ObjectKey, ...]
    frontend: ObjectKey | None = None
    pool: str = ""
    weight: int = 0
    grace: timedelta = GRACE
    dry_run: bool = False


def parse_request(body: object) -> ActionRequest:
    """Read a request (BadRequest)."""
    if not isinstance(body, Mapping):
        raise BadRequest("not a JSON object")
    if unknown := body.keys() - _FIELDS:
        raise BadRequest(f"there is no field {min(map(str, unknown))}")
    try:
        action = PersonalAction(str(body.get("action")))
    except ValueError:
        raise BadRequest(f"action: one of {', '.join(PersonalAction)}") from None
    weighing = action is PersonalAction.WEIGHT
    if not weighing and (given := body.keys() & {"frontend", "pool", "weight"}):
        raise BadRequest(f"{min(given)}: only with the action weight")
    if action is not PersonalAction.DRAIN and "grace" in body:
        raise BadRequest("grace: only with the action drain")
    dry_run = body.get("dryRun", False)
    if not isinstance(dry_run, bool):
        raise BadRequest("dryRun: true or false")
    return ActionRequest(
        action=action,
        backends=_read_backends(body.get("backends")),
        dry_run=dry_run,
        grace=_read_grace(body.get("grace")),
        **(_read_weighing(body) if weighing else {}),
    )


def _read_backends(given: object) -> tuple[ObjectKey, ...]:
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_BACKENDS:
        raise BadRequest(f"backends: a list of 1 to {MOST_BACKENDS}, each as namespace/name")
    return tuple(dict.fromkeys(_read_key("backends", one) for one in given))


def _read_key(field: str, given: object) -> ObjectKey:
    if isinstance(given, str) and len(given) <= MOST_KEY and re.fullmatch(KEY, given):
        return ObjectKey.parse_text(given)
    raise BadRequest(f"{field}: as namespace/name")


def _read_weighing(body: Mapping[str, Any]) -> dict[str, Any]:
    weight, pool = body.get("weight"), body.get("pool", "")
    if isinstance(weight, float) and weight.is_integer():  # 5.0 is a whole number in JSON
        weight = int(weight)
    if not isinstance(weight, int) or isinstance(weight, bool) or not 0 <= weight <= MOST_WEIGHT:
        raise BadRequest(f"weight: a whole number from 0 to {MOST_WEIGHT}")
    if not isinstance(pool, str):
        raise BadRequest("pool: the name of a pool")
    frontend = _read_key("frontend", body.get("frontend"))
    return {"weight": weight, "pool": pool, "frontend": frontend}


def _read_grace(given: object) -> timedelta:
    if given is None:
        return GRACE
    try:
        grace = parse_duration(str(given).strip())
    except ValueError as error:
        raise BadRequest(f"grace: {error}") from None
    if grace > MOST_GRACE:
        raise BadRequest("grace: 1h at most")
    return grace
