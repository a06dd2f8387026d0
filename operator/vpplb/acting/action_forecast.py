"""What an action would do to flows, before it is done: the same as `vpplb plan` says."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from vpplb.acting.action_request import ActionRequest, PersonalAction
from vpplb.acting.object_plan import ObjectPlan, PlannedObjects, plan_objects
from vpplb.acting.shown_forecast import list_cut, list_forecasts, show_forecast
from vpplb.acting.spec_edits import DISABLE, ENABLE, PAUSE, RESUME, find_places
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.plan.forecast import VipForecast
from vpplb.plan.render import call_text
from vpplb.resources.addresses import read_address
from vpplb.resources.adjustable import FieldValue, adjust_spec
from vpplb.resources.allowances import AddressAllowances
from vpplb.resources.raw_fields import spec_of

SWITCHES = {
    PersonalAction.PAUSE: PAUSE,
    PersonalAction.RESUME: RESUME,
    PersonalAction.ENABLE: ENABLE,
    PersonalAction.DISABLE: DISABLE,
    PersonalAction.DRAIN: PAUSE,  # its first step
}
"""The switch that an action turns at once."""

_ENDS: Mapping[PersonalAction, Mapping[str, FieldValue]] = {
    **{action: {one.field: one.value} for action, one in SWITCHES.items()},
    PersonalAction.DRAIN: {"enabled": False, "paused": False},
}
"""What a Backend's spec says once all of an action is done."""


def forecast_action(
    there: PlannedObjects,
    request: ActionRequest,
    backends: Sequence[ObjectKey],
    allowed: AddressAllowances,
) -> Mapping[str, object]:
    """Say what the action on these of its backends comes to, in JSON's types."""
    edited = {**there, **dict(_edit_objects(there, request, backends))}
    plan = plan_objects(there, edited, allowed)
    cut, members = list_cut(plan.result.ops), _name_servers(there)
    shown = [_show_frontend(one, plan, cut, members) for one in list_forecasts(plan.result)]
    notes = list(plan.notes[1:])  # the first says what is seen beside it
    if request.action is PersonalAction.DRAIN:
        grace = request.grace.total_seconds()
        notes.append(f"for {grace:g} s they get no new flows and keep theirs; then all is cut")
    return {
        "frontends": shown,
        "notes": notes,
        "calls": [call_text(op) for op in plan.result.ops],
    }


def _edit_objects(
    there: PlannedObjects, request: ActionRequest, backends: Iterable[ObjectKey]
) -> Iterator[tuple[tuple[str, ObjectKey], Mapping[str, Any]]]:
    if request.frontend is None:
        for key in backends:
            name = (ObjectKind.BACKEND, key)
            yield name, _adjust_object(there[name], ObjectKind.BACKEND, _ENDS[request.action])
        return
    name = (ObjectKind.FRONTEND, request.frontend)
    values = {
        f"pools[{place.pool}].backends[{key.name}].weight": request.weight
        for key in backends
        for place in find_places(there[name], key.name, request.pool)
    }
    yield name, _adjust_object(there[name], ObjectKind.FRONTEND, values)


def _adjust_object(
    raw: Mapping[str, Any], kind: ObjectKind, values: Mapping[str, FieldValue]
) -> Mapping[str, Any]:
    return {**raw, "spec": adjust_spec(kind, spec_of(raw), values)}


def _name_servers(there: PlannedObjects) -> dict[tuple[str, str], list[str]]:
    """Return the backends by namespace and address."""
    names: dict[tuple[str, str], list[str]] = {}
    for (kind, key), raw in there.items():
        if kind == ObjectKind.BACKEND:
            with suppress(ValueError):  # as its Accepted says; no server is that
                address = str(read_address(str(spec_of(raw).get("address"))))
                names.setdefault((key.namespace, address), []).append(str(key))
    return names


def _show_frontend(
    one: VipForecast,
    plan: ObjectPlan,
    cut: set[tuple[Any, Any]],
    names: Mapping[tuple[str, str], list[str]],
) -> Mapping[str, object]:
    """Show a frontend's forecast, with the backends of each server, and whose flows are cut."""
    key, shown = plan.frontends[one.vip], show_forecast(one)
    servers = shown["servers"]
    assert isinstance(servers, list)
    for server, address in zip(servers, one.servers, strict=True):
        server["backends"] = names.get((key.namespace, str(address)), [])
        server["cut"] = (one.vip, address) in cut or (one.vip, None) in cut
    return {"frontend": str(key), **shown}
