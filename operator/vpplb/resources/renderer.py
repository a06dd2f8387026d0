"""The status of each object as of now, and what a status tells a program that restarts.

Rendering is asked for when a status is about to be written or shown, so it is always the
newest. The renderer remembers the conditions that it showed last, since the time of a
condition moves only with its status.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from ipaddress import ip_address
from typing import Protocol

from vpplb.model.health import BackendHealth, HealthState
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Backend, HealthCheck
from vpplb.model.problem import Problem
from vpplb.model.vip import IPAddress
from vpplb.plan.desired import FrontendView, Previous
from vpplb.resources.conditions import Condition
from vpplb.resources.dataplane_codec import load_dataplane
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


class Objects(Protocol):
    """The objects and their references (`reconcile.object_store.Store`)."""

    @property
    def backends(self) -> Mapping[ObjectKey, Backend]:
        """All backends that are understood."""
        ...

    @property
    def health_checks(self) -> Mapping[ObjectKey, HealthCheck]:
        """All health checks that are understood."""
        ...

    def frontends_of(self, backend: ObjectKey) -> Collection[ObjectKey]:
        """Return the frontends that reference a backend."""
        ...

    def backends_of(self, health_check: ObjectKey) -> Collection[ObjectKey]:
        """Return the backends that name a health check."""
        ...


class Facts(Protocol):
    """What is decided and known (`reconcile.reconciler.Reconciler`)."""

    @property
    def store(self) -> Objects:
        """The objects."""
        ...

    @property
    def views(self) -> Mapping[ObjectKey, FrontendView]:
        """What is decided for each frontend."""
        ...

    def health(self, backend: ObjectKey) -> BackendHealth:
        """Return the health of a backend."""
        ...

    def problems(self, kind: str, key: ObjectKey) -> tuple[Problem, ...]:
        """Return what is wrong with an object."""
        ...


@dataclass(slots=True)
class _Seen:
    """What was seen of an object.

    `before`: what a Frontend showed first, until something is decided; of others it is not needed.
    """

    generation: int
    conditions: tuple[Condition, ...]
    before: Mapping[str, object]


class StatusRenderer:
    """Renders statuses, as JSON's types, of the objects that were `seen`."""

    def __init__(self, facts: Facts, nodes: NodeReporter, now: Callable[[], datetime]) -> None:
        self._facts = facts
        self._nodes = nodes
        self._now = now
        self._seen: dict[tuple[str, ObjectKey], _Seen] = {}

    def seen(self, kind: str, key: ObjectKey, raw: Mapping[str, object]) -> None:
        """Take note of an object: its generation, and at first sight the conditions it shows."""
        metadata = raw.get("metadata")
        found = metadata.get("generation") if isinstance(metadata, Mapping) else None
        generation = found if isinstance(found, int) else 0
        known = self._seen.get((kind, key))
        if known is None:
            status = raw.get("status")
            before = status if kind == "Frontend" and isinstance(status, Mapping) else {}
            self._seen[kind, key] = _Seen(generation, load_conditions(status), before)
        else:
            known.generation = generation

    def gone(self, kind: str, key: ObjectKey) -> None:
        """Forget an object."""
        self._seen.pop((kind, key), None)

    def render(self, kind: str, key: ObjectKey) -> dict[str, object] | None:
        """Return the whole status of an object; None when it is not there (any more)."""
        seen = self._seen.get((kind, key))
        if seen is None:
            return None
        match kind:
            case "Frontend":
                return self._frontend(key, seen)
            case "Backend":
                return self._backend(key, seen)
            case _:
                return self._health_check(key, seen)

    def _frontend(self, key: ObjectKey, seen: _Seen) -> dict[str, object]:
        view = self._facts.views.get(key)
        if view is None:
            return self._undecided_frontend(key, seen)
        frontend = view.config.resolved.frontend
        # A newer version may have been seen of which nothing is decided yet.
        generation = seen.generation if view.invalid else frontend.generation
        report = partial(self._nodes, key, frontend.node_selector)
        status = frontend_status(view, report, generation, seen.conditions, self._now())
        seen.conditions, seen.before = status.conditions, {}
        return status.dump()

    def _undecided_frontend(self, key: ObjectKey, seen: _Seen) -> dict[str, object]:
        """Leave in force what was decided before: not understanding it takes nothing away."""
        problems = self._facts.problems("Frontend", key)
        if not problems:
            return dict(seen.before)
        status = invalid_frontend_status(problems, seen.generation, seen.conditions, self._now())
        seen.conditions = status.conditions
        said = status.dump()
        return said | {name: value for name, value in seen.before.items() if name not in _SAID}

    def _backend(self, key: ObjectKey, seen: _Seen) -> dict[str, object]:
        understood = self._facts.store.backends.get(key)
        status = backend_status(
            self._facts.health(key),
            problems=self._facts.problems("Backend", key),
            ignored=understood.ignored if understood else (),
            frontends=len(self._facts.store.frontends_of(key)),
            generation=seen.generation,
            shown=seen.conditions,
            now=self._now(),
        )
        seen.conditions = status.conditions
        return status.dump()

    def _health_check(self, key: ObjectKey, seen: _Seen) -> dict[str, object]:
        understood = self._facts.store.health_checks.get(key)
        status = health_check_status(
            problems=self._facts.problems("HealthCheck", key),
            ignored=understood.ignored if understood else (),
            backends=len(self._facts.store.backends_of(key)),
            generation=seen.generation,
            shown=seen.conditions,
            now=self._now(),
        )
        seen.conditions = status.conditions
        return status.dump()


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
