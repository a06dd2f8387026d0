"""What edited objects would do to the VIPs that there are: one set of objects against another.

Both sides are decided by the operator's own rules, with backends as their statuses show them. A
frontend on which the two sides agree is untouched; for the others the plan leads from what is
programmed (`status.dataplane`) to what the edited side comes to.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import Backend, Frontend
from vpplb.model.vip import Vip, VipId
from vpplb.plan.assumption import AssumedVips, assume_vips
from vpplb.resources.allowances import AddressAllowances
from vpplb.resources.base import StatusModel
from vpplb.resources.dataplane_codec import load_dataplane
from vpplb.resources.fields import Count
from vpplb.resources.stored import (
    is_check_understood,
    read_backend,
    read_frontend,
    read_status,
    stand_in_for_backend,
    stand_in_for_frontend,
)
from vpplb.sync.dry_run import DryRun, DryRunResult
from vpplb.sync.ports import ObservedVpp
from vpplb.sync.vip_state import OwnedState

PLANNED_KINDS = (ObjectKind.FRONTEND, ObjectKind.BACKEND, ObjectKind.HEALTH_CHECK)
"""The kinds that a plan needs."""

PlannedObjects = Mapping[tuple[str, ObjectKey], Mapping[str, Any]]
"""Objects by kind and key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPlan:
    """What would be called for the VIPs of `frontends`, which are those that change; notes."""

    result: DryRunResult
    frontends: Mapping[VipId, ObjectKey]
    notes: tuple[str, ...]


def plan_objects(
    there: PlannedObjects,
    edited: PlannedObjects,
    allowed: AddressAllowances,
    *,
    gone: Collection[ObjectKey] = (),
) -> ObjectPlan:
    """Compare what there is with what it would be, with the backends that are `gone` down."""
    programmed = _read_programmed(there)
    table = dict(programmed.values())
    failing = _find_failing(there)
    now = _decide_objects(there, failing, table, allowed)
    then = _decide_objects(edited, {*failing, *gone}, table, allowed)
    changed = sorted(
        key for key in {*now.vips, *then.vips} if now.vips.get(key) != then.vips.get(key)
    )
    before = {key: programmed[key] for key in changed if key in programmed}
    after = {key: then.vips.get(key) for key in changed}
    names = {found[0]: key for one in (before, after) for key, found in one.items() if found}
    return ObjectPlan(
        result=_dry_run(before, after),
        frontends=names,
        notes=tuple(_plan_notes(now, then, failing)),
    )


def _read_programmed(there: PlannedObjects) -> dict[ObjectKey, tuple[VipId, Vip]]:
    found: dict[ObjectKey, tuple[VipId, Vip]] = {}
    for (kind, key), raw in there.items():
        loaded = _read_wanted(raw) if kind == ObjectKind.FRONTEND else None
        if loaded is not None:
            found[key] = loaded[:2]
    return found


def _read_wanted(raw: Mapping[str, Any]) -> tuple[VipId, Vip, str] | None:
    """Read what a Frontend's nodes shall have; None where nothing that can be read is decided."""
    try:
        return load_dataplane(raw.get("status"))
    except ValueError:
        return None


class _ShownHealth(StatusModel):
    """What of a Backend's status says whether it serves: a tenth of the model of it all."""

    state: HealthState = HealthState.UNKNOWN
    """Its state."""
    held: bool | None = None
    """Whether it serves in spite of that."""
    frontends: Count | None = None
    """Number of frontends that reference it."""


def _find_failing(there: PlannedObjects) -> frozenset[ObjectKey]:
    """Return the backends that are probed and do not count as up."""
    failing = set()
    for (kind, key), raw in there.items():
        if kind != ObjectKind.BACKEND:
            continue
        status = read_status(raw, _ShownHealth)
        unproved = status.state is HealthState.UNKNOWN and bool(status.frontends)
        if (status.state is HealthState.DOWN or unproved) and not status.held:
            failing.add(key)
    return frozenset(failing)


def _decide_objects(
    objects: PlannedObjects,
    down: Collection[ObjectKey],
    table: Mapping[VipId, Vip],
    allowed: AddressAllowances,
) -> AssumedVips:
    """Decide on a set, with what stands in for objects that are not understood, as the operator."""
    frontends: dict[ObjectKey, Frontend] = {}
    backends: dict[ObjectKey, Backend] = {}
    checks: set[ObjectKey] = set()
    for (kind, key), raw in objects.items():
        if kind == ObjectKind.FRONTEND:
            frontend = read_frontend(raw, allowed).value or stand_in_for_frontend(raw)
            frontends |= {key: frontend} if frontend else {}
        elif kind == ObjectKind.BACKEND:
            backend = read_backend(raw, allowed).value or stand_in_for_backend(raw, allowed=allowed)
            backends |= {key: backend} if backend else {}
        elif is_check_understood(raw, allowed):
            checks.add(key)
    return assume_vips(frontends, backends, checks, down=down, before=table)


def _dry_run(
    before: Mapping[ObjectKey, tuple[VipId, Vip]],
    after: Mapping[ObjectKey, tuple[VipId, Vip] | None],
) -> DryRunResult:
    owned = {vip: key for key, (vip, _) in before.items()}
    flushed = {
        vip: {address: server.flush_epoch for address, server in found.servers.items()}
        for vip, found in before.values()
    }
    dry_run = DryRun(OwnedState(owned=owned, flushed=flushed))
    for key, wanted in after.items():
        if wanted is not None:
            dry_run.set_desired(key, *wanted, "")
    return dry_run.plan_calls(ObservedVpp(table=dict(before.values())))


def _plan_notes(
    now: AssumedVips, then: AssumedVips, failing: Collection[ObjectKey]
) -> Iterator[str]:
    down = ", ".join(map(str, sorted(failing)[:10])) or "none"
    yield f"backends count as they are now (not up: {down}); new and enabled ones as up"
    for problem in then.problems:
        if problem not in now.problems:
            yield f"new problem: {problem}"
