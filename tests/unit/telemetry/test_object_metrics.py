from datetime import UTC, datetime

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


def test_a_backend_says_since_when_it_is_in_its_state() -> None:
    view = FakeObjectView()
    name, labels = (
        "vpplb_backend_last_transition_timestamp_seconds",
        {"namespace": "shop", "backend": "nginx0"},
    )
    assert value(view, name, **labels) is None
    view.since = datetime(2026, 1, 1, tzinfo=UTC)
    assert value(view, name, **labels) == view.since.timestamp()


def test_a_frontend_shows_which_of_its_pools_serves_and_its_place() -> None:
    view, web = FakeObjectView(), {"namespace": "shop", "frontend": "web"}
    [sample] = view.samples
    for active, shown in (("spare", (0, 1)), ("", (0, 0))):
        view.samples = [sample._replace(pools=["main", "spare"], active_pool=active)]
        assert shown == (
            value(view, "vpplb_frontend_pool_active", **web, pool="main", position="1"),
            value(view, "vpplb_frontend_pool_active", **web, pool="spare", position="2"),
        )


def test_the_backends_of_a_frontend_are_counted_in_each_state_none_too() -> None:
    view, web = FakeObjectView(), {"namespace": "shop", "frontend": "web"}
    counts = {HealthState.UP: 2, HealthState.PAUSED: 1}
    view.samples = [view.samples[0]._replace(backends=counts)]
    shown = {
        state: value(view, "vpplb_frontend_backends", **web, state=state.value)
        for state in HealthState
    }
    assert shown == {state: counts.get(state, 0) for state in HealthState}


def test_each_reason_for_which_a_frontend_is_degraded_is_a_series_while_it_lasts() -> None:
    view = FakeObjectView()
    labels = {"namespace": "shop", "frontend": "web"}
    view.samples = [FrontendSample(WEB, "up", [], degraded=["FailedOver", "BackendsDown"])]
    for reason in ("FailedOver", "BackendsDown"):
        assert value(view, "vpplb_frontend_degraded", **labels, reason=reason) == 1
    view.samples = [FrontendSample(WEB, "up", [])]
    assert value(view, "vpplb_frontend_degraded", **labels, reason="FailedOver") is None
