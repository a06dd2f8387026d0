"""The status of each object as of now, and what a status tells a program that restarts.

Rendering is asked for when a status is about to be written or shown, so it is always the
newest. The renderer remembers the conditions that it showed last, since the time of a
condition moves only with its status.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from ipaddress import ip_address
from typing import Any, Protocol

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.vip import IPAddress, Vip, VipId
from vpplb.plan.decisions import BackendView, DecidedState, HealthCheckView, UnreadFrontend
from vpplb.plan.desired import DecisionContent, FrontendView, PreviousDecision
from vpplb.resources.backend import BackendStatus
from vpplb.resources.conditions import StatusCondition, find_condition
from vpplb.resources.dataplane_codec import load_dataplane, load_order
from vpplb.resources.frontend import FrontendStatus
from vpplb.resources.healthcheck import HealthCheckStatus
from vpplb.resources.statuses import (
    NodeReport,
    backend_status,
    frontend_status,
    health_check_status,
    invalid_frontend_status,
)
from vpplb.resources.stored import decided_selector

_SAID = ("conditions", "observedGeneration")
"""What is said of a frontend that is not understood."""

Selector = tuple[tuple[str, str], ...]
NodeReporter = Callable[[ObjectKey, Selector, str], NodeReport]
"""Says how far the given revision of a frontend has got on the nodes of a selector."""


class StoredObject(Protocol):
    """An object as it is kept: as somebody wrote it, with the status that was written last."""

    @property
    def generation(self) -> int: ...

    @property
    def raw(self) -> Mapping[str, Any]: ...

    @property
    def status(self) -> Mapping[str, object]: ...


class StoredObjects(Protocol):
    """The newest of each object."""

    def get(self, kind: ObjectKind, key: ObjectKey) -> StoredObject | None: ...

    def list_keys(self, kind: ObjectKind) -> list[ObjectKey]: ...


class StatusRenderer:
    """Renders statuses, as JSON's types, of the `objects` that there are, as they are decided."""

    def __init__(
        self,
        objects: StoredObjects,
        decided: DecidedState,
        nodes: NodeReporter,
        now: Callable[[], datetime],
    ) -> None:
        self._objects, self._decided, self._nodes, self._now = objects, decided, nodes, now
        self._shown: dict[tuple[ObjectKind, ObjectKey], tuple[StatusCondition, ...]] = {}

    def forget_object(self, kind: ObjectKind, key: ObjectKey) -> None:
        self._shown.pop((kind, key), None)

    def render(self, kind: ObjectKind, key: ObjectKey) -> dict[str, object] | None:
        """Return the whole status of an object; None when it is not there (any more).

        One of which nothing is decided shows what it showed.
        """
        stored, decided, now = self._objects.get(kind, key), self._decided, self._now()
        if stored is None:
            return None
        shown = self._shown.get((kind, key))
        if shown is None:
            shown = load_conditions(stored.status)
        status: FrontendStatus | BackendStatus | HealthCheckStatus
        kept: dict[str, object] = {}
        match kind:
            case ObjectKind.FRONTEND if view := decided.frontends.get(key):
                if isinstance(view, UnreadFrontend):
                    status = invalid_frontend_status(view.problems, stored.generation, shown, now)
                    # What was decided before stays in force: not understanding it takes nothing.
                    kept = {k: v for k, v in stored.status.items() if k not in _SAID}
                else:
                    status = self._render_frontend(key, view, stored.generation, shown)
            case ObjectKind.BACKEND if backend := decided.backends.get(key):
                status = backend_status(backend, _generation(backend, stored), shown, now)
            case ObjectKind.HEALTH_CHECK if check := decided.health_checks.get(key):
                status = health_check_status(check, _generation(check, stored), shown, now)
            case _:
                return dict(stored.status)
        self._shown[kind, key] = status.conditions
        rendered: dict[str, object] = status.dump_json()
        return rendered | kept

    def _render_frontend(
        self, key: ObjectKey, view: FrontendView, newest: int, shown: tuple[StatusCondition, ...]
    ) -> FrontendStatus:
        frontend = view.config.resolved.frontend
        # A newer version may have been seen of which nothing is decided yet.
        generation = newest if view.invalid else frontend.generation
        report = partial(self._nodes, key, frontend.node_selector)
        return frontend_status(view, report, generation, shown, self._now())


def _generation(view: BackendView | HealthCheckView, stored: StoredObject) -> int:
    """Return the generation of which a view is: of the newest version where that is wrong."""
    return stored.generation if view.problems else view.generation


def load_conditions(status: object) -> tuple[StatusCondition, ...]:
    """Read the conditions that a status shows, the first of each type.

    Those that make no sense are left out.
    """
    shown = status.get("conditions") if isinstance(status, Mapping) else None
    read: dict[str, StatusCondition] = {}
    for entry in shown if isinstance(shown, list | tuple) else ():
        try:
            condition = StatusCondition.model_validate(entry)
        except ValueError:
            continue
        read.setdefault(condition.type, condition)
    return tuple(read.values())


def load_previous(key: ObjectKey, status: object) -> PreviousDecision:
    """Read what was decided last from a Frontend's status; nothing where it makes no sense."""
    if not isinstance(status, Mapping):
        return PreviousDecision()
    try:
        loaded = load_dataplane(status)
    except ValueError:
        return PreviousDecision()
    states: dict[ObjectKey, HealthState] = {}
    addresses: dict[ObjectKey, IPAddress] = {}
    for entry in status.get("backends") or ():
        try:
            member = ObjectKey(key.namespace, entry["name"])
            states[member] = HealthState(entry["state"])
            addresses[member] = ip_address(entry["address"])
        except (ValueError, KeyError, TypeError):
            continue
    return PreviousDecision(
        content=_load_content(status, loaded),
        order=load_order(status),
        states=states,
        addresses=addresses,
    )


def _load_content(
    status: Mapping[str, object], loaded: tuple[VipId, Vip, str] | None
) -> DecisionContent:
    if loaded is None:
        return DecisionContent(withdrawn=is_withdrawn(status))
    selector = decided_selector({"status": status}) or {}
    return DecisionContent(loaded[0], loaded[1], tuple(sorted(selector.items())))


def is_withdrawn(status: object) -> bool:
    """Whether a Frontend's status says that its VIP must not exist: another object has it."""
    if not isinstance(status, Mapping) or status.get("dataplane") is not None:
        return False
    if status.get("withdrawn") is not None:
        return True
    accepted = find_condition(load_conditions(status), "Accepted")
    return accepted is not None and accepted.status == "False" and accepted.reason == "Conflict"
