"""What the decisions of a reconciler have told, in order."""

from vpplb.model.health import Alarm, Transition
from vpplb.plan.decisions import Decisions


class ToldDecisions:
    """Remembers decisions: `told` holds (what, name) in the order in which a program acts."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.transitions: list[Transition] = []
        self.alarms: list[Alarm | None] = []

    def note(self, decisions: Decisions) -> None:
        self.told += [("removed", f"{a.name} from {of.name}") for a, of in decisions.removals]
        self.told += [("frontend", key.name) for key in decisions.frontends]
        self.told += [("backend", key.name) for key in decisions.backends]
        self.told += [("healthcheck", key.name) for key in decisions.health_checks]
        self.told += [("transition", one.backend.name) for one in decisions.transitions]
        self.transitions += decisions.transitions
        self.alarms += [decisions.alarm] if decisions.alarm_changed else []

    def take(self) -> list[tuple[str, str]]:
        """Return what was told since the last call."""
        told, self.told = self.told, []
        return told
