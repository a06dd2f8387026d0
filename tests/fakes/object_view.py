"""What a program shows of its objects, as tests want it."""

from collections.abc import Iterable

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.telemetry.object_metrics import FrontendSample

NGINX0 = ObjectKey("shop", "nginx0")
WEB = ObjectKey("shop", "web")


class FakeObjectView:
    """One backend and one frontend, which change as the tests say."""

    def __init__(self) -> None:
        self.states: dict[ObjectKey, HealthState] = {NGINX0: HealthState.UP}
        self.samples: list[FrontendSample] = [FrontendSample(WEB, "up", [("main", "nginx0", 100)])]

    def iter_backends(self) -> Iterable[tuple[ObjectKey, HealthState]]:
        return self.states.items()

    def iter_frontends(self) -> Iterable[FrontendSample]:
        return self.samples
