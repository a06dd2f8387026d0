"""Runs against servers on loopback."""

import asyncio
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from lab.http_get import http_get
from lab.servers import CountingHttpServer, ScriptedServer, answering, black_hole, resetting
from lab.waiting import eventually
from vpplb.model.check import CheckSpec, HttpProbe, ProbeCadence, TcpProbe
from vpplb.monitor.monitor_run import MonitorRun
from vpplb.monitor.seen_vip import FailureKind, SeenVip
from vpplb.monitor.served_by import ServerNaming
from vpplb.monitor.targets import MonitorTarget, ProbePace

pytestmark = pytest.mark.slow

FAST = ProbePace(interval=0.01, timeout=2.0)


def target(port: int, *, http: bool = True) -> MonitorTarget:
    probe = HttpProbe(port=port) if http else TcpProbe(port=port)
    spec = CheckSpec(address=ip_address("127.0.0.1"), probe=probe, cadence=ProbeCadence())
    return MonitorTarget(name=f"port {port}", spec=spec)


async def measure(
    one: MonitorTarget,
    pace: ProbePace = FAST,
    *,
    probes: int = 20,
    name: ServerNaming | None = None,
) -> SeenVip:
    """Probe until so many probes have ended, and those in flight as well."""
    run = MonitorRun([one], pace, name)
    async with run:
        await eventually(lambda: run.records[0].whole.probes >= probes, f"{probes} probes")
        await run.finish_probes()
    return run.records[0]


async def test_each_probe_is_a_connection_of_its_own_from_another_port() -> None:
    with ScriptedServer(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as server:
        record = await measure(target(server.port), probes=50)
    assert record.whole.failed == 0
    assert len(set(server.ports)) == len(server.ports) >= 50


async def test_a_server_that_answers_is_timed_and_named() -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-Served-By: web-1\r\n\r\n"
    with ScriptedServer(answering(answer)) as server:
        record = await measure(target(server.port), name=ServerNaming(header="X-Served-By"))
    assert record.whole.servers == {"web-1": record.whole.passed}
    (p50,) = record.whole.latencies.find_quantiles((0.5,))
    assert p50 is not None
    assert 0 < p50 < 1


async def test_what_resets_what_refuses_and_what_is_wrong_are_told_apart() -> None:
    with ScriptedServer(resetting) as server:
        assert (await measure(target(server.port))).whole.failures.keys() == {"reset"}
    assert (await measure(target(server.port))).whole.failures.keys() == {"refused"}
    with CountingHttpServer() as wrong:
        wrong.status = 503
        record = await measure(target(wrong.port))
    assert record.whole.failures.keys() == {"unexpected"}
    assert record.spells.find_present() is not None


async def test_a_hole_is_a_timeout_and_the_turns_meanwhile_are_skipped_and_counted() -> None:
    with black_hole() as port:
        record = await measure(target(port, http=False), ProbePace(timeout=0.55), probes=2)
    assert record.whole.failures == {"timeout": 2}
    assert record.whole.skipped + record.whole.late >= 8
    assert record.whole.latencies.count == 0


async def test_with_more_in_flight_no_turn_is_skipped() -> None:
    with black_hole() as port:
        pace = ProbePace(timeout=0.55, in_flight=20)
        record = await measure(target(port, http=False), pace, probes=8)
    assert record.whole.skipped == 0
    assert record.whole.failures[FailureKind.TIMEOUT] >= 8


async def test_never_more_than_one_probe_of_a_vip_is_in_flight() -> None:
    with CountingHttpServer() as server:
        server.hang = True
        async with MonitorRun([target(server.port)], FAST) as run:
            await eventually(lambda: run.records[0].whole.skipped > 20, "skipped turns")
            assert server.connections == 1
            server.hang = False
            await eventually(lambda: run.records[0].whole.passed > 3, "answers")
        # What was slow once was slow for all who came meanwhile.
        assert run.records[0].whole.latencies.count > 20


async def test_a_monitor_that_stood_still_counts_what_it_missed_and_makes_up_for_nothing() -> None:
    with CountingHttpServer() as server:
        async with MonitorRun([target(server.port)], FAST) as run:
            record = run.records[0]
            await eventually(lambda: record.whole.passed > 3, "answers")
            before, began = record.whole.passed, time.monotonic()
            time.sleep(0.5)  # noqa: ASYNC251 (as a laptop that sleeps: the loop does not run)
            await asyncio.sleep(0.05)
            assert record.whole.late >= 45
            due = (time.monotonic() - began - 0.5) / FAST.interval
            assert record.whole.passed - before <= due + 3
            assert record.whole.failed == 0, "the monitor's own sleep is no failure of the VIP"


async def test_a_probe_that_the_monitor_itself_slept_through_is_no_timeout() -> None:
    with CountingHttpServer() as server:
        server.hang = True
        pace = ProbePace(interval=0.01, timeout=0.1)
        async with MonitorRun([target(server.port)], pace) as run:
            await eventually(lambda: server.waiting, "a probe in flight")
            time.sleep(0.4)  # noqa: ASYNC251 (the loop stands still for longer than the timeout)
            whole = run.records[0].whole
            await eventually(lambda: whole.unmeasured["cpu"], "a probe without a result")
            assert whole.failed == 0


@contextmanager
def few_descriptors() -> Iterator[None]:
    """Leave this process no descriptor for a socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_lack_of_descriptors_is_the_monitors_and_no_failure_of_the_vip() -> None:
    with CountingHttpServer() as server:
        http_get(f"http://127.0.0.1:{server.port}/")  # it has the descriptors that it needs
        async with MonitorRun([target(server.port)], FAST) as run:
            whole = run.records[0].whole
            with few_descriptors():
                await eventually(lambda: whole.unmeasured["descriptors"] > 2, "probes not made")
            assert (whole.failed, whole.passed) == (0, 0)
            await eventually(lambda: whole.passed > 2, "probes again")


async def test_an_end_waits_for_no_more_than_a_timeout() -> None:
    with black_hole() as port:
        pace = ProbePace(timeout=0.3, in_flight=4)
        async with MonitorRun([target(port, http=False)], pace) as run:
            await asyncio.sleep(0.1)
            async with asyncio.timeout(5.0):
                await run.finish_probes()
            ended = run.records[0].whole.probes
            await asyncio.sleep(0.3)
            assert run.records[0].whole.probes == ended, "none began after the end"


async def test_an_interrupted_run_counts_nothing_of_what_was_in_flight() -> None:
    with black_hole() as port:
        async with MonitorRun([target(port, http=False)], FAST) as run:
            await eventually(lambda: run.records[0].whole.skipped > 3, "a probe in flight")
        assert run.records[0].whole.probes == 0


async def test_a_failover_is_a_spell_as_long_as_it_was() -> None:
    with CountingHttpServer() as server:
        async with MonitorRun([target(server.port)], FAST) as run:
            record = run.records[0]
            await eventually(lambda: record.whole.passed > 5, "answers")
            server.stop()
            stopped = time.monotonic()
            await asyncio.sleep(0.5)
            server.start()
            started = time.monotonic()
            passed = record.whole.passed
            await eventually(lambda: record.whole.passed > passed + 5, "answers again")
            seen = time.monotonic()
    assert record.spells.count == 1
    assert started - stopped - 0.1 < record.spells.longest < seen - stopped + 0.1
