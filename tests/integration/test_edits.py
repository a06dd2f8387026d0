"""What can be edited while everything runs: docs/semantics.md, "What a change does while running".

A real API server, the operator and the agent as processes, real HTTP servers. A server that
hangs shows what is probed: it holds exactly the one request that is under way, so a check that
was restarted shows as one more connection, and a check that was left alone as none.
"""

import time
from contextlib import ExitStack
from typing import Any

import pytest

from cluster.api import Api
from cluster.edits import EditedService, wait_probed
from cluster.main_job import MainJob
from lab.servers import CountingHttpServer
from lab.waiting import stays, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

QUIET = 0.3
"""Seconds, three intervals, in which nothing has to happen for it to count as "does not happen"."""


@pytest.fixture
def service(job: MainJob, api: Api) -> EditedService:
    """Give the service made anew, all backends up."""
    made = EditedService(job, api)
    made.renew()
    return made


# --- probing goes on undisturbed ------------------------------------------------------------------

FRONTEND_EDITS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "pools": (
        {
            "pools": [
                {"name": "main", "backends": [{"name": "nginx0"}, {"name": "nginx1"}]},
                {"name": "standby", "backends": [{"name": "nginx2"}, {"name": "nginx0"}]},
            ]
        },
        {"lb_as_set_weight"},
    ),
    "description": ({"description": "the shop"}, set()),
    "flushOnDown": ({"flushOnDown": False}, set()),
    "what remakes the VIP": (
        {"flowTableLength": 4096},
        {"lb_add_del_vip_v2", "lb_add_del_as_v2", "lb_as_set_weight"},
    ),
}


@pytest.mark.parametrize("edit", FRONTEND_EDITS)
def test_an_edit_of_a_frontend_leaves_probing_alone(service: EditedService, edit: str) -> None:
    change, calls = FRONTEND_EDITS[edit]
    with service.hanging():
        connections = service.connections()
        service.edit("vfe", "web", change)
        service.wait_programmed()
        stays(service.connections, "connections", seconds=QUIET)
        assert service.connections() == connections
    assert set(service.calls()) <= calls
    assert bool(service.calls()) == bool(calls)
    assert service.history() == ["unknown → up"]


def test_a_weight_is_set_in_vpp_and_leaves_probing_alone(service: EditedService) -> None:
    with service.hanging():
        connections = service.connections()
        weights = [{"name": "nginx0", "weight": 7}, {"name": "nginx1"}, {"name": "nginx2"}]
        service.edit("vfe", "web", {"pools": [{"name": "main", "backends": weights}]})
        service.wait_programmed()
        stays(service.connections, "connections", seconds=QUIET)
        assert service.connections() == connections
    assert service.weights_set() == [("nginx0", 7, False)]
    assert service.history() == ["unknown → up"]


def test_frontends_that_come_and_go_leave_probing_alone_and_one_probe_serves_all(
    service: EditedService,
) -> None:
    with service.hanging():
        connections = service.connections()
        service.add_frontend()
        service.api.delete("vfe", "also")
        service.api.wait("vbe", "nginx0", frontends=1)
        stays(service.connections, "connections", seconds=QUIET)
        assert service.connections() == connections
    assert service.history() == ["unknown → up"]


# --- the check starts anew, and the verdict is held -----------------------------------------------

PROBE_RELEVANT: dict[str, dict[str, Any]] = {
    "interval": {"interval": "150ms"},
    "fastInterval": {"fastInterval": "80ms"},
    "downInterval": {"downInterval": "120ms"},
    "timeout": {"timeout": "40s"},
    "rise": {"rise": 3},
    "fall": {"fall": 3},
    "path": {"http": {"path": "/healthz"}},
    "host": {"http": {"host": "shop.example"}},
    "headers": {"http": {"headers": [{"name": "X-Probe", "value": "yes"}]}},
    "responseCodes": {"http": {"responseCodes": {"min": 200, "max": 299}}},
    "responseRegexp": {"http": {"responseRegexp": "ok"}},
    "method": {"http": {"method": "HEAD", "responseRegexp": None}},
    "probeSource": {"probeSource": {"ipv4": "127.0.0.9"}},
}


def test_each_field_of_a_health_check_restarts_the_check_and_holds_the_verdict(
    service: EditedService,
) -> None:
    server = service.server("nginx0")
    for field, change in PROBE_RELEVANT.items():
        with service.hanging():
            connections = server.connections
            service.edit("vhc", "web", change)
            status = service.wait_state("unknown")
            wait_for(lambda: server.connections > connections, f"{field}: probed anew")  # noqa: B023 (called at once)
            wait_probed(server)
            assert server.connections == connections + 1, f"{field}: one new check"
            assert status["held"], field
        service.wait_state("up")
        assert service.history()[-2:] == ["up → unknown", "unknown → up"], field
        assert service.calls() == [], field
    assert service.job.weights() == dict.fromkeys(service.job.servers, 100)


def test_another_port_or_type_restarts_the_check_and_holds_the_verdict(
    service: EditedService,
) -> None:
    at = [server.address for server in service.job.servers.values()]
    with ExitStack() as stack:
        other = stack.enter_context(CountingHttpServer(address=at[0]))
        for address in at[1:]:
            stack.enter_context(CountingHttpServer(address=address, port=other.port))
        service.edit("vhc", "web", {"port": other.port})
        wait_for(lambda: other.requests.total() > 1, "the other port is probed")
        service.edit("vhc", "web", {"type": "TCP"})
        service.api.wait("vbe", "nginx0", state="up", code="L4OK")
        assert service.history()[1:] == ["up → unknown", "unknown → up"] * 2
        stays(service.connections, "connections to the old port", seconds=QUIET)
        service.edit("vhc", "web", {"type": "ICMP", "port": None})
        service.api.wait("vbe", "nginx0", state="up", code="L3OK")
        assert service.calls() == []


@pytest.mark.parametrize("edit", [{"fall": 50}, {"rise": 50}])
def test_after_an_edit_the_first_result_decides(
    service: EditedService, edit: dict[str, int]
) -> None:
    with service.hanging():
        service.edit("vhc", "web", edit)
        service.wait_state("unknown")
        service.server("nginx0").status = 503
    status = service.wait_state("down")
    assert (status["code"], status["detail"]) == ("L7STS", "503 Service Unavailable")
    service.job.wait_weights({"nginx0": 0, "nginx1": 100, "nginx2": 100})
    assert service.weights_set() == [("nginx0", 0, True)]


def test_an_edit_holds_no_backend_up_that_was_down(service: EditedService) -> None:
    service.server("nginx0").status = 503
    service.wait_state("down")
    with service.hanging("nginx0"):
        service.edit("vhc", "web", {"rise": 1})
        status = service.wait_state("unknown")
        assert not status.get("held")
        assert service.job.weights()["nginx0"] == 0
        service.server("nginx0").status = 200
    service.wait_serving()


def test_another_address_restarts_the_check_and_holds_the_verdict(service: EditedService) -> None:
    old = service.server("nginx0")
    new = CountingHttpServer(address=old.address.rsplit(".", 1)[0] + ".9", port=old.port)
    new.hang = True
    with new, service.hanging("nginx0"):
        service.edit("vbe", "nginx0", {"address": new.address})
        assert service.wait_state("unknown")["held"]
        wait_for(lambda: (old.waiting, new.waiting) == (0, 1), "the new address alone is probed")

        def moved() -> bool:
            seen = service.job.seen_vip()
            assert seen is not None
            assert old.address not in seen.weights
            return seen.weights[new.address] == 100

        wait_for(moved, "the weight moved to the new address")
        old.status = 503  # whatever the old address says, it is not asked any more
        old.hang = new.hang = False
        service.wait_state("up")
        assert service.history() == ["unknown → up", "up → unknown", "unknown → up"]


def test_a_reference_to_another_check_restarts_this_check_alone_and_holds_the_verdict(
    service: EditedService,
) -> None:
    service.api.create(service.check("other", http={"path": "/other"}))
    with service.hanging():
        connections = service.connections()
        service.edit("vbe", "nginx0", {"healthCheckRef": {"name": "other"}})
        assert service.wait_state("unknown")["held"]
        wait_for(lambda: service.server("nginx0").requests["/other"] == 1, "the other check")
        connections["nginx0"] += 1
        assert stays(service.connections, "connections", seconds=QUIET) == connections
    service.wait_state("up")
    assert service.calls() == []


def test_a_reference_to_nothing_and_a_deleted_check_end_probing_and_hold_the_verdict(
    service: EditedService,
) -> None:
    service.edit("vbe", "nginx0", {"healthCheckRef": {"name": "later"}})
    service.api.wait_condition("vbe", "nginx0", "Accepted", "False", "HealthCheckNotFound")
    service.api.delete("vhc", "web")
    for name in service.job.servers:
        assert service.wait_state("unknown", name)["held"]
    stays(service.connections, "connections without a check", seconds=QUIET)
    service.api.create(service.check("later"), service.check("web"))
    for name in service.job.servers:
        service.wait_state("up", name)
    assert service.calls() == []


def test_without_a_check_a_backend_is_up_at_once_and_gets_no_traffic(
    service: EditedService,
) -> None:
    service.server("nginx0").status = 503
    service.wait_state("down")
    service.edit("vbe", "nginx0", {"healthCheckRef": None})
    status = service.wait_state("up")
    assert (status["code"], status["detail"]) == ("L7OK", "no health check")
    service.job.wait_weights({"nginx0": 100})
    stays(lambda: service.server("nginx0").connections, "connections", seconds=QUIET)


# --- nothing happens ------------------------------------------------------------------------------

LABEL = {"metadata": {"labels": {"team": "shop"}}}
NOTE = {"metadata": {"annotations": {"note": "hello"}}}
WITHOUT_EFFECT: list[tuple[str, str, dict[str, Any]]] = [
    *(
        (kind, name, change)
        for kind, name in (("vhc", "web"), ("vbe", "nginx0"), ("vfe", "web"))
        for change in (LABEL, NOTE)
    ),
    ("vhc", "web", {"spec": {"http": {"path": "/"}}}),
    ("vhc", "web", {"spec": {"fastInterval": "100ms"}}),
    ("vhc", "web", {"spec": {"timeout": "30000ms"}}),
    ("vbe", "nginx0", {"spec": {"paused": False, "enabled": None}}),
    ("vfe", "web", {"spec": {"encap": "GRE4"}}),
]


def test_edits_without_effect_change_nothing(service: EditedService) -> None:
    since = stays(lambda: service.conditions("lastTransitionTime"), "conditions", seconds=QUIET)
    with service.hanging():
        connections = service.connections()
        for kind, name, change in WITHOUT_EFFECT:
            service.patch(kind, name, change)
        assert stays(service.connections, "connections", seconds=QUIET) == connections
    assert service.history() == ["unknown → up"]
    assert service.calls() == []
    assert service.conditions("lastTransitionTime") == since
    seen = service.conditions("observedGeneration")
    for kind, name in (("vhc", "web"), ("vbe", "nginx0"), ("vfe", "web")):
        generation = service.api.get(kind, name)["metadata"]["generation"]
        assert {of for at, of in seen.items() if at[:2] == (kind, name)} == {generation}


# --- pause and disable ----------------------------------------------------------------------------


def test_pause_stops_probing_at_once_and_keeps_flows_and_history(service: EditedService) -> None:
    server = service.server("nginx0")
    server.hang = True
    wait_probed(server)
    service.edit("vbe", "nginx0", {"paused": True})
    service.wait_state("paused")
    wait_for(lambda: server.waiting == 0, "the probe under way is given up")
    server.status, server.hang = 503, False
    stays(lambda: server.connections, "connections to a paused backend", seconds=QUIET)
    service.job.wait_weights({"nginx0": 0})
    assert service.weights_set() == [("nginx0", 0, False)]
    assert service.history() == ["unknown → up", "up → paused"]
    assert service.api.condition("vbe", "nginx0", "Healthy")[:2] == ("Unknown", "Paused")


@pytest.mark.parametrize(
    ("take_out", "put_back", "state"),
    [
        pytest.param({"paused": True}, {"paused": False}, "paused", id="resume"),
        pytest.param({"enabled": False}, {"enabled": True}, "disabled", id="enable"),
    ],
)
def test_a_backend_that_is_put_back_starts_afresh_and_must_prove_itself(
    service: EditedService, take_out: dict[str, bool], put_back: dict[str, bool], state: str
) -> None:
    server = service.server("nginx0")
    service.edit("vbe", "nginx0", take_out)
    service.wait_state(state)
    service.job.wait_weights({"nginx0": 0})
    server.hang = True
    service.edit("vbe", "nginx0", put_back)
    status = service.wait_state("unknown")
    wait_probed(server)
    assert not status.get("held")
    assert service.job.weights()["nginx0"] == 0
    server.hang = False
    service.wait_serving()
    assert service.history() == [
        "unknown → up", f"up → {state}", f"{state} → unknown", "unknown → up",
    ]  # fmt: skip


def test_disable_cuts_the_flows_and_pause_and_resume_have_no_effect_until_enabled(
    service: EditedService,
) -> None:
    server = service.server("nginx0")
    service.edit("vbe", "nginx0", {"enabled": False})
    service.wait_state("disabled")
    service.job.wait_weights({"nginx0": 0})
    assert service.weights_set() == [("nginx0", 0, True)]
    for paused in (True, False, True):
        service.edit("vbe", "nginx0", {"paused": paused})
    stays(lambda: server.connections, "connections to a disabled backend", seconds=QUIET)
    assert service.history() == ["unknown → up", "up → disabled"]
    shown = service.api.get("vfe", "web")["status"]["backends"][0]
    assert (shown["name"], shown["state"], shown["effectiveWeight"]) == ("nginx0", "disabled", 0)
    service.edit("vbe", "nginx0", {"enabled": True})  # and still paused
    service.wait_state("paused")
    stays(lambda: server.connections, "connections to a paused backend", seconds=QUIET)


def test_pausing_and_resuming_again_and_again_leaves_one_check(service: EditedService) -> None:
    server = service.server("nginx0")
    for paused in (True, False) * 5:
        service.edit("vbe", "nginx0", {"paused": paused})
    service.wait_serving()
    before = server.requests.total()
    time.sleep(0.8)  # real servers are probed in real time
    assert server.requests.total() - before <= 10, "8 intervals, each at most 10 % short"
    with service.hanging("nginx0"):
        stays(lambda: server.waiting, "probes under way", seconds=QUIET)


# --- no longer referenced, or deleted -------------------------------------------------------------


def pool(*names: str) -> dict[str, Any]:
    return {"pools": [{"name": "main", "backends": [{"name": name} for name in names]}]}


def test_a_backend_is_probed_until_the_last_reference_is_gone_which_is_told_of_it(
    service: EditedService,
) -> None:
    service.add_frontend()
    mark = service.log_mark()
    service.edit("vfe", "web", pool("nginx1", "nginx2"))
    service.api.wait("vbe", "nginx0", frontends=1, state="up")
    assert service.removals(mark) == []
    service.edit("vfe", "also", pool("nginx1", "nginx2"))
    service.api.wait_condition("vbe", "nginx0", "Accepted", "True", "Unreferenced")
    status = service.status()
    assert (status["state"], status.get("held"), status["frontends"]) == ("unknown", None, 0)
    stays(lambda: service.server("nginx0").connections, "connections", seconds=QUIET)
    assert service.removals(mark) == [("nginx0", "also")]

    service.server("nginx0").hang = True
    service.edit("vfe", "web", pool("nginx0", "nginx1"))
    wait_probed(service.server("nginx0"))
    service.job.wait_weights({"nginx0": 0})  # it must prove itself
    service.server("nginx0").hang = False
    service.wait_serving()
    assert service.history() == ["unknown → up", "up → unknown", "unknown → up"]


def test_a_deleted_backend_is_probed_no_more_and_each_frontend_is_told(
    service: EditedService,
) -> None:
    service.add_frontend()
    mark = service.log_mark()
    server = service.server("nginx0")
    with service.hanging("nginx0"):
        server.status = 503
        service.api.delete("vbe", "nginx0")
        for frontend in ("web", "also"):
            service.api.wait_condition("vfe", frontend, "ResolvedRefs", "False", "BackendNotFound")
        wait_for(lambda: server.waiting == 0, "the probe under way is given up")
    stays(lambda: server.connections, "connections to a deleted backend", seconds=QUIET)
    assert sorted(service.removals(mark)) == [("nginx0", "also"), ("nginx0", "web")]
    wait_for(lambda: "nginx0" not in service.job.weights(), "VPP has it no more")
