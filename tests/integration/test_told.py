"""What people are told, and what nobody is told: events, log lines, columns, and no writes."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from cluster.api import Api
from cluster.api_proxy import ApiProxy, writes
from cluster.control_plane import ControlPlane
from cluster.edits import EditedService
from cluster.main_job import main_job
from cluster.stage import NodeStage
from cluster.stage import stage as run_stage
from lab.servers import CountingHttpServer
from lab.waiting import NODE_AT_REST, wait_for
from vpplb.controller.degradation_events import DEGRADATION_EVENTS

OF_DEGRADED = {
    reason.reason for edges in DEGRADATION_EVENTS.values() for reason in (edges.begins, edges.ends)
}
"""Events of the edges of `Degraded`, which come a moment later and have tests of their own."""


class EventEar:
    """Hears the events of a namespace but those of Degraded, as `Type Reason object`, each once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._heard: Counter[str] = Counter()

    def wait(self, *expected: str) -> None:
        """Return when these events, in any order, are all that came since the last call."""

        def as_expected() -> bool:
            events = [one for one in self._api.events() if one["reason"] not in OF_DEGRADED]
            new = Counter(map(short, events)) - self._heard
            assert new == Counter(expected), sorted(new.elements())
            return True

        wait_for(as_expected, f"the events {sorted(expected)}")
        self._heard += Counter(expected)


def short(event: dict[str, Any]) -> str:
    """Write an event as `Type Reason object`."""
    return f"{event['type']} {event['reason']} {event['regarding']['name']}"


pytestmark = [pytest.mark.slow, pytest.mark.control_plane]


@pytest.fixture(scope="module")
def proxies(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, ApiProxy]]:
    """Note every request: of the operator, and of the agent."""
    accounts = {
        "operator": control_plane.operator_kubeconfig,
        "agent": control_plane.agent_kubeconfig,
    }
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(ApiProxy(kubeconfig, tmp_path_factory.mktemp(name)))
            for name, kubeconfig in accounts.items()
        }


@pytest.fixture(scope="module")
def stage(
    control_plane: ControlPlane,
    proxies: dict[str, ApiProxy],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[NodeStage]:
    noted = replace(
        control_plane,
        operator_kubeconfig=proxies["operator"].kubeconfig,
        agent_kubeconfig=proxies["agent"].kubeconfig,
    )
    with run_stage(noted, tmp_path_factory.mktemp("stage")) as running:
        yield running


@pytest.fixture
def service(proxy: Api, stage: NodeStage) -> Iterator[EditedService]:
    """Give the service in a namespace of its own, so that its events are all there are."""
    with main_job(stage) as job, proxy.within(job.kubectl.namespace) as api:
        yield EditedService(job, api)


def test_each_transition_is_one_event_a_frontend_and_one_log_line(service: EditedService) -> None:
    job, api, mark = service.job, service.api, service.log_mark()
    ear, server = EventEar(api), service.server("nginx0")
    service.server("nginx1").hang = True  # so that the first pool is the first to serve
    api.create(
        job.frontend("also", vip="198.51.100.9", pools={"only": ["nginx0"]}),
        job.frontend("web", pools={"main": ["nginx0"], "standby": ["nginx1"]}),
        *job.backends,  # nginx2 is nobody's
        service.check(),
    )
    up = ["Normal BackendUp nginx0"] * 2
    down = ["Warning BackendDown nginx0"] * 2
    failover, lost = "Normal PoolFailover web", "Warning FrontendDown also"
    found = "Normal FrontendUp also"
    ear.wait(*up, "Normal FrontendUp web", found)
    service.server("nginx1").hang = False
    ear.wait("Normal BackendUp nginx1")

    server.status = 503
    ear.wait(*down, failover, lost)
    server.status = 200
    ear.wait(*up, failover, found)
    service.edit("vbe", "nginx0", {"paused": True})
    ear.wait(*["Normal BackendPaused nginx0"] * 2, failover, lost)
    service.edit("vbe", "nginx0", {"paused": False})
    ear.wait(*["Normal BackendResumed nginx0"] * 2, *up, failover, found)
    service.edit("vbe", "nginx0", {"enabled": False})
    ear.wait(*["Normal BackendDisabled nginx0"] * 2, failover, lost)
    service.edit("vbe", "nginx0", {"enabled": True})
    ear.wait(*["Normal BackendEnabled nginx0"] * 2, *up, failover, found)
    service.edit("vhc", "web", {"rise": 3})  # nothing happens to the backends
    ear.wait("Normal BackendUp nginx0", "Normal BackendUp nginx0", "Normal BackendUp nginx1")
    time.sleep(1.0)  # creation times are in whole seconds
    api.create(job.frontend("rival", pools={"main": ["nginx0"]}))
    ear.wait("Warning NotAccepted rival")

    notes = {(short(event), event["note"]) for event in api.events()}
    weight = "effective weight 0 of 100 in pool"
    assert {
        (down[0], f"up → down (L7STS: 503 Service Unavailable) in frontend web: {weight} main"),
        (down[0], f"up → down (L7STS: 503 Service Unavailable) in frontend also: {weight} only"),
        (failover, "from pool main to pool standby"),
        (lost, "no backend can serve"),
        (found, "pool only serves"),
    } <= notes
    assert all(event["reportingController"] == "vpplb.dev/operator" for event in api.events())
    _expect_log(service, mark)


def _expect_log(service: EditedService, mark: int) -> None:
    """Expect a line for each transition of nginx0 and each failover, with its parts as fields."""
    lines = service.log_since(mark)
    seen = [
        (line["from"], line["to"], line["code"])
        for line in lines
        if line.get("backend") == f"{service.api.namespace}/nginx0"
    ]
    assert seen == [
        ("unknown", "up", "L7OK"),
        ("up", "down", "L7STS"),
        ("down", "up", "L7OK"),
        ("up", "paused", ""),
        ("paused", "unknown", ""),
        ("unknown", "up", "L7OK"),
        ("up", "disabled", ""),
        ("disabled", "unknown", ""),
        ("unknown", "up", "L7OK"),
        ("up", "unknown", ""),
        ("unknown", "up", "L7OK"),
    ]
    moves = [(line["frontend"], line["from"], line["to"]) for line in lines if "frontend" in line]
    web, also = (f"{service.api.namespace}/{name}" for name in ("web", "also"))
    there = [(web, "main", "standby"), (also, "only", "")]
    back = [(web, "standby", "main"), (also, "", "only")]
    assert sorted(moves) == sorted(3 * (there + back))
    others = [line["message"] for line in lines if not {"backend", "frontend"} & line.keys()]
    assert others == []


# --- what kubectl shows ---------------------------------------------------------------------------

SHOWN = {
    "vfe": (
        ["VIP", "PROTOCOL", "PORT", "STATE", "POOL", "READY", "NODES", "PROBLEM"],
        ["ENCAP", "ACCEPTED", "PROGRAMMED"],
        {
            "late": "VIP TCP 80 unknown 0/0 0/1 Conflict,NoVerdict Conflict Pending",
            "web": "VIP TCP 80 up main 1/2 1/1 BackendsDown GRE4 Accepted Programmed",
        },
    ),
    "vbe": (
        ["ADDRESS", "CHECK", "STATE", "CODE", "SINCE", "PROBLEM"],
        ["DETAIL", "FRONTENDS", "ACCEPTED"],
        {
            "nginx0": "ADDRESS web up L7OK SINCE 200 OK 2 Accepted",
            "nginx1": "ADDRESS web down L7STS SINCE 503 Service Unavailable 2 Accepted",
            "nginx2": "ADDRESS web paused SINCE 1 Accepted",
        },
    ),
    "vhc": (
        ["TYPE", "PORT", "INTERVAL", "RISE", "FALL", "BACKENDS"],
        ["ACCEPTED"],
        {"web": "HTTP PORT 100ms 2 2 3 Accepted"},
    ),
}
"""By kind: the columns, further ones of `-o wide`, and what they show of each object."""


def test_kubectl_shows_what_matters_in_a_line(service: EditedService) -> None:
    job, api = service.job, service.api
    api.create(service.check(), *job.backends, job.frontend(pools={"main": ["nginx0", "nginx1"]}))
    service.wait_serving("nginx0")
    service.server("nginx1").status = 503
    service.wait_state("down", "nginx1")
    service.wait_programmed()
    time.sleep(1.0)  # creation times are in whole seconds
    api.create(job.frontend("late"))
    api.wait_condition("vfe", "late", "Accepted", "False", "Conflict")
    service.edit("vbe", "nginx2", {"paused": True})

    words = {job.vip: "VIP", str(service.server("nginx0").port): "PORT"}
    words |= {server.address: "ADDRESS" for server in job.servers.values()}
    for kind, (columns, wide, rows) in SHOWN.items():
        header, *_ = job.kubectl("get", kind).splitlines()
        assert header.split() == ["NAME", *columns, "AGE"]
        header, *shown = job.kubectl("get", kind, "-o", "wide").splitlines()
        assert header.split() == ["NAME", *columns, *wide, "AGE"]
        for line in shown:
            name, *fields, _ = line.split()
            text = " ".join(words.get(field, field) for field in fields)
            assert re.sub(r"\b(\d+s|<invalid>)(?= |$)", "SINCE", text) == rows[name]

    def node() -> list[str]:
        header, shown = job.kubectl("get", "vdp", job.stage.node, "-o", "wide").splitlines()
        columns = ["NAME", "VERSION", "CONNECTED", "FRONTENDS", "SYNCED", "OPERATOR"]
        assert header.split() == [*columns, "CHANGED", "RELEASE", "REASON", "AGE"]
        return shown.split()[2:5]

    wait_for(lambda: node() == ["True", "1/1", "True"], "the node has let go of the late one")
    listed = set(job.kubectl("get", "vpplb", "-o", "name").split())
    assert f"dataplane.vpplb.dev/{job.stage.node}" in listed
    assert {one for one in listed if not one.startswith("dataplane.")} == {
        f"{kind}.vpplb.dev/{name}"
        for kind, names in {
            "frontend": ["web", "late"],
            "backend": ["nginx0", "nginx1", "nginx2"],
            "healthcheck": ["web"],
        }.items()
        for name in names
    }


# --- nothing is told ------------------------------------------------------------------------------


def test_while_nothing_changes_nothing_is_written_and_nothing_logged(
    service: EditedService, proxies: dict[str, ApiProxy], stage: NodeStage
) -> None:
    service.renew()
    service.edit("vhc", "web", {"fall": 3})
    for name in service.job.servers:
        service.wait_serving(name)
    service.wait_programmed()
    time.sleep(NODE_AT_REST)  # with it the last events and lines
    begin, flapping = time.monotonic(), service.server("nginx1")
    logs = [each.program.log for each in (stage.operator, stage.agent)]
    sizes = [log.stat().st_size for log in logs]
    probes = flapping.requests.total()
    while time.monotonic() < begin + 6:
        flapping.status = 503  # for one or two probes of the three that it takes
        time.sleep(0.12)
        flapping.status = 200
        time.sleep(0.4)
    assert flapping.requests.total() - probes > 30
    for program, proxy in proxies.items():
        written = proxy.requests(writes, since=begin)
        others = [seen.path for seen in written if "/leases/" not in seen.path]
        assert others == [], program
        assert len(written) <= 12, program
    told = [log.read_bytes()[size:].decode() for log, size in zip(logs, sizes, strict=True)]
    assert told == ["", ""]
    assert service.history("nginx1")[-1] == "unknown → up"


def test_programs_that_come_back_to_what_they_left_write_only_who_is_heard_now(
    service: EditedService, proxies: dict[str, ApiProxy], stage: NodeStage
) -> None:
    def said_of_node() -> dict[str, Any]:
        status = json.loads(service.job.kubectl("get", f"vdp/{stage.node}", "-o=json"))["status"]
        return {name: value for name, value in status.items() if name != "direct"}

    service.renew()
    time.sleep(NODE_AT_REST)
    begin, before = time.monotonic(), said_of_node()
    stage.operator.crash()
    stage.agent.crash()
    probes = service.server("nginx0").requests.total()
    wait_for(lambda: service.server("nginx0").requests.total() > probes + 5, "probes go on")
    for program, proxy in proxies.items():
        written = [seen.path for seen in proxy.requests(writes, since=begin)]
        others = [path for path in written if "/leases/" not in path]
        heard = f"/apis/vpplb.dev/v1alpha1/dataplanes/{stage.node}/status"
        assert others in ([], [heard]) if program == "agent" else not others, program
    assert said_of_node() == before
    assert service.calls() == []


# --- many at once ---------------------------------------------------------------------------------


MANY = 200


def test_a_mass_failure_floods_nobody_with_events_and_delays_no_status(
    service: EditedService, proxies: dict[str, ApiProxy]
) -> None:
    job, api, begin = service.job, service.api, time.monotonic()
    names = [f"many{number:03}" for number in range(MANY)]
    with CountingHttpServer(address="0.0.0.0") as server:
        api.create(
            service.check("many", port=server.port, interval="1s", fall=1),
            *(
                job.resource("Backend", name, _spec(f"127.78.{number // 100}.{number % 100 + 1}"))
                for number, name in enumerate(names)
            ),
            job.frontend("many", pools={"main": names}),
        )
        job.kubectl.wait("vfe/many", f"jsonpath={{.status.ready}}={MANY}/{MANY}")
    failed = time.monotonic()
    job.kubectl.wait("vfe/many", "jsonpath={.status.state}=down")
    wait_for(lambda: {_state(one) for one in api.all("vbe")} == {"down"}, "all down", every=0.2)
    now = time.monotonic()
    assert now - failed < 15, "long before the last event of the failure could be sent"
    events = proxies["operator"].requests(lambda seen: seen.path.endswith("/events"), since=begin)
    assert len(events) <= 101 + 10 * (now - begin), "a burst of 100, then ten a second"
    assert events[0].status == 201
    api.clear()


def _spec(address: str) -> dict[str, Any]:
    return {"address": address, "healthCheckRef": {"name": "many"}}


def _state(backend: dict[str, Any]) -> str:
    return str(backend.get("status", {}).get("state"))
