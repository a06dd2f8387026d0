"""The demonstration, sped up: what it says at its end."""

import asyncio
from pathlib import Path

import pytest
import yaml

from data.manifests import backend, frontend, health_check
from lab.processes import free_port
from vpplb.standalone import demo as module
from vpplb.standalone.demo import FailoverDemo


@pytest.mark.slow
@pytest.mark.parametrize("once", [True, False])
async def test_a_demo_that_runs_on_says_how_to_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, once: bool
) -> None:
    monkeypatch.setattr(module, "WATCH", 0.0)
    check = health_check(type="HTTP", port=free_port(), interval="100ms", timeout="90ms")
    pools = [{"name": "main", "backends": [{"name": "a"}]}]
    objects = (
        check,
        backend("a", "127.0.0.1", healthCheckRef={"name": "check"}),
        frontend(address="192.0.2.10", pools=pools),
    )
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "all.yaml").write_text(yaml.safe_dump_all(objects))
    told: list[str] = []
    stop = asyncio.Event()

    def tell(line: str) -> None:
        told.append(line)
        if line.startswith("*** that was"):
            stop.set()

    await FailoverDemo(folder, tmp_path, None, "", tell).run(stop, once=once)
    # Not the last line: the router goes on while it ends, and what VPP is told is told.
    [said] = [line for line in told if "*** that was the failover" in line]
    assert ("Ctrl-C" in said) is not once
