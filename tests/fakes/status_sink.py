"""A sink that remembers what it was told, in order."""

from vpplb.model.health import Transition
from vpplb.model.names import ObjectKey
from vpplb.plan.guard import Alarm


class FakeStatusSink:
    """Implements `reconcile.ports.StatusSink`: `told` holds (what, name) in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.transitions: list[Transition] = []
        self.alarms: list[Alarm | None] = []

    def backend_changed(self, key: ObjectKey) -> None:
        self.told.append(("backend", key.name))

    def frontend_changed(self, key: ObjectKey) -> None:
        self.told.append(("frontend", key.name))

    def health_check_changed(self, key: ObjectKey) -> None:
        self.told.append(("healthcheck", key.name))

    def transition(self, transition: Transition) -> None:
        self.told.append(("transition", transition.backend.name))
        self.transitions.append(transition)

    def removed(self, backend: ObjectKey, frontend: ObjectKey) -> None:
        self.told.append(("removed", f"{backend.name} from {frontend.name}"))

    def prober_suspected(self, alarm: Alarm | None) -> None:
        self.alarms.append(alarm)

    def take(self) -> list[tuple[str, str]]:
        """Return what was told since the last call."""
        told, self.told = self.told, []
        return told
