"""The HTTP API of each program answers generated requests as its own OpenAPI document says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import jsonschema
import pytest
import yaml

from cluster.main_job import MainJob
from cluster.stage import VPPLB, SimulatedVpp
from data.manifests import backend, frontend, manifest
from lab.described_api import read, validate, validate_events
from lab.event_reader import EventReader, ReadEvent
from lab.http_get import http_get
from lab.processes import Program, free_port
from lab.waiting import wait_for
from vpplb.files.account_file import hash_password

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
EXAMPLES = 10
"""Requests that are generated for each path beside those that cover its parameters."""


def check_api(base: str, *headers: str) -> None:
    """Send generated requests, good and bad; AssertionError for an answer that is not described.

    Each of them has these headers too.

    The stream of events never ends, so it is left out.
    """
    done = subprocess.run(
        [
            *(SCHEMATHESIS, "run", f"{base}/api/v1/openapi.json", "--exclude-path=/api/v1/events"),
            *(f"--max-examples={EXAMPLES}", "--generation-deterministic", "--no-color"),
            *("--phases=coverage,fuzzing", "--checks=all"),
            *(f"--header={header}" for header in headers),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "generated" in done.stdout, done.stdout


def last_of(reader: EventReader, type: str) -> Any:
    return [one.data for one in reader.events if one.type == type][-1]


class LocalProgram:
    """`vpplb standalone` on a simulated VPP, with two backends that need no check."""

    def __init__(self, folder: Path, stack: ExitStack, *more: str) -> None:
        self._manifests = folder / "manifests"
        self._manifests.mkdir()
        self.write("a", "b")
        vpp = SimulatedVpp(folder)
        stack.callback(vpp.stop)
        self.http = f"http://127.0.0.1:{free_port()}"
        flags = [
            f"--vpp-api-socket={vpp.socket}", f"--state-file={folder / 'state.json'}",
            f"--http-address={urlsplit(self.http).netloc}", "--control-socket=", *more,
        ]  # fmt: skip
        command: list[str | Path] = [VPPLB, "standalone", self._manifests, *flags]
        stack.enter_context(Program(command, log=folder / "standalone.log"))
        wait_for(lambda: read(f"{self.http}/readyz")["ready"], "it is ready")

    def write(self, *members: str) -> None:
        """Have a frontend with these members, of the backends that there are."""
        pools = [{"name": "main", "backends": [{"name": name} for name in members]}]
        written = [backend("a", "10.0.0.1"), backend("b", "10.0.0.2")]
        written += [frontend(pools=pools)] if members else []
        new = self._manifests.with_name("new")
        new.write_text(yaml.safe_dump_all(written))
        new.rename(self._manifests / "all.yaml")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProgram]:
    with ExitStack() as stack:
        yield LocalProgram(tmp_path_factory.mktemp("standalone"), stack)


@pytest.fixture(scope="module")
def acting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProgram]:
    """Run with acting from the dashboard, for alice."""
    folder = tmp_path_factory.mktemp("acting")
    accounts = folder / "accounts"
    accounts.touch(mode=0o600)
    accounts.write_text(f"alice:{hash_password('so secret')}\n")
    with ExitStack() as stack:
        yield LocalProgram(folder, stack, "--http-actions", f"--http-accounts={accounts}")


def send(url: str, body: object, cookie: str = "") -> HTTPResponse:
    headers = {"X-Vpplb-Request": "page", "Content-Type": "application/json", "Cookie": cookie}
    request = Request(url, json.dumps(body).encode(), headers)
    answer = urlopen(request, timeout=30)
    assert isinstance(answer, HTTPResponse)
    return answer


def sign_in(base: str) -> str:
    """Sign alice in; return her cookie."""
    with send(f"{base}/api/v1/session", {"name": "alice", "password": "so secret"}) as answer:
        validate(base, json.loads(answer.read()), "Session")
        return str(answer.headers["Set-Cookie"]).partition(";")[0]


def test_what_people_do_is_answered_and_told_as_the_document_says(acting: LocalProgram) -> None:
    cookie = sign_in(acting.http)
    asked = {"action": "drain", "backends": ["default/a"], "grace": "1s"}
    with EventReader(f"{acting.http}/api/v1/events") as reader:
        for dry_run in (True, False):
            body = {**asked, "dryRun": dry_run}
            validate(acting.http, body, "ActionRequest")
            with send(f"{acting.http}/api/v1/actions", body, cookie) as answer:
                told = json.loads(answer.read())
            validate(acting.http, told, "ActionOutcome")
            assert bool(told.get("frontends")) is dry_run
        wait_for(lambda: "action" in reader.read_types(), "it is told")
    validate_events(acting.http, reader.events)


def test_people_are_answered_as_the_document_says_whatever_they_send(acting: LocalProgram) -> None:
    check_api(acting.http, f"Cookie: {sign_in(acting.http)}")


def test_whoever_did_not_sign_in_is_refused_as_the_document_says(acting: LocalProgram) -> None:
    check_api(acting.http)


def test_standalone_answers_as_its_document_says(local: LocalProgram) -> None:
    check_api(local.http)


def test_standalone_shows_that_it_has_no_others_beside_it(local: LocalProgram) -> None:
    shown = read(f"{local.http}/api/v1/operator")
    validate(local.http, shown, "Operator")
    assert (shown["role"], shown["probing"], shown["standbys"]) == ("alone", True, [])
    assert shown["leader"] == shown["identity"]
    assert shown["decidedAt"] <= shown["now"]


@pytest.mark.parametrize("kind", ["Frontend", "Backend"])
def test_an_object_of_standalone_is_as_the_document_says(local: LocalProgram, kind: str) -> None:
    items = read(f"{local.http}/api/v1/{kind.lower()}s")["items"]
    assert items
    for one in items:
        validate(local.http, one, kind)


def test_each_event_of_standalone_is_as_the_document_says(local: LocalProgram) -> None:
    url = f"{local.http}/api/v1/events"
    with EventReader(url, {"Last-Event-ID": "00000000-7"}) as reader:
        local.write("a")
        wait_for(lambda: "removed" in reader.read_types(), "a member is gone")
        local.write()
        wait_for(lambda: any("deleted" in one.data for one in reader.events), "a frontend is gone")
        local.write("a", "b")
        wait_for(
            lambda: (
                reader.events[-1].type == "frontend" and "deleted" not in reader.events[-1].data
            ),
            "it is back",
        )
    assert reader.events[0].type == "reset", "of another process is nothing known"
    assert {"reset", "removed", "frontend"} <= reader.read_types()
    validate_events(local.http, reader.events)


@pytest.fixture(scope="module")
def running(job: MainJob) -> MainJob:
    job.deploy(job.frontend())
    return job


def test_the_operator_shows_that_it_leads(running: MainJob) -> None:
    http = running.stage.operator.http
    shown = read(f"{http}/api/v1/operator")
    validate(http, shown, "Operator")
    assert (shown["role"], shown["probing"], shown["silentSince"]) == ("leading", True, None)
    assert shown["leader"] == shown["identity"]
    assert shown["trouble"] == ""


@pytest.mark.parametrize("program", ["operator", "agent"])
def test_a_program_answers_as_its_document_says(running: MainJob, program: str) -> None:
    check_api(getattr(running.stage, program).http)


@pytest.mark.parametrize("kind", ["Frontend", "Backend", "HealthCheck", "Dataplane"])
def test_an_object_is_as_the_document_says(running: MainJob, kind: str) -> None:
    base = running.stage.operator.http
    items = read(f"{base}/api/v1/{kind.lower()}s")["items"]
    assert items
    for one in items:
        assert one["status"]["conditions"]
        validate(base, one, kind)
        names = "/".join(filter(None, (one["metadata"].get("namespace"), one["metadata"]["name"])))
        assert read(f"{base}/api/v1/{kind.lower()}s/{names}")["spec"] == one["spec"]


@pytest.mark.parametrize("program", ["operator", "agent"])
def test_the_vips_of_a_node_are_as_the_document_says(running: MainJob, program: str) -> None:
    base = getattr(running.stage, program).http
    path = f"{base}/api/v1/dataplanes/{running.stage.node}/vips"
    found = read(path)
    assert found["vips"]
    validate(base, found, "NodeVips")
    [web] = read(f"{path}?frontend={running.kubectl.namespace}/web")["vips"]
    assert sum(one["buckets"] for one in web["servers"]) == web["flowTableLength"]


def test_the_probes_of_a_frontend_are_as_the_document_says(running: MainJob) -> None:
    base = running.stage.operator.http
    url = f"{base}/api/v1/probes?frontend={running.kubectl.namespace}/web"
    first = read(url)
    assert all(one["probed"] for one in first["items"])
    wait_for(lambda: all(one["probes"] for one in read(url)["items"]), "each has a probe")
    found = read(url)
    validate(base, found, "ProbeHistories")
    assert read(f"{url}&after={found['last']}")["last"] >= found["last"]


def test_the_vips_of_a_node_are_unknown_without_its_agent_and_of_no_node_there_are_none(
    running: MainJob,
) -> None:
    base = f"{running.stage.operator.http}/api/v1/dataplanes"
    running.kubectl.apply([manifest("Dataplane", "moon", {})])
    wait_for(lambda: http_get(f"{base}/moon")[0] == 200, "the operator knows the node")
    status, text = http_get(f"{base}/moon/vips")
    why = "the agent of moon is not connected to this operator"
    assert (status, json.loads(text)["error"]) == (503, why)
    running.kubectl.delete("vdp", "moon")
    wait_for(lambda: http_get(f"{base}/moon/vips")[0] == 404, "the node is gone")


def test_each_event_of_the_operator_is_as_the_document_says(running: MainJob) -> None:
    base = running.stage.operator.http
    running.kubectl.apply(running.frontend(pools={"main": ["nginx0"], "spare": ["nginx1"]}))
    running.wait_weights({"nginx0": 100, "nginx1": 0})
    with EventReader(f"{base}/api/v1/events") as reader:
        for state, paused in (("paused", True), ("up", False)):
            patch = [{"op": "add", "path": "/spec/paused", "value": paused}]
            running.kubectl.patch("vbe", "nginx0", patch)
            running.wait_state("nginx0", state)
        wanted = {"transition", "frontend", "backend", "failover"}
        wait_for(lambda: wanted <= reader.read_types(), "each kind of event")
    went = [one.data for one in reader.events if one.type == "transition"]
    name = f"{running.kubectl.namespace}/nginx0"
    steps = [(one["from"], one["to"]) for one in went if one["backend"] == name]
    assert steps == [("up", "paused"), ("paused", "unknown"), ("unknown", "up")]
    fallen = [(one.data["from"], one.data["to"]) for one in reader.events if one.type == "failover"]
    assert fallen[:1] == [("main", "spare")]
    validate_events(base, reader.events)


def test_what_is_no_event_of_the_document_is_found(running: MainJob) -> None:
    told = {"backend": "default/a", "from": "up", "to": "down", "at": "now"}
    with pytest.raises(jsonschema.ValidationError, match="'code' is a required property"):
        validate_events(running.stage.operator.http, [ReadEvent("1", "transition", told)])
