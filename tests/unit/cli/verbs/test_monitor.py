"""`kubectl vpplb monitor`: the frontends of a cluster, probed from here."""

import json
from collections.abc import Iterator

import pytest

from data.manifests import manifest
from fakes.user_client import FakeUserClient
from in_memory.plugin import call
from lab.servers import CountingHttpServer
from vpplb.model.names import ObjectKind

SHORT = ("--interval", "20ms", "--for", "200ms", "-o", "json")


@pytest.fixture
def server() -> Iterator[CountingHttpServer]:
    with CountingHttpServer() as running:
        yield running


def cluster(port: int) -> FakeUserClient:
    """Make a cluster with a frontend that is asked by its backends' check, and another."""
    place = {"namespace": "default"}
    pools = [{"name": "main", "backends": [{"name": "a"}]}]
    web = {"address": "127.0.0.1", "port": port, "pools": pools}
    check = {"type": "HTTP", "port": port, "http": {"path": "/healthz"}}
    address = {"address": "192.0.2.1", "healthCheckRef": {"name": "check"}}
    return FakeUserClient(
        (ObjectKind.FRONTEND, manifest("Frontend", "web", web, **place)),
        (
            ObjectKind.FRONTEND,
            manifest("Frontend", "dns", {**web, "port": 53, "protocol": "UDP"}, **place),
        ),
        (ObjectKind.BACKEND, manifest("Backend", "a", address, **place)),
        (ObjectKind.HEALTH_CHECK, manifest("HealthCheck", "check", check, **place)),
    )


@pytest.mark.slow
def test_frontends_are_asked_as_their_check_asks(server: CountingHttpServer) -> None:
    result = call(cluster(server.port), "monitor", *SHORT)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout.splitlines()[-1])
    assert (summary["vip"], summary["asked"]) == ("default/web", "HTTP GET /healthz")
    assert summary["passed"] == summary["probes"] > 0
    assert "note: not probed: default/dns" in result.stderr
    assert server.requests["/healthz"] >= summary["probes"]


@pytest.mark.slow
def test_one_that_is_named_is_probed_alone(server: CountingHttpServer) -> None:
    result = call(cluster(server.port), "monitor", "web", *SHORT)
    assert result.exit_code == 0
    assert "dns" not in result.stderr


def test_one_that_is_not_there_is_said_with_what_there_is() -> None:
    result = call(cluster(80), "monitor", "wbe")
    assert result.exit_code == 1
    assert "there is no Frontend wbe in namespace default; did you mean web?" in result.stderr


def test_nothing_to_probe_is_no_success() -> None:
    result = call(FakeUserClient(), "monitor")
    assert result.exit_code == 1
    assert "there is no VIP to probe" in result.stderr
