"""Answers that a worker dies of, on real processes: it stays the trouble of one check."""

import os
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from lab.servers import ScriptedServer, answering
from lab.waiting import eventually
from vpplb.model.check import CheckSpec, HttpProbe, ProbeCadence
from vpplb.model.names import ObjectKey
from vpplb.probers.worker_pool import WorkerPool
from vpplb.reconcile.ports import ProbeAssignment

POISON = """
import os, sys
if "vpplb.probers.worker" in sys.orig_argv:
    from vpplb.probers.http import HttpConversation
    received = HttpConversation.on_data
    def dies(self, data):
        if b"poison" in data:
            os.kill(os.getpid(), 9)
        return received(self, data)
    HttpConversation.on_data = dies
"""


def check(name: str, port: int, generation: int) -> ProbeAssignment:
    cadence = ProbeCadence(interval=timedelta(seconds=0.1), rise=1)
    probe = HttpProbe(port=port)
    spec = CheckSpec(address=ip_address("127.0.0.1"), probe=probe, cadence=cadence)
    return ProbeAssignment(backend=ObjectKey("ns", name), generation=generation, spec=spec)


@pytest.mark.slow
async def test_a_check_that_two_workers_died_of_is_put_aside_and_the_others_are_probed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "sitecustomize.py").write_text(POISON)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    up = set[str]()
    pool = WorkerPool(workers=1)
    with (
        ScriptedServer(answering(b"HTTP/1.1 200 poison\r\n\r\n")) as bad,
        ScriptedServer(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as good,
    ):
        await pool.start(lambda verdict: up.add(verdict.backend.name), lambda _: None)
        try:
            pool.assign_checks([check("bad", bad.port, 1), check("good", good.port, 2)])
            await eventually(
                lambda: "1 checks" in (pool.find_trouble() or ""), "put aside", within=20
            )
            before = len(good.peers)
            await eventually(lambda: len(good.peers) > before + 10, "others go on", within=20)
        finally:
            await pool.stop()
    assert (len(bad.peers), up) == (2, {"good"})
    named = "a probing process ended while busy with the check of ns/bad"
    assert [each.getMessage() for each in caplog.records if named in each.getMessage()] == [
        named,
        f"{named}: put aside for 60 s",
    ]
