"""Statuses as a renderer gives them for what a world has decided."""

from data.objects import NOON, backend, frontend, health_check, key, pool
from in_memory.world import World
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import NodeSelector
from vpplb.resources.node_report import NodeReport
from vpplb.resources.renderer import StatusRenderer
from vpplb.standalone.local_statuses import LocalObjects


class RenderedWorld:
    """A renderer on a world, with a clock of its own."""

    def __init__(self) -> None:
        self.world, self.now, self.objects = World(), NOON, LocalObjects()
        self.asked: list[tuple[ObjectKey, NodeSelector, str]] = []
        self.renderer = StatusRenderer(
            self.objects, self.world.decided, self._report, lambda: self.now
        )

    def _report(self, name: ObjectKey, selector: NodeSelector, revision: str) -> NodeReport:
        self.asked.append((name, selector, revision))
        return NodeReport(desired=("n1",), programmed=("n1",), carrying=("n1",))

    def seen(self, kind: ObjectKind, name: str, generation: int = 1, status: object = None) -> None:
        raw = {"metadata": {"name": name, "generation": generation}, "status": status}
        self.objects.put_object(ObjectKind(kind), key(name), raw)

    def render(self, kind: ObjectKind, name: str) -> dict[str, object]:
        rendered = self.renderer.render(ObjectKind(kind), key(name))
        assert rendered is not None
        return rendered

    def condition(self, kind: ObjectKind, name: str, of_type: str) -> dict[str, object]:
        conditions = self.render(kind, name)["conditions"]
        assert isinstance(conditions, list)
        [found] = [one for one in conditions if one["type"] == of_type]
        assert isinstance(found, dict)
        return found


def rendering() -> RenderedWorld:
    """Return a rendered world with all kinds of objects."""
    made = RenderedWorld()
    made.world.put(
        health_check(),
        backend("a", "10.0.0.1"),
        frontend("web", pool("p", a=10), generation=1, node_selector=(("role", "edge"),)),
    )
    made.seen(ObjectKind.FRONTEND, "web")
    made.seen(ObjectKind.BACKEND, "a")
    made.seen(ObjectKind.HEALTH_CHECK, "check")
    return made
