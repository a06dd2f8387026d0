import pytest

from support.manifests import backend, frontend, health_check, manifest
from support.objects import key
from support.operator_bench import OperatorBench
from vpplb.kube.kinds import BACKEND, FRONTEND, HEALTH_CHECK

pytestmark = pytest.mark.looptime


async def test_frontends_are_written_before_the_backends_that_made_them_change(
    operator: OperatorBench,
) -> None:
    operator.apply(health_check(), backend(healthCheckRef={"name": "check"}), frontend())
    await operator.settle()
    operator.server.requests.clear()
    operator.verdict("a", up=True)
    await operator.settle()
    assert [name.name for _, name, _ in operator.server.requests if name.name] == ["web", "a"]


async def test_what_was_deleted_meanwhile_is_neither_written_nor_announced(
    operator: OperatorBench,
) -> None:
    operator.apply(backend(), frontend())
    operator.delete(BACKEND, "a")
    operator.delete(FRONTEND, "web")
    await operator.settle()
    assert operator.server.requests == []


async def test_a_frontend_that_is_made_anew_is_announced_anew(operator: OperatorBench) -> None:
    operator.apply(backend(), frontend())
    await operator.settle()
    operator.delete(FRONTEND, "web")
    await operator.settle()
    operator.events()
    operator.apply(frontend())
    await operator.settle()
    assert [reason for _, reason, _ in operator.events()] == ["FrontendUp", "BackendUp"]


async def test_events_name_the_object_by_its_uid(operator: OperatorBench) -> None:
    operator.apply(backend(), frontend())
    await operator.settle()
    regarding = {event["reason"]: event["regarding"] for event in operator.server.events}
    assert regarding["FrontendUp"] == {
        "apiVersion": "vpplb.dev/v1alpha1",
        "kind": "Frontend",
        "namespace": "default",
        "name": "web",
        "uid": "uid-web",
    }


async def test_a_missing_health_check_is_announced_once_and_again_only_when_it_was_there(
    operator: OperatorBench,
) -> None:
    operator.apply(backend(healthCheckRef={"name": "check"}), frontend())
    await operator.settle()
    assert [reason for _, reason, _ in operator.events()] == ["HealthCheckNotFound"]
    operator.apply(backend(healthCheckRef={"name": "check"}, paused=True))
    await operator.settle()
    assert "HealthCheckNotFound" not in [reason for _, reason, _ in operator.events()]
    again = await operator.restarted()
    assert again.events() == []
    again.apply(health_check())
    await again.settle()
    again.delete(HEALTH_CHECK, "check")
    await again.settle()
    assert [reason for _, reason, _ in again.events()] == ["HealthCheckNotFound"]
    await again.stop()


async def test_a_node_concerns_only_frontends_that_are_there(operator: OperatorBench) -> None:
    status = {"programmed": {"default/gone": "r1"}}
    operator.apply(manifest("Dataplane", "n1", {}))
    operator.apply(manifest("Dataplane", "n1", {}) | {"status": status})
    await operator.settle()
    assert operator.server.requests == []
    assert key("gone") not in operator.reconciler.views
