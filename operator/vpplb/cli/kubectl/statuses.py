"""Statuses as models; one that another version of vpplb has written is told, not guessed at."""

from typing import TypeVar

from vpplb.cli.kubectl.session import Failed
from vpplb.kube.kinds import JsonObject
from vpplb.model.vip import Vip, VipId
from vpplb.resources.base import StatusModel
from vpplb.resources.dataplane_codec import load_dataplane

M = TypeVar("M", bound=StatusModel)


def status_of(raw: JsonObject, model: type[M]) -> M:
    """Read an object's status; an object that has none yet has an empty one (Failed)."""
    try:
        return model.model_validate(raw.get("status") or {})
    except ValueError as error:
        raise _another_version(raw) from error


def wanted_of(raw: JsonObject) -> tuple[VipId, Vip, str] | None:
    """Read what a Frontend's nodes shall have: VIP, servers and revision, if decided (Failed)."""
    try:
        return load_dataplane(raw.get("status"))
    except ValueError as error:
        raise _another_version(raw) from error


def _another_version(raw: JsonObject) -> Failed:
    name = raw["metadata"]["name"]
    return Failed(f"the status of {name} cannot be read: it is of another version of vpplb")
