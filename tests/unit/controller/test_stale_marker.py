"""What is written into statuses that nobody keeps any more."""

from collections.abc import Mapping

from data.cluster_objects import decided_backend, decided_frontend
from data.objects import NOON, key
from fakes.api_server import FakeApiServer
from fakes.clock import FakeClock
from vpplb.controller.stale_marker import StaleMarker
from vpplb.kube.api_types import ApiError
from vpplb.kube.leases.probing_silence import ProbingSilence
from vpplb.kube.leases.served_scopes import ServedScope
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.backend import load_health
from vpplb.resources.conditions import find_condition, load_conditions
from vpplb.resources.previous_decision import load_previous

LEASE = ObjectKey("kube-system", "vpplb-operator")
SILENCE = ProbingSilence(as_of=NOON, why="op_1 does not renew its lease")
SAID = "as of 2026-01-01T12:00:00Z, nobody has probed since: op_1 does not renew its lease"


def server() -> FakeApiServer:
    made = FakeApiServer()
    for kind, raw in (
        (ObjectKind.FRONTEND, decided_frontend()),
        (ObjectKind.BACKEND, decided_backend("a", "10.0.0.1", "up")),
        (ObjectKind.FRONTEND, {"metadata": {"name": "new", "namespace": "default"}, "spec": {}}),
    ):
        name = key(raw["metadata"]["name"])
        stored = made.add(kind, name, raw.get("status") or {})
        stored["spec"] = raw["spec"]
    return made


async def mark(at: FakeApiServer, silence: ProbingSilence | None = SILENCE) -> int:
    return await StaleMarker(at, FakeClock()).mark_objects(lambda namespace: silence)


def says(status: Mapping[str, object], of_type: str) -> tuple[str, str, str]:
    found = find_condition(load_conditions(status), of_type)
    assert found is not None
    return found.status, found.reason, found.message


async def test_conditions_and_the_column_say_that_nobody_probes_and_as_of_when() -> None:
    at = server()
    assert await mark(at) == 2
    web = at.status(ObjectKind.FRONTEND, key("web"))
    for of_type in ("Available", "Programmed", "Degraded", "Ready"):
        assert says(web, of_type) == ("Unknown", "Stale", SAID)
    assert says(web, "Accepted")[0] == "True"
    assert web["problem"] == f"Stale: {SAID}"
    backend = at.status(ObjectKind.BACKEND, key("a"))
    assert says(backend, "Healthy") == ("Unknown", "Stale", SAID)
    assert at.status(ObjectKind.FRONTEND, key("new")) == {}


async def test_what_the_next_operator_goes_on_from_stays() -> None:
    at, before = server(), server()
    await mark(at)
    resumed = load_health(key("a"), at.status(ObjectKind.BACKEND, key("a")))
    assert resumed.state is HealthState.UP
    after = load_previous(key("web"), at.status(ObjectKind.FRONTEND, key("web")))
    assert after == load_previous(key("web"), before.status(ObjectKind.FRONTEND, key("web")))


async def test_what_says_so_already_is_not_written_again_and_what_is_probed_never() -> None:
    at = server()
    assert await mark(at, None) == 0
    await mark(at)
    at.requests.clear()
    assert await mark(at) == 0
    assert [one for one in at.requests if one[0] != "list"] == []


async def test_what_is_served_no_more_is_marked_and_a_missing_right_harms_nothing() -> None:
    at = server()
    lease = at.add(ObjectKind.LEASE, LEASE, {})
    scope = ServedScope.of_list(["core"])
    lease["metadata"] |= scope.build_patch({"holderIdentity": "op_1"}, None, ())["metadata"]
    at.refuse = lambda name: ApiError(403) if name.namespace != LEASE.namespace else None
    await StaleMarker(at, FakeClock()).mark_unserved(LEASE)
    at.refuse = lambda name: None
    told: list[tuple[ObjectKind, str]] = []
    await StaleMarker(
        at, FakeClock(), lambda kind, raw, said: told.append((kind, said))
    ).mark_unserved(LEASE)
    said = "nobody probes: no operator serves namespace default"
    assert told == [(ObjectKind.FRONTEND, said), (ObjectKind.BACKEND, said)]
    web = at.status(ObjectKind.FRONTEND, key("web"))
    assert says(web, "Ready") == ("Unknown", "Stale", said)
