"""What one run of the operator's mind has decided, as values; and all that is decided at present.

Views are complete: whoever shows an object, or acts on it, asks nobody else about it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from vpplb.model.health import BackendHealth, HealthTransition, ProberAlarm
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.problem import Problem
from vpplb.plan.desired import FrontendView

_View = TypeVar("_View")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadFrontend:
    """A frontend of which no version was ever understood: what is wrong with the newest."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendView:
    """What is decided for a backend.

    `problems` are its own or those of what it refers to, `ignored` its fields that are not known;
    `frontends` reference it, accepted or not; `generation` is that of its version in force.
    """

    health: BackendHealth
    problems: tuple[Problem, ...] = ()
    ignored: tuple[Problem, ...] = ()
    frontends: frozenset[ObjectKey] = frozenset()
    generation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheckView:
    """What is known of a health check: what is wrong with it, and how many backends name it."""

    problems: tuple[Problem, ...] = ()
    ignored: tuple[Problem, ...] = ()
    backends: int = 0
    generation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What came out otherwise than in the run before; None stands for an object that is gone.

    `removals` are backends with a frontend that no longer has them probed. `alarm` says why the
    prober is suspected, None: it is not; it is news where `alarm_changed`.
    """

    frontends: Mapping[ObjectKey, FrontendView | UnreadFrontend | None] = field(
        default_factory=dict
    )
    backends: Mapping[ObjectKey, BackendView | None] = field(default_factory=dict)
    health_checks: Mapping[ObjectKey, HealthCheckView | None] = field(default_factory=dict)
    transitions: tuple[HealthTransition, ...] = ()
    removals: tuple[tuple[ObjectKey, ObjectKey], ...] = ()
    alarm: ProberAlarm | None = None
    alarm_changed: bool = False


class DecidedState:
    """The sum of all decisions: the newest view of each object.

    `begun` is false before the first: until then another program may be at work.
    """

    def __init__(self) -> None:
        self.begun = False
        self.frontends: dict[ObjectKey, FrontendView | UnreadFrontend] = {}
        self.backends: dict[ObjectKey, BackendView] = {}
        self.health_checks: dict[ObjectKey, HealthCheckView] = {}

    def apply_decisions(self, decisions: Decisions) -> None:
        self.begun = True
        _update_views(self.frontends, decisions.frontends)
        _update_views(self.backends, decisions.backends)
        _update_views(self.health_checks, decisions.health_checks)

    def repeat_decisions(self, kind: ObjectKind, key: ObjectKey) -> Decisions:
        """Return what is decided for an object, as if it were news; empty where nothing is."""
        match kind:
            case ObjectKind.FRONTEND if key in self.frontends:
                return Decisions(frontends={key: self.frontends[key]})
            case ObjectKind.BACKEND if key in self.backends:
                return Decisions(backends={key: self.backends[key]})
            case ObjectKind.HEALTH_CHECK if key in self.health_checks:
                return Decisions(health_checks={key: self.health_checks[key]})
            case _:
                return Decisions()

    def views(self) -> list[tuple[ObjectKey, FrontendView]]:
        """Return the frontends on which something is decided."""
        decided = self.frontends.items()
        return [(key, view) for key, view in decided if isinstance(view, FrontendView)]

    def frontends_of(self, backend: ObjectKey) -> frozenset[ObjectKey]:
        """Return the frontends that reference a backend; none for one that is gone."""
        view = self.backends.get(backend)
        return view.frontends if view is not None else frozenset()

    def frontend_view(self, key: ObjectKey) -> FrontendView | None:
        """Return what is decided for a frontend; None where nothing is."""
        view = self.frontends.get(key)
        return view if isinstance(view, FrontendView) else None


def _update_views(state: dict[ObjectKey, _View], news: Mapping[ObjectKey, _View | None]) -> None:
    for key, view in news.items():
        if view is None:
            state.pop(key, None)
        else:
            state[key] = view
