"""`vpplb ctl` and `vpplb standalone` as the programs that they are, on a VPP in its simulator."""

import json
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.stage import VPPLB
from data.manifests import backend, frontend
from lab.cpu_time import installed_environment, takes_less
from lab.processes import Program
from lab.waiting import wait_for

POOLS = [{"name": "main", "backends": [{"name": "a"}, {"name": "b", "weight": 50}]}]

pytestmark = pytest.mark.slow


class SteeredRouter:
    """A router with two backends that need no check, and its control socket."""

    def __init__(self, folder: Path) -> None:
        manifests, vpp = folder / "manifests", folder / "api.sock"
        manifests.mkdir()
        files = (backend("a", "10.0.0.1"), backend("b", "10.0.0.2"), frontend(pools=POOLS))
        (manifests / "all.yaml").write_text(yaml.safe_dump_all(files))
        self._socket = folder / "control.sock"
        self.vpp = Program(
            [VPPLB, "vpp-simulator", "--api-socket", vpp], log=folder / "simulator.log"
        )
        wait_for(vpp.exists, "the simulator listens")
        flags = [
            f"--vpp-api-socket={vpp}", f"--state-file={folder / 'state.json'}",
            f"--control-socket={self._socket}", "--http-address=",
        ]  # fmt: skip
        self.router = Program([VPPLB, "standalone", manifests, *flags], log=folder / "router.log")

    def ctl(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [VPPLB, "ctl", *arguments],
            env={**installed_environment(), "VPPLB_CONTROL_SOCKET": str(self._socket)},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def read_members(self) -> dict[str, Any]:
        """Return the members of the frontend by backend; none while nobody answers."""
        done = self.ctl("status", "web", "-o", "json")
        return {one["backend"]: one for one in json.loads(done.stdout or "{}").get("members", ())}

    def is_programmed(self) -> bool:
        done = self.ctl("status", "-o", "json")
        return bool(done.stdout) and json.loads(done.stdout)[0]["nodes"] == "1/1"


@pytest.fixture
def steered(tmp_path: Path) -> Iterator[SteeredRouter]:
    router = SteeredRouter(tmp_path)
    try:
        yield router
    finally:
        router.router.stop()
        router.vpp.stop()


def test_each_verb_takes_a_fifth_of_a_second(steered: SteeredRouter) -> None:
    wait_for(steered.is_programmed, "VPP has the frontend")

    def run(*verb: str) -> None:
        done = steered.ctl(*verb)
        assert done.returncode == 0, done.stderr

    for verb in ("status", "status web", "backends", "pause a", "resume a", "weight web main b 9"):
        takes_less(partial(run, *verb.split()), 0.2, f"vpplb ctl {verb}")


def test_a_plan_takes_three_tenths_of_a_second(steered: SteeredRouter) -> None:
    wait_for(steered.is_programmed, "VPP has the frontend")

    def plan() -> None:
        done = steered.ctl("plan", "--down", "a", "-o", "json")
        assert done.returncode == 1, done.stderr
        assert json.loads(done.stdout)["calls"]

    takes_less(plan, 0.3, "vpplb ctl plan --down a")


def test_what_is_changed_by_hand_outlives_a_crash_and_the_socket_too(
    steered: SteeredRouter,
) -> None:
    wait_for(steered.is_programmed, "VPP has the frontend")
    paused = steered.ctl("pause", "a", "--wait")
    assert paused.returncode == 0, paused.stderr
    assert steered.ctl("weight", "web", "main", "b", "5", "--wait").returncode == 0

    steered.router.kill()
    gone = steered.ctl("status")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "does `vpplb standalone` run" in gone.stderr

    steered.router.start()
    wait_for(steered.is_programmed, "VPP has the frontend again")
    members = steered.read_members()
    assert (members["a"]["state"], members["a"]["share"], members["b"]["weight"]) == (
        "paused", 0.0, 5,
    )  # fmt: skip
    assert "a.paused" in steered.ctl("status", "web").stdout
