"""The operator while the API server is slow, throttles, fails, or is away.

What has to hold in each case: probing goes on; and once the server is well again, within ten
seconds, what it has is the truth: the newest of each object, and none is left out.
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from cluster.api import Api
from cluster.api_proxy import ApiProxy, Fault, object_writes, writes
from cluster.control_plane import ControlPlane, fresh_namespace
from cluster.stage import ServiceProcess, electing
from data.manifests import manifest
from data.pages import ROOT, list_blocks
from lab.http_get import http_get
from lab.processes import free_port
from lab.servers import CountingHttpServer
from lab.waiting import stays, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

INTERVAL = 0.1
SERVERS = 6
BACK_AT_WORK = 10.0
"""Seconds in which everything is to be true once the API server is well again."""


class OutageWorld:
    """An operator behind a faulty proxy, with servers, a frontend and their backends."""

    def __init__(
        self, api: Api, proxy: ApiProxy, operator: ServiceProcess, stack: ExitStack
    ) -> None:
        self.api, self.proxy, self.operator = api, proxy, operator
        port = free_port()
        self.servers = [
            stack.enter_context(CountingHttpServer(address=f"127.78.0.{n + 1}", port=port))
            for n in range(SERVERS)
        ]
        interval = f"{round(INTERVAL * 1000)}ms"
        check = {"type": "HTTP", "port": port, "interval": interval, "rise": 1, "fall": 1}
        api.create(
            manifest("HealthCheck", "quick", check, namespace=api.namespace),
            *(
                manifest(
                    "Backend",
                    f"b{n}",
                    {"address": server.address, "healthCheckRef": {"name": "quick"}},
                    namespace=api.namespace,
                )
                for n, server in enumerate(self.servers)
            ),
            manifest(
                "Frontend",
                "web",
                {"address": "192.0.2.200", "port": 80, "pools": self.pools(100)},
                namespace=api.namespace,
            ),
        )

    def pools(self, weight: int) -> list[dict[str, object]]:
        members = [{"name": f"b{n}", "weight": weight} for n in range(SERVERS)]
        return [{"name": "main", "backends": members}]

    def set(self, *up: bool) -> None:
        """Have exactly these servers answer."""
        for server, answers in zip(self.servers, up, strict=True):
            if answers:
                server.start()
            else:
                server.stop()

    @property
    def probes(self) -> list[int]:
        return [server.requests.total() for server in self.servers]

    def shown(self) -> dict[str, object]:
        """Return what the API server has: state by backend, and their effective weights."""
        web = self.api.get("vfe", "web").get("status", {})
        servers = web.get("dataplane", {}).get("servers", ())
        return {
            "states": {
                one["metadata"]["name"]: one.get("status", {}).get("state")
                for one in self.api.all("vbe")
            },
            "weights": {one["name"]: one["effectiveWeight"] for one in web.get("backends", ())},
            "table": {one["address"]: one["weight"] for one in servers},
        }

    def truth(self, weight: int, *up: bool) -> dict[str, object]:
        weights = [weight if answers else 0 for answers in up]
        addresses = [server.address for server in self.servers]
        return {
            "states": {f"b{n}": "up" if answers else "down" for n, answers in enumerate(up)},
            "weights": {f"b{n}": one for n, one in enumerate(weights)},
            "table": dict(zip(addresses, weights, strict=True)),
        }

    def wait_true(self, weight: int, *up: bool, within: float = 30.0) -> None:
        truth = self.truth(weight, *up)

        def is_true() -> bool:
            shown = self.shown()
            assert shown == truth, str(shown)
            return True

        wait_for(is_true, "the statuses are true", timeout=within)

    def says(self, page: str) -> tuple[int, dict[str, Any]]:
        """Return what the operator says of itself."""
        status, text = http_get(f"{self.operator.http}/{page}")
        return status, json.loads(text)


@pytest.fixture(scope="module")
def world(
    control_plane: ControlPlane, proxy: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OutageWorld]:
    directory = tmp_path_factory.mktemp("outage")
    with ExitStack() as stack:
        namespace = stack.enter_context(fresh_namespace(control_plane)).namespace
        faulty = stack.enter_context(ApiProxy(control_plane.operator_kubeconfig, directory))
        operator = ServiceProcess(
            "operator",
            faulty.kubeconfig,
            directory,
            f"--namespace={namespace}",
            *electing(f"outage-{secrets.token_hex(3)}", duration="3s"),
        )
        stack.callback(operator.program.stop)
        api = stack.enter_context(proxy.within(namespace))
        made = OutageWorld(api, faulty, operator, stack)
        operator.wait_ready()
        made.wait_true(100, *[True] * SERVERS)
        yield made


FAULTS: dict[str, tuple[float, Callable[[ApiProxy], AbstractContextManager[None]]]] = {
    "slow": (1.5, lambda proxy: proxy.failing(Fault(delay=0.3))),
    "throttling": (
        1.2,
        lambda proxy: proxy.failing(Fault(status=429, retry_after=1)),
    ),
    "failing": (1.2, lambda proxy: proxy.failing(Fault(status=500))),
    "in conflict": (1.2, lambda proxy: proxy.failing(Fault(status=409), only=writes)),
    "losing its answers": (1.2, lambda proxy: proxy.failing(Fault(lost=True), only=writes)),
    "failing now and then": (1.2, lambda proxy: proxy.failing(Fault(status=503, every=2))),
    "away": (3.3, ApiProxy.away),
    "silent": (2.4, ApiProxy.frozen),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_statuses_come_true_after_the_api_server_was(fault: str, world: OutageWorld) -> None:
    seconds, begin = FAULTS[fault]
    up, down, end = [True] * SERVERS, [False] * SERVERS, [True, False] * (SERVERS // 2)
    world.wait_true(100, *up)
    with begin(world.proxy):
        for answering in (down, up, end):
            world.set(*answering)
            before = world.probes
            stays(lambda: world.operator.program.alive, "it lives", seconds=seconds / 3)
            probed = zip(answering, world.probes, before, strict=True)
            few = seconds / 3 / INTERVAL / 2
            assert all(now - then > few for answers, now, then in probed if answers), "probing"
    world.wait_true(100, *end, within=BACK_AT_WORK)
    assert world.says("healthz")[0] == 200
    world.set(*up)


def test_what_users_did_while_the_api_server_was_away_is_seen_soon_after(
    world: OutageWorld,
) -> None:
    up = [True] * SERVERS
    world.wait_true(100, *up)
    with world.proxy.away():
        world.api.patch("vfe", "web", {"spec": {"pools": world.pools(50)}})
        world.api.patch("vbe", "b0", {"spec": {"paused": True}})
        wait_for(lambda: "lease" in world.says("readyz")[1]["notReady"], "it is not ready")
        assert world.says("readyz")[0] == 503
        [page] = [one for one in list_blocks(ROOT / "docs/operating.md") if one.language == "json"]
        shown = _without_figures(json.loads(page.text))

        def is_as_shown() -> bool:
            said = _without_figures(world.says("readyz")[1])
            if said["notReady"].pop("objects", ""):  # a list was under way
                said["checks"]["objects"] = True
            assert said == shown, said
            return True

        wait_for(is_as_shown, "it says what the page shows")
        probed = world.probes[1]
        wait_for(lambda: world.probes[1] > probed + 5, "probing goes on")
    wait_for(
        lambda: world.shown()["weights"] == {"b0": 0, **{f"b{n}": 50 for n in range(1, SERVERS)}},
        "the newest weights",
        timeout=BACK_AT_WORK,
    )
    wait_for(lambda: world.says("readyz")[0] == 200, "it is ready again")
    world.api.patch("vbe", "b0", {"spec": {"paused": False}})
    world.api.patch("vfe", "web", {"spec": {"pools": world.pools(100)}})
    world.wait_true(100, *up)


def _without_figures(said: Any) -> Any:
    """Return what `/readyz` says without numbers, and without the names of this operator."""
    match said:
        case dict():
            names = {"leader", "run"}
            return {
                name: "" if name in names else _without_figures(value)
                for name, value in said.items()
            }
        case str():
            return re.sub(r"[\d.]+", "N", said.replace("https://", "http://"))
        case bool():
            return said
    return "N"


def test_figures_say_how_it_is(world: OutageWorld) -> None:
    _, said = world.says("readyz")
    figures = said["figures"]
    assert figures["loop_lag_seconds"] < 1
    assert set(figures["watch_age_seconds"]) == {
        "frontends",
        "backends",
        "healthchecks",
        "dataplanes",
    }
    assert max(figures["watch_age_seconds"].values()) < 36
    assert figures["api_last_success_seconds"] < 5
    workers = figures["probe_workers"]
    assert workers["working"] == workers["wanted"] > 0


def test_an_operator_that_is_well_writes_nothing(world: OutageWorld) -> None:
    """Also after all the above: nothing is written again and again."""
    world.wait_true(100, *[True] * SERVERS)
    wait_for(lambda: world.says("readyz")[1]["figures"]["writes_due"] == 0, "all is written")
    quiet = time.monotonic()
    stays(
        lambda: world.proxy.requests(object_writes, since=quiet), "writes of objects", seconds=1.5
    )
