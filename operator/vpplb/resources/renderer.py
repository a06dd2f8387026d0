"""The status of each object as of now, and what a status tells a program that restarts.

Rendering is asked for when a status is about to be written or shown, so it is always the
newest. The renderer remembers the conditions that it showed last, since the time of a
condition moves only with its status.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from ipaddress import ip_address

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.model.vip import IPAddress
from vpplb.plan.decisions import BackendView, DecidedState, HealthCheckView, UnreadFrontend
from vpplb.plan.desired import FrontendView, Previous
from vpplb.resources.backend import BackendStatus
from vpplb.resources.conditions import Condition
from vpplb.resources.dataplane_codec import load_dataplane
from vpplb.resources.frontend import FrontendStatus
from vpplb.resources.healthcheck import HealthCheckStatus
from vpplb.resources.statuses import (
    NodeReport,
    backend_status,
    frontend_status,
    health_check_status,
    invalid_frontend_status,
)

_SAID = ("conditions", "observedGeneration")
"""What is said of a frontend that is not understood."""

Selector = tuple[tuple[str, str], ...]
NodeReporter = Callable[[ObjectKey, Selector, str], NodeReport]
"""Says how far the given revision of a frontend has got on the nodes of a selector."""


@dataclass(slots=True)
class _Seen:
    """What was seen of an object. `before`: the status it showed, until something is decided."""

    generation: int
    conditions: tuple[Condition, ...]
    before: Mapping[str, object]

    def generation_of(self, view: BackendView | HealthCheckView) -> int:
        """Return the generation of which a view is: of the newest version where that is wrong."""
        return self.generation if view.problems else view.generation


class StatusRenderer:
    """Renders statuses, as JSON's types, of the objects that were `seen`, as they are decided."""

    def __init__(
        self, decided: DecidedState, nodes: NodeReporter, now: Callable[[], datetime]
    ) -> None:
        self._decided = decided
        self._nodes = nodes
        self._now = now
        self._seen: dict[tuple[str, ObjectKey], _Seen] = {}

    def seen(self, kind: str, key: ObjectKey, raw: Mapping[str, object]) -> None:
        """Take note of an object: its generation, and at first sight the status it shows."""
        metadata = raw.get("metadata")
        found = metadata.get("generation") if isinstance(metadata, Mapping) else None
        generation = found if isinstance(found, int) else 0
        known = self._seen.get((kind, key))
        if known is None:
            status = raw.get("status")
            before = status if isinstance(status, Mapping) else {}
            self._seen[kind, key] = _Seen(generation, load_conditions(status), before)
        else:
            known.generation = generation

    def gone(self, kind: str, key: ObjectKey) -> None:
        """Forget an object."""
        self._seen.pop((kind, key), None)

    def render(self, kind: str, key: ObjectKey) -> dict[str, object] | None:
        """Return the whole status of an object; None when it is not there (any more).

        One of which nothing is decided shows what it showed.
        """
        seen = self._seen.get((kind, key))
        if seen is None:
            return None
        decided = self._decided
        status: FrontendStatus | BackendStatus | HealthCheckStatus
        match kind:
            case "Frontend" if view := decided.frontends.get(key):
                if isinstance(view, UnreadFrontend):
                    return self._unread_frontend(view, seen)
                status = self._frontend(key, view, seen)
            case "Backend" if backend := decided.backends.get(key):
                status = backend_status(
                    backend, seen.generation_of(backend), seen.conditions, self._now()
                )
            case "HealthCheck" if check := decided.health_checks.get(key):
                status = health_check_status(
                    check, seen.generation_of(check), seen.conditions, self._now()
                )
            case _:
                return dict(seen.before)
        seen.conditions, seen.before = status.conditions, {}
        return status.dump()

    def _frontend(self, key: ObjectKey, view: FrontendView, seen: _Seen) -> FrontendStatus:
        frontend = view.config.resolved.frontend
        # A newer version may have been seen of which nothing is decided yet.
        generation = seen.generation if view.invalid else frontend.generation
        report = partial(self._nodes, key, frontend.node_selector)
        return frontend_status(view, report, generation, seen.conditions, self._now())

    def _unread_frontend(self, view: UnreadFrontend, seen: _Seen) -> dict[str, object]:
        """Leave in force what was decided before: not understanding it takes nothing away."""
        status = invalid_frontend_status(
            view.problems, seen.generation, seen.conditions, self._now()
        )
        seen.conditions = status.conditions
        said = status.dump()
        return said | {name: value for name, value in seen.before.items() if name not in _SAID}


def load_conditions(status: object) -> tuple[Condition, ...]:
    """Read the conditions that a status shows, the first of each type.

    Those that make no sense are left out.
    """
    shown = status.get("conditions") if isinstance(status, Mapping) else None
    read: dict[str, Condition] = {}
    for entry in shown if isinstance(shown, list | tuple) else ():
        try:
            condition = Condition.model_validate(entry)
        except ValueError:
            continue
        read.setdefault(condition.type, condition)
    return tuple(read.values())


def load_previous(key: ObjectKey, status: object) -> Previous:
    """Read what was decided last from a Frontend's status; nothing where it makes no sense."""
    if not isinstance(status, Mapping):
        return Previous()
    try:
        loaded = load_dataplane(status)
    except ValueError:
        return Previous()
    states: dict[ObjectKey, HealthState] = {}
    addresses: dict[ObjectKey, IPAddress] = {}
    for entry in status.get("backends") or ():
        try:
            member = ObjectKey(key.namespace, entry["name"])
            states[member] = HealthState(entry["state"])
            addresses[member] = ip_address(entry["address"])
        except (ValueError, KeyError, TypeError):
            continue
    return Previous(vip=loaded[1] if loaded else None, states=states, addresses=addresses)
