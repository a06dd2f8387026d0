"""Specs and statuses of objects that may be of another version of vpplb."""

from typing import TypeVar

from pydantic import ValidationError

from vpplb.kube.api_types import JsonObject
from vpplb.model.vip import Vip, VipId
from vpplb.resources.base import StatusModel
from vpplb.resources.dataplane_codec import load_dataplane
from vpplb.resources.stored import read_status, spec_of

M = TypeVar("M", bound=StatusModel)


def read_status_as(raw: JsonObject, model: type[M]) -> M:
    """Read an object's status; what of it is not there, or makes no sense, is as if absent."""
    return read_status(raw, model)


def read_pools(raw: JsonObject) -> list[JsonObject]:
    """Return the pools of a Frontend that have a name, each with its `backends` that have one."""
    pools = _named_entries(spec_of(raw).get("pools"))
    return [pool | {"backends": _named_entries(pool.get("backends"))} for pool in pools]


def _named_entries(entries: object) -> list[JsonObject]:
    found = entries if isinstance(entries, list) else []
    return [one for one in found if isinstance(one, dict) and isinstance(one.get("name"), str)]


def read_wanted(raw: JsonObject) -> tuple[VipId, Vip, str] | None:
    """Read what a Frontend's nodes shall have: VIP, servers and revision.

    None where nothing is decided, or where it cannot be read (`unreadable`).
    """
    try:
        return load_dataplane(raw.get("status"))
    except ValueError:
        return None


def describe_unreadable(raw: JsonObject, model: type[StatusModel]) -> str:
    """Say which part of a status makes no sense; empty when all does."""
    try:
        model.model_validate(raw.get("status") or {})
        load_dataplane(raw.get("status"))
    except ValidationError as error:
        parts = sorted({str(details["loc"][0]) for details in error.errors() if details["loc"]})
        return f"of another version of vpplb, it seems: {', '.join(parts) or 'all of it'}"
    except ValueError:
        return "of another version of vpplb, it seems: dataplane"
    return ""
