"""The status of each object as of now.

Rendering is asked for when a status is about to be written or shown, so it is always the newest.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import NodeSelector
from vpplb.plan.decisions import BackendView, DecidedState, HealthCheckView, UnreadFrontend
from vpplb.plan.desired import FrontendView
from vpplb.resources.backend import BackendStatus
from vpplb.resources.conditions import StatusCondition, load_conditions
from vpplb.resources.frontend import FrontendStatus
from vpplb.resources.frontend_conditions import FrontendJudgement
from vpplb.resources.healthcheck import HealthCheckStatus
from vpplb.resources.node_report import NodeReport
from vpplb.resources.statuses import (
    backend_status,
    health_check_status,
    invalid_frontend_status,
    render_frontend,
)
from vpplb.resources.stored_objects import StoredObject, StoredObjects

_SAID = ("problem", "conditions", "observedGeneration")
"""What is said of a frontend that is not understood."""

NodeReporter = Callable[[ObjectKey, NodeSelector, str], NodeReport]
"""Says how far the given revision of a frontend has got on the nodes of a selector."""


class StatusRenderer:
    """Renders statuses, as JSON's types, of the `objects` that there are, as they are decided.

    It remembers the conditions that it rendered last. The time of a condition moves only with its
    status, and what is stored tells it too late: a status is shown, or rendered once more, before
    it is written, and for an hour where the API server is away that long.
    """

    def __init__(
        self,
        objects: StoredObjects,
        decided: DecidedState,
        nodes: NodeReporter,
        now: Callable[[], datetime],
    ) -> None:
        self._objects, self._decided, self._nodes, self._now = objects, decided, nodes, now
        self._shown: dict[tuple[ObjectKind, ObjectKey], tuple[StatusCondition, ...]] = {}
        self.judgements: dict[ObjectKey, FrontendJudgement] = {}
        """How each frontend stood when it was rendered last."""

    def forget_object(self, kind: ObjectKind, key: ObjectKey) -> None:
        self._shown.pop((kind, key), None)
        if kind == ObjectKind.FRONTEND:
            self.judgements.pop(key, None)

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
        status, judged = render_frontend(view, report, generation, shown, self._now())
        self.judgements[key] = judged
        return status


def _generation(view: BackendView | HealthCheckView, stored: StoredObject) -> int:
    """Return the generation of which a view is: of the newest version where that is wrong."""
    return stored.generation if view.problems else view.generation
