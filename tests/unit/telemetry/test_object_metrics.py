from prometheus_client.parser import text_string_to_metric_families

from fakes.object_view import NGINX0, WEB, FakeObjectView
from vpplb.model.health import HealthState
from vpplb.telemetry.object_metrics import FrontendSample, object_series


def value(view: FakeObjectView, name: str, **labels: str) -> float | None:
    families = text_string_to_metric_families("".join(object_series(view)))
    samples = [sample for family in families for sample in family.samples]
    found = [sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)]
    assert len(found) < 2
    return found[0] if found else None


def test_the_state_of_a_backend_is_that_of_now() -> None:
    view = FakeObjectView()
    labels = {"namespace": "shop", "backend": "nginx0"}
    assert value(view, "vpplb_backend_state", **labels, state="up") == 1
    view.states[NGINX0] = HealthState.PAUSED
    assert value(view, "vpplb_backend_state", **labels, state="up") == 0
    assert value(view, "vpplb_backend_state", **labels, state="paused") == 1
    view.states.clear()
    assert value(view, "vpplb_backend_state", **labels, state="paused") is None


def test_a_frontend_shows_its_state_and_its_effective_weights() -> None:
    view = FakeObjectView()
    state = {"namespace": "shop", "frontend": "web"}
    weight = {**state, "pool": "main", "backend": "nginx0"}
    assert value(view, "vpplb_frontend_state", **state, state="up") == 1
    assert value(view, "vpplb_frontend_backend_effective_weight", **weight) == 100
    view.samples = [FrontendSample(WEB, "down", [("main", "nginx0", 0)])]
    assert value(view, "vpplb_frontend_state", **state, state="down") == 1
    assert value(view, "vpplb_frontend_state", **state, state="up") == 0
    assert value(view, "vpplb_frontend_backend_effective_weight", **weight) == 0


def test_the_name_of_a_pool_cannot_break_the_text() -> None:
    view = FakeObjectView()
    pool = 'a"b\\c\nd'
    view.samples = [FrontendSample(WEB, "up", [(pool, "nginx0", 7)])]
    labels = {"namespace": "shop", "frontend": "web", "pool": pool, "backend": "nginx0"}
    assert value(view, "vpplb_frontend_backend_effective_weight", **labels) == 7
