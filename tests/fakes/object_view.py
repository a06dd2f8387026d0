"""What a program shows of its objects, as tests want it."""

from collections.abc import Iterable
from datetime import datetime

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.telemetry.object_metrics import BackendSample, FrontendSample

NGINX0 = ObjectKey("shop", "nginx0")
WEB = ObjectKey("shop", "web")


class FakeObjectView:
    """One backend and one frontend, which change as the tests say."""

    def __init__(self) -> None:
        self.states: dict[ObjectKey, HealthState] = {NGINX0: HealthState.UP}
        self.since: datetime | None = None
        self.samples: list[FrontendSample] = [FrontendSample(WEB, "up", [("main", "nginx0", 100)])]

    def iter_backends(self) -> Iterable[BackendSample]:
        return [BackendSample(key, state, self.since) for key, state in self.states.items()]

    def iter_frontends(self) -> Iterable[FrontendSample]:
        return self.samples
