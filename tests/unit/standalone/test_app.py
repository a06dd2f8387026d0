"""Standalone in one process: from files to VPP and the state file, without probes and sockets."""

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from data.kept_memory import kept_state
from data.manifests import Raw, backend, frontend, health_check, manifest
from data.objects import key, vip
from fakes.load_balancer import FakeLoadBalancer
from fakes.prober import FakeProber
from lab.waiting import eventually
from vpplb.files.findings import BadManifests
from vpplb.files.state_file import name_beside
from vpplb.files.state_lock import StateInUse
from vpplb.model.health import HealthState, HealthTransition
from vpplb.plan.ops import Op
from vpplb.standalone.app import StandaloneApp
from vpplb.standalone.standalone_parts import StandaloneOptions
from vpplb.telemetry.catalog import AGENT_METRICS, OPERATOR_METRICS
from vpplb.telemetry.service_manager import ServiceManager

pytestmark = pytest.mark.looptime

WEB = vip("198.51.100.1/32")
TWO = [{"name": "main", "backends": [{"name": "a"}]}, {"name": "next", "backends": [{"name": "b"}]}]
NOBODY = [{"name": "main", "backends": [{"name": "a"}, {"name": "nobody"}]}]
CHECKED = {"healthCheckRef": {"name": "check"}}
ALL = (
    health_check(),
    backend("a", "10.0.0.1", **CHECKED),
    backend("b", "10.0.0.2", **CHECKED),
    frontend(pools=TWO),
)


class Machine:
    """A machine with files and a VPP, on which standalone runs now and then."""

    def __init__(self, path: Path) -> None:
        self.folder, self.state_file = path / "manifests", path / "state" / "state.json"
        self.lb = FakeLoadBalancer()
        self.transitions: list[HealthTransition] = []
        self.write(*ALL)

    def write(self, *manifests: Raw) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "all.yaml").write_text(yaml.safe_dump_all(manifests))

    @asynccontextmanager
    async def running(self, *up: str, http: str = "") -> AsyncIterator[StandaloneApp]:
        """Run with these backends up, and serve HTTP there."""
        self.prober = FakeProber()
        for name in up:
            self.answer(name, up=True)
        options = StandaloneOptions(
            folder=self.folder,
            vpp_api_socket=Path("/nowhere"),
            state_file=self.state_file,
            http_address=http,
        )
        one = StandaloneApp(options, self.lb, self.prober, self.transitions.append)
        stop = asyncio.Event()
        task = asyncio.create_task(one.run(stop))
        try:
            yield one
        finally:
            stop.set()
            await task

    def answer(self, name: str, *, up: bool) -> None:
        self.prober.answer(key(name), up=up)

    def weights(self) -> list[int]:
        """Return the weights of the VIP in VPP by address; none where it is not there."""
        _, weights = self.lb.rows.get(WEB, (None, {}))
        return [weights[address] for address in sorted(weights, key=int)]

    async def weigh(self, *weights: int) -> None:
        await eventually(lambda: self.weights() == list(weights), f"weights {weights}")

    def status(self, kind: str, name: str) -> Mapping[str, object]:
        """Return a status as the state file has it."""
        try:
            found = json.loads(self.state_file.read_text())[kind][f"default/{name}"]
        except (OSError, KeyError):
            return {}
        assert isinstance(found, dict)
        return found

    def programmed(self) -> object:
        conditions = self.status("Frontend", "web").get("conditions")
        assert conditions is None or isinstance(conditions, list)
        return {one["type"]: one["reason"] for one in conditions or ()}.get("Programmed")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Give a machine with one frontend of two pools."""
    return Machine(tmp_path)


async def test_files_become_vips_and_verdicts_become_weights(machine: Machine) -> None:
    async with machine.running("a", "b"):
        await machine.weigh(100, 0)
        machine.answer("a", up=False)
        await machine.weigh(0, 100)
        machine.answer("a", up=True)
        await machine.weigh(100, 0)
    assert machine.lb.flushes == [(WEB, ip_address("10.0.0.1"))]
    assert [(one.backend.name, one.to_state.value) for one in machine.transitions][-2:] == [
        ("a", "down"),
        ("a", "up"),
    ]


async def test_the_state_file_shows_what_a_cluster_would(machine: Machine) -> None:
    async with machine.running("a", "b"):
        await eventually(lambda: machine.programmed() == "Programmed", "it is programmed")
        web = machine.status("Frontend", "web")
        assert (web["state"], web["activePool"], web["ready"]) == ("up", "main", "2/2")
        assert web["nodes"] == {"desired": 1, "programmed": 1, "summary": "1/1"}
        assert machine.status("Backend", "a")["state"] == "up"
        assert machine.status("HealthCheck", "check")["backends"] == 2


async def test_a_stop_leaves_vpp_as_it_is_and_writes_what_is_due(machine: Machine) -> None:
    async with machine.running("a", "b"):
        await machine.weigh(100, 0)
    assert machine.weights() == [100, 0]
    assert machine.status("Frontend", "web")["state"] == "up"
    assert machine.prober.running == {}


async def test_a_restart_calls_nothing_and_shows_no_transition(machine: Machine) -> None:
    async with machine.running("a", "b"):
        await eventually(lambda: machine.programmed() == "Programmed", "it is programmed")
    machine.lb.ops.clear()
    machine.transitions.clear()
    async with machine.running("a", "b") as again:
        await eventually(lambda: machine.lb.reads == 2, "VPP is read")
        await eventually(lambda: not again.vpp.trouble, "VPP is connected")
        assert [one.resume_up for one in machine.prober.started] == [True, True]
        await eventually(lambda: machine.programmed() == "Programmed", "it is programmed")
    assert machine.lb.ops == []
    assert machine.transitions == []


@pytest.mark.parametrize("lost", [("state.json",), ("state.json", "state.vpp.json")])
async def test_a_lost_state_lowers_nothing_before_there_are_verdicts(
    machine: Machine, lost: tuple[str, ...]
) -> None:
    async with machine.running("a", "b"):
        await machine.weigh(100, 0)
    for name in lost:
        (machine.state_file.parent / name).unlink()
    machine.lb.ops.clear()
    async with machine.running() as again:
        await eventually(lambda: machine.programmed() == "Programmed", "it is programmed")
        machine.answer("b", up=True)  # the spare is first
        await eventually(lambda: again.reconciler.get_health(key("b")).since, "b is up")
        assert machine.weights() == [100, 0]
        machine.answer("a", up=True)
        await eventually(lambda: machine.status("Frontend", "web").get("state") == "up", "up")
        await machine.weigh(100, 0)
    assert machine.lb.ops == []


async def test_what_is_ours_is_known_before_it_is_made(machine: Machine) -> None:
    known: list[object] = []

    def look(_: Op) -> int:
        memory = kept_state(machine.state_file.with_suffix(".vpp.json"))
        known.append(memory and dict(memory.owned))
        return 0

    machine.lb.refuse = look
    async with machine.running("a"):
        await machine.weigh(100, 0)
    assert known[0] == {WEB: key("web")}


async def test_a_flush_is_remembered_while_it_runs(machine: Machine) -> None:
    def flushed() -> bool:
        memory = kept_state(machine.state_file.with_suffix(".vpp.json"))
        return memory is not None and any(memory.flushed.get(WEB, {}).values())

    async with machine.running("a", "b"):
        await machine.weigh(100, 0)
        machine.answer("a", up=False)
        await eventually(flushed, "the flush is on disk")


async def test_a_frontend_that_was_removed_meanwhile_loses_its_vip(machine: Machine) -> None:
    async with machine.running("a"):
        await machine.weigh(100, 0)
    machine.write(*ALL[:-1])
    async with machine.running("a"):
        await eventually(lambda: not machine.lb.rows, "the VIP is gone")
        await eventually(lambda: not machine.status("Frontend", "web"), "its status is gone")


async def test_a_removed_manifest_takes_vip_and_status_with_it(machine: Machine) -> None:
    async with machine.running("a"):
        await machine.weigh(100, 0)
        machine.write(*ALL[:-1])
        await eventually(lambda: not machine.lb.rows, "the VIP is gone")
        await eventually(lambda: not machine.status("Frontend", "web"), "its status is gone")
        shown = machine.status("Backend", "a")
    assert shown["frontends"] == 0


async def test_a_bad_file_changes_nothing_of_what_runs(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    async with machine.running("a"):
        await machine.weigh(100, 0)
        machine.write(backend("a", "nonsense"))
        await eventually(lambda: "are refused" in caplog.text, "the refusal is told")
        assert machine.weights() == [100, 0]
        machine.answer("a", up=False)
        await machine.weigh(0, 0)


async def test_a_restart_while_files_are_refused_goes_on_with_those_taken_last(
    machine: Machine,
) -> None:
    """A mistake that was refused must not become an outage with the next start."""
    async with machine.running("a", "b"):
        await machine.weigh(100, 0)
    machine.lb.ops.clear()
    machine.write(backend("a", "nonsense"))
    async with machine.running("a", "b"):
        await eventually(lambda: machine.lb.reads == 2, "VPP is read")
        assert machine.lb.ops == []
        machine.answer("a", up=False)
        await machine.weigh(0, 100)
        machine.write(*ALL[:-1])
        await eventually(lambda: WEB not in machine.lb.rows, "what is right is taken again")
    machine.write(backend("a", "nonsense"))
    async with machine.running():
        await eventually(lambda: machine.lb.reads == 3, "VPP is read")
        assert WEB not in machine.lb.rows


async def test_bad_manifests_at_the_start_are_the_end(machine: Machine) -> None:
    machine.write(backend("a", "nonsense"))
    with pytest.raises(BadManifests):
        async with machine.running():
            await asyncio.sleep(0.01)


async def test_a_signal_reads_the_files_again(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with machine.running("a"):
        await machine.weigh(100, 0)
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda: "manifests are read again" in caplog.text, "they are read")


async def test_a_service_manager_hears_of_the_start_a_refused_reload_and_the_stop(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setattr("vpplb.telemetry.service_manager.BEAT", 0.01)
    monkeypatch.setattr(ServiceManager, "_send", lambda _, *lines: heard.extend(lines))
    machine.lb.down = True
    async with machine.running("a"):
        await eventually(lambda: heard, "it is ready, without VPP")
        assert heard[0].startswith("STATUS=VPP has 0 of 1 frontends; vpp: ")
        machine.lb.down = False
        await eventually(lambda: heard[-2:][0] == "STATUS=VPP has 1 of 1 frontends", "all is well")
        assert "RELOADING=1" not in heard
        machine.write(backend("a", "nonsense"))
        refused = "STATUS=VPP has 1 of 1 frontends; manifests: the newest are refused, "
        await eventually(lambda: heard[-2:][0].startswith(refused), "the refusal is told")
        assert "RELOADING=1" in heard
    assert heard[-1] == "STOPPING=1"


async def test_what_was_kept_and_makes_no_sense_is_told_where_people_look(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    heard: list[str] = []
    monkeypatch.setattr("vpplb.telemetry.service_manager.BEAT", 0.01)
    monkeypatch.setattr(ServiceManager, "_send", lambda _, *lines: heard.extend(lines))
    machine.state_file.parent.mkdir()
    kept = [machine.state_file.with_suffix(end) for end in (".json", ".changes.json", ".vpp.json")]
    for file in kept:
        file.write_text("{")
    where = f"127.0.0.1:{unused_tcp_port}"
    async with machine.running("a", http=where):
        await eventually(machine.weights, "VPP is programmed")
        async with aiohttp.ClientSession() as client:
            told = await (await client.get(f"http://{where}/readyz")).json()
        await eventually(lambda: ".vpp.json is not used" in heard[-1], "the manager is told")
        status = heard[-1]
    for file, fact in zip(kept, ("states", "changesByHand", "memory"), strict=True):
        assert f"{file} is not used: it is damaged" in told[fact]
        assert f"{file} is not used: it is damaged" in status


async def test_only_what_standalone_does_is_measured_and_what_vpp_lacks_is_counted(
    machine: Machine, unused_tcp_port: int
) -> None:
    where = f"http://127.0.0.1:{unused_tcp_port}/metrics"

    async def read() -> dict[str, float]:
        async with aiohttp.ClientSession() as client, client.get(where) as answer:
            text = await answer.text()
        samples = [one for each in text_string_to_metric_families(text) for one in each.samples]
        return {one.name: one.value for one in samples}

    machine.lb.down = True
    async with machine.running("a", http=f"127.0.0.1:{unused_tcp_port}") as one:
        await eventually(lambda: one.vpp.trouble == "connection refused", "it runs")
        await eventually(lambda: machine.programmed() == "Pending", "the frontend is decided")
        served = await read()
        assert served["vpplb_unprogrammed_frontends"] == 1
        assert served["vpplb_manifests_last_reload_successful"] == 1
        assert not served.keys() & {spec.name for spec in (*OPERATOR_METRICS, *AGENT_METRICS)}
        machine.lb.down = False
        await machine.weigh(100, 0)
        await eventually(lambda: machine.programmed() != "Pending", "it is reported")
        assert (await read())["vpplb_unprogrammed_frontends"] == 0


async def test_a_dataplane_among_the_files_pauses_and_sets_vpp(machine: Machine) -> None:
    settings = manifest("Dataplane", "local", {"paused": True})
    machine.write(*ALL, settings)
    async with machine.running("a") as one:
        await eventually(lambda: not one.vpp.trouble, "VPP is connected")
        await eventually(
            lambda: one.reconciler.get_health(key("a")).state is HealthState.UP, "a is up"
        )
        assert machine.lb.ops == []
        settings["spec"] = {"flowTimeout": "10s"}
        machine.write(*ALL, settings)
        await machine.weigh(100, 0)
        assert machine.lb.conf.flow_timeout == 10


async def test_a_vpp_that_is_away_is_told_and_programmed_once_it_is_back(
    machine: Machine,
) -> None:
    machine.lb.down = True
    async with machine.running("a") as one:
        await eventually(lambda: one.vpp.trouble == "connection refused", "it is told")
        await eventually(lambda: machine.programmed() == "Pending", "nothing is programmed")
        machine.lb.down = False
        await machine.weigh(100, 0)


async def test_a_state_file_that_cannot_be_written_stops_nothing(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.state_file.parent.touch()
    async with machine.running("a"):
        await machine.weigh(100, 0)
        machine.answer("a", up=False)
        await machine.weigh(0, 0)
    assert "the state cannot be written" in caplog.text
    assert "the memory of VPP cannot be written" in caplog.text


async def test_what_is_wrong_with_a_frontend_is_told_once_and_the_others_are_served(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.write(
        *ALL, frontend("zzz", pools=TWO), frontend("ok", address="198.51.100.2", pools=NOBODY)
    )
    async with machine.running("a"):
        await machine.weigh(100, 0)
        await eventually(lambda: len(machine.lb.rows) == 2, "both others are there")
        machine.answer("a", up=False)
        await machine.weigh(0, 0)
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len([text for text in warnings if "is the VIP of Frontend" in text]) == 1
    assert len([text for text in warnings if "there is no Backend default/nobody" in text]) == 1


@pytest.mark.parametrize("suffix", [".json", ".east"])
async def test_a_second_program_with_the_same_state_file_touches_nothing(
    machine: Machine, tmp_path: Path, suffix: str
) -> None:
    """Files that do not have the first one's objects would end its changes by hand."""
    machine.state_file = machine.state_file.with_suffix(suffix)
    paused = {"kind": "Backend", "object": "default/a", "field": "paused", "value": True}
    paused |= {"files": False, "by": "ann", "at": "2026-01-01T00:00:00+00:00"}
    changes = name_beside(machine.state_file, "changes.json")
    changes.parent.mkdir()
    changes.write_text(json.dumps([paused]))
    other = Machine(tmp_path / "other")
    other.write(backend("z", "10.0.0.9"))
    other.state_file = machine.state_file
    async with machine.running("a", "b"):
        await machine.weigh(0, 100)
        with pytest.raises(StateInUse, match="another vpplb runs with the state file"):
            async with other.running():
                await asyncio.sleep(0.2)
        assert json.loads(changes.read_text()) == [paused]
        assert other.lb.reads == 0
    async with other.running():
        await eventually(lambda: other.lb.reads, "it has the file now")


async def test_state_files_that_differ_in_what_follows_the_dot_share_nothing(
    machine: Machine, tmp_path: Path
) -> None:
    other = Machine(tmp_path / "other")
    machine.state_file = machine.state_file.with_suffix(".east")
    other.state_file = machine.state_file.with_suffix(".west")
    async with machine.running("a"), other.running("a"):
        await machine.weigh(100, 0)
        await other.weigh(100, 0)
    names = {file.name for file in machine.state_file.parent.iterdir()}
    every = ("", ".vpp.json", ".manifests.json", ".lock")
    assert names == {f"state.{one}{more}" for one in ("east", "west") for more in every}


async def test_the_node_and_the_shares_of_its_vips_are_shown_as_an_agent_would(
    machine: Machine, unused_tcp_port: int
) -> None:
    base = f"http://127.0.0.1:{unused_tcp_port}/api/v1/dataplanes"
    async with machine.running("a", "b", http=f"127.0.0.1:{unused_tcp_port}"):
        await machine.weigh(100, 0)
        async with aiohttp.ClientSession() as client:
            async with client.get(base) as answer:
                [node] = (await answer.json())["items"]
            async with client.get(f"{base}/local/vips") as answer:
                [vip] = (await answer.json())["vips"]
    assert node["metadata"]["name"] == "local"
    assert node["status"]["vpp"]["connected"] is True
    assert list(node["status"]["programmed"]) == ["default/web"]
    assert vip["frontend"] == "default/web"
    assert [one["buckets"] for one in vip["servers"]] == [vip["flowTableLength"], 0]
