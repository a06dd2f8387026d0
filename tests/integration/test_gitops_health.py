"""What programs make of statuses that apply manifests and wait: Argo CD, and Flux by kstatus."""

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from lupa import lua51

from cluster.binaries import ensure
from data.manifests import backend, frontend, health_check
from data.objects import NOON, key
from data.pages import list_blocks
from in_memory.operator import LocalOperator
from vpplb.model.names import ObjectKind
from vpplb.resources.crd import make_schemas
from vpplb.resources.stale_status import age_status

pytestmark = pytest.mark.looptime

STATUS_PAGE = Path(__file__).parents[2] / "docs" / "status.md"
POOLS = [{"name": name, "backends": [{"name": name}]} for name in "ab"]


class Judged(NamedTuple):
    """The words of both for a Frontend."""

    argo_cd: str
    kstatus: str


WANTED = {
    "nobody has looked at it": Judged("Progressing", "InProgress"),
    "nothing is known yet": Judged("Progressing", "InProgress"),
    "it serves": Judged("Healthy", "Current"),
    "a newer version is not seen yet": Judged("Progressing", "InProgress"),
    "a spare pool serves": Judged("Degraded", "Current"),
    "nothing can serve": Judged("Degraded", "InProgress"),
    "it is not understood": Judged("Degraded", "InProgress"),
    "nobody keeps its status": Judged("Degraded", "InProgress"),
}


class SampleMaker:
    """A Frontend of two pools, as an operator and its API server have it, step by step."""

    def __init__(self, operator: LocalOperator) -> None:
        self._operator = operator
        self.samples: dict[str, Any] = {}

    def keep(self, name: str) -> None:
        self.samples[name] = json.loads(json.dumps(self._stored()))

    def _stored(self) -> dict[str, Any]:
        return self._operator.server.objects[ObjectKind.FRONTEND, key("web")]

    async def make(self) -> None:
        operator = self._operator
        unseen = make_schemas([ObjectKind.FRONTEND])[ObjectKind.FRONTEND]["properties"]["status"]
        operator.store(frontend(pools=POOLS) | {"status": unseen["default"]})
        self.keep("nobody has looked at it")
        check = {"healthCheckRef": {"name": "check"}}
        operator.apply(health_check(), *(backend(name, "10.0.0.1", **check) for name in "ab"))
        operator.see(ObjectKind.FRONTEND, key("web"))
        await operator.settle()
        self.keep("nothing is known yet")
        for name in "ab":
            operator.verdict(name, up=True)
        await self._settle_programmed()
        self.keep("it serves")
        aged = self.samples["it serves"]
        stale = age_status(ObjectKind.FRONTEND, aged["status"], "as of then", NOON)
        self.samples["nobody keeps its status"] = {**aged, "status": stale}
        newer = {**aged, "metadata": {**aged["metadata"], "generation": 2}}
        self.samples["a newer version is not seen yet"] = newer
        operator.verdict("a", up=False)
        await self._settle_programmed()
        self.keep("a spare pool serves")
        operator.verdict("b", up=False)
        await self._settle_programmed()
        self.keep("nothing can serve")
        operator.apply(frontend(port=99999))
        await operator.settle()
        self.keep("it is not understood")

    async def _settle_programmed(self) -> None:
        """Let the one node have what is decided."""
        await self._operator.settle()
        dataplane = self._operator.status(ObjectKind.FRONTEND)["dataplane"]
        assert isinstance(dataplane, dict)
        self._operator.carry("web", revision=str(dataplane["revision"]))
        await self._operator.settle()


@pytest.fixture
async def samples() -> AsyncIterator[dict[str, Any]]:
    operator = LocalOperator()
    operator.reconciler.set_synced(1)
    maker = SampleMaker(operator)
    await maker.make()
    yield maker.samples
    await operator.stop()


def read_script() -> str:
    """Return the script for Argo CD's ConfigMap, as the page has it."""
    [block] = [one for one in list_blocks(STATUS_PAGE) if one.reader == "argo-cd"]
    found = yaml.safe_load(block.text)
    [script] = found.values()
    assert isinstance(script, str)
    return script


def ask_argo_cd(script: str, judged: dict[str, Any]) -> tuple[str, str]:
    """Return state and message, by the Lua that Argo CD has, which is 5.1."""
    runtime = lua51.LuaRuntime()
    runtime.globals().obj = runtime.table_from(judged, recursive=True)
    said = runtime.execute(script)
    return str(said.status), str(said.message)


async def test_argo_cd_shows_each_as_it_is(samples: dict[str, Any]) -> None:
    script = read_script()
    shown = {name: ask_argo_cd(script, one)[0] for name, one in samples.items()}
    assert shown == {name: one.argo_cd for name, one in WANTED.items()}


async def test_argo_cd_shows_an_object_without_a_status(samples: dict[str, Any]) -> None:
    bare = {"metadata": samples["it serves"]["metadata"]}
    state, message = ask_argo_cd(read_script(), bare)
    assert (state, message) == ("Progressing", "nobody has written its status yet")


def ask_kstatus(judged: dict[str, Any]) -> dict[str, str]:
    program = ensure(("kstatus",), print)["kstatus"]
    kind = {"apiVersion": "vpplb.dev/v1alpha1", "kind": "Frontend"}
    text = "\n".join(json.dumps(kind | one) for one in judged.values())
    said = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    return dict(zip(judged, said.stdout.split(), strict=True))


@pytest.mark.slow
@pytest.mark.control_plane
async def test_kstatus_shows_each_as_it_is(samples: dict[str, Any]) -> None:
    assert ask_kstatus(samples) == {name: one.kstatus for name, one in WANTED.items()}
