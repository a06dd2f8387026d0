"""A header's value comes from a Secret: read with a right of its own, and shown to nobody."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from cluster.control_plane import SYSTEM_NAMESPACE
from cluster.kubectl import Kubectl
from cluster.main_job import MainJob
from lab.http_get import http_get
from lab.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

TOKEN = "Bearer n3ver-shown"


class Guarded(BaseHTTPRequestHandler):
    """Answers 200 to whoever has the token, else 401."""

    def do_GET(self) -> None:
        self.send_response(200 if self.headers.get("Authorization") == TOKEN else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def guarded() -> Iterator[int]:
    """Give the port of a server that wants the token."""
    server = ThreadingHTTPServer(("127.77.9.1", 0), Guarded)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_header_from_a_secret_needs_its_right_is_sent_and_never_shown(
    job: MainJob, guarded: int
) -> None:
    kubectl = job.kubectl
    header = {
        "name": "Authorization",
        "valueFrom": {"secretKeyRef": {"name": "token", "key": "value"}},
    }
    check = {"type": "HTTP", "port": guarded, "interval": "200ms", "http": {"headers": [header]}}
    backend = {"address": "127.77.9.1", "healthCheckRef": {"name": "guarded"}}
    pools = {"main": ["guarded"]}
    kubectl.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "token"},
                "stringData": {"value": TOKEN},
            },
            job.resource("HealthCheck", "guarded", check),
            job.resource("Backend", "guarded", backend),
            job.frontend("guarded", vip="198.51.100.77", pools=pools),
        ]
    )
    try:
        said = job.wait_condition("vhc/guarded", "Accepted", "False", "SecretNotFound")
        assert "operator.headersFromSecrets" in said
        grant(kubectl)
        kubectl.patch("vhc", "guarded", {"spec": {"interval": "201ms"}})  # it is read at once then
        job.wait_state("guarded", "up")
        job.wait_condition("vhc/guarded", "Accepted", "True", "Accepted")
        shown = http_get(f"{job.stage.operator.http}/api/v1/healthchecks")[1]
        assert "guarded" in shown
        logged = job.stage.operator.program.log.read_text()
        for text in (shown, logged, str(kubectl.list("vhc")), str(kubectl.list("events"))):
            assert "n3ver-shown" not in text
    finally:
        kubectl.delete("vfe", "guarded")
        kubectl.delete("vbe", "guarded")
        kubectl.delete("vhc", "guarded")
        kubectl.delete("secret", "token")
        kubectl.delete("rolebinding", "secrets")
        wait_for(lambda: not job.seen_vip("198.51.100.77"), "the VIP is gone")


def grant(kubectl: Kubectl) -> None:
    """Let the operator read Secrets here, as the chart does where it is asked to."""
    account = f"{SYSTEM_NAMESPACE}:vpplb-operator"
    kubectl("create", "role", "secrets", "--verb=get", "--resource=secrets")
    kubectl("create", "rolebinding", "secrets", "--role=secrets", f"--serviceaccount={account}")
