"""What every Prober does: one suite, for the fake and for the processes that really probe."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from fakes.prober import FakeProber
from lab.servers import CountingHttpServer, black_hole
from lab.waiting import eventually, wait_for
from vpplb.model.check import CheckSpec, HttpProbe, ProbeCadence, TcpProbe
from vpplb.model.health import ProbeCode, ProbeResponse
from vpplb.model.names import ObjectKey
from vpplb.probers.worker_pool import WorkerPool
from vpplb.reconcile.ports import (
    CheckVerdict,
    ProbeAssignment,
    Prober,
    ProbeStats,
    ResponseChange,
    VerdictReason,
)

pytestmark = pytest.mark.slow

SHORT = timedelta(milliseconds=20)
CADENCE = ProbeCadence(
    interval=SHORT,
    fast_interval=SHORT,
    down_interval=SHORT,
    timeout=timedelta(seconds=5),
    rise=1,
    fall=1,
)


class ProberStage:
    """A prober, backends that answer as they are told, and what was reported of them."""

    def __init__(self, prober: Prober, servers: ExitStack) -> None:
        self.prober = prober
        self._servers = servers
        self._backends: dict[str, CountingHttpServer] = {}
        self._markers = 0
        self._verdicts: asyncio.Queue[CheckVerdict] = asyncio.Queue()
        self._turns: list[ResponseChange] = []
        self._reasons: list[VerdictReason] = []
        self.stats: list[ProbeStats] = []

    async def start(self) -> None:
        await self.prober.start(
            self._verdicts.put_nowait, self.stats.append, self._turns.append, self._reasons.append
        )

    def answer(self, name: str, *, up: bool, status: int = 0) -> None:
        """Let a backend answer so from now on."""
        self._server(name).status = status = status or (200 if up else 503)
        if isinstance(self.prober, FakeProber):
            self.prober.answer(ObjectKey("ns", name), up=up, detail=str(status))

    def assign(
        self,
        name: str,
        *,
        generation: int = 1,
        resume_up: bool | None = None,
        held: bool = False,
        cadence: ProbeCadence = CADENCE,
    ) -> None:
        probe = HttpProbe(port=self._server(name).port)
        spec = CheckSpec(address=ip_address("127.0.0.1"), probe=probe, cadence=cadence)
        self.prober.assign_checks(
            [
                ProbeAssignment(
                    backend=ObjectKey("ns", name),
                    generation=generation,
                    spec=spec,
                    resume_up=resume_up,
                    held=held,
                )
            ]
        )

    def assign_silent(self, name: str) -> None:
        """Start a check of a port where nobody ever answers."""
        port = self._servers.enter_context(black_hole())
        cadence = replace(CADENCE, timeout=timedelta(milliseconds=500))
        spec = CheckSpec(
            address=ip_address("127.0.0.1"), probe=TcpProbe(port=port), cadence=cadence
        )
        key = ObjectKey("ns", name)
        if isinstance(self.prober, FakeProber):
            self.prober.answer(key, up=False, code=ProbeCode.L4TOUT)
        self.prober.assign_checks([ProbeAssignment(backend=key, generation=1, spec=spec)])

    @asynccontextmanager
    async def hanging(self, name: str) -> AsyncIterator[None]:
        """Let a backend answer nothing; begins when a probe is waiting for its answer."""
        server = self._server(name)
        server.hang = True
        asked = server.requests.total()
        await asyncio.to_thread(wait_for, lambda: server.requests.total() > asked, "a probe")
        yield
        server.hang = False

    def requests(self, name: str) -> int:
        """Return how often a backend was probed so far."""
        return self._server(name).requests.total()

    def cancel(self, name: str) -> None:
        self.prober.cancel_checks([ObjectKey("ns", name)])

    async def told(self) -> tuple[str, int, bool]:
        """Wait for the next verdict; return the backend, the generation, and whether it is up."""
        verdict = await self.verdict()
        expected = ProbeCode.L7OK if verdict.up else ProbeCode.L7STS
        assert verdict.code is expected
        return verdict.backend.name, verdict.generation, verdict.up

    async def verdict(self) -> CheckVerdict:
        """Wait for the next verdict."""
        async with asyncio.timeout(20):
            return await self._verdicts.get()

    def has_turned(self) -> bool:
        """Return whether results have turned since the last call of `turned`."""
        return bool(self._turns)

    def turned(self, name: str) -> list[ProbeResponse]:
        """Return how the results of a backend have turned since the last call."""
        found = [turn.response for turn in self._turns if turn.backend.name == name]
        self._turns[:] = [turn for turn in self._turns if turn.backend.name != name]
        return found

    def reasons(self, name: str) -> list[tuple[int, str]]:
        """Take the reasons told of a backend: generation and status."""
        found = [
            (one.generation, one.detail[:3]) for one in self._reasons if one.backend.name == name
        ]
        self._reasons[:] = [one for one in self._reasons if one.backend.name != name]
        return found

    async def nothing_more_is_told(self) -> None:
        """Make sure that no verdict comes before one of a backend that is assigned only now."""
        self._markers += 1
        marker = f"marker-{self._markers}"
        self.answer(marker, up=True)
        self.assign(marker)
        assert await self.told() == (marker, 1, True)
        self.answer(marker, up=False)
        assert await self.told() == (marker, 1, False)
        self.cancel(marker)

    def _server(self, name: str) -> CountingHttpServer:
        if name not in self._backends:
            self._backends[name] = self._servers.enter_context(CountingHttpServer())
        return self._backends[name]


@pytest.fixture(
    params=[FakeProber, WorkerPool, lambda: WorkerPool(workers=2)],
    ids=["fake", "one worker", "two workers"],
)
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[ProberStage]:
    make: Callable[[], Prober] = request.param
    prober = make()
    with ExitStack() as servers:
        yield ProberStage(prober, servers)
        await prober.stop()


@pytest.fixture
async def running(stage: ProberStage) -> ProberStage:
    await stage.start()
    return stage


@pytest.mark.parametrize("up", [True, False])
async def test_the_first_verdict_of_a_fresh_check_is_told(running: ProberStage, up: bool) -> None:
    running.answer("b", up=up)
    running.assign("b")
    assert await running.told() == ("b", 1, up)


async def test_only_changes_are_told_thereafter(running: ProberStage) -> None:
    running.answer("b", up=True)
    running.assign("b")
    assert await running.told() == ("b", 1, True)
    await running.nothing_more_is_told()
    running.answer("b", up=False)
    assert await running.told() == ("b", 1, False)
    await running.nothing_more_is_told()
    running.answer("b", up=True)
    assert await running.told() == ("b", 1, True)


@pytest.mark.parametrize("up", [True, False])
async def test_a_resumed_check_tells_only_what_contradicts(running: ProberStage, up: bool) -> None:
    running.answer("b", up=up)
    running.assign("b", resume_up=up)
    await running.nothing_more_is_told()
    running.answer("b", up=not up)
    assert await running.told() == ("b", 1, not up)


@pytest.mark.parametrize("up", [True, False])
async def test_a_held_check_tells_what_confirms_its_verdict_too(
    running: ProberStage, up: bool
) -> None:
    running.answer("b", up=up)
    running.assign("b", resume_up=True, held=True)
    assert await running.told() == ("b", 1, up)
    await running.nothing_more_is_told()


async def test_what_is_assigned_before_the_start_begins_with_it(stage: ProberStage) -> None:
    stage.answer("b", up=True)
    stage.assign("b")
    await stage.start()
    assert await stage.told() == ("b", 1, True)


async def test_a_cancelled_check_tells_nothing_more(running: ProberStage) -> None:
    running.answer("b", up=True)
    running.assign("b")
    assert await running.told() == ("b", 1, True)
    running.cancel("b")
    running.answer("b", up=False)
    await running.nothing_more_is_told()


async def test_a_check_cancelled_at_once_tells_nothing(running: ProberStage) -> None:
    running.answer("b", up=True)
    running.assign("b")
    running.cancel("b")
    await running.nothing_more_is_told()


async def test_of_two_assignments_only_the_later_one_is_told(running: ProberStage) -> None:
    running.answer("b", up=True)
    running.assign("b", generation=1)
    running.assign("b", generation=2)
    assert await running.told() == ("b", 2, True)
    await running.nothing_more_is_told()


async def test_an_assignment_begins_anew_whatever_was_told_before(running: ProberStage) -> None:
    running.answer("b", up=True)
    running.assign("b", generation=1)
    assert await running.told() == ("b", 1, True)
    running.assign("b", generation=2)
    assert await running.told() == ("b", 2, True)


async def test_a_turn_is_told_no_later_than_the_verdict_and_nothing_in_between(
    running: ProberStage,
) -> None:
    running.answer("b", up=True)
    running.assign("b")
    assert await running.told() == ("b", 1, True)
    assert running.turned("b") == [ProbeResponse.PASSED]
    await running.nothing_more_is_told()
    assert running.turned("b") == []
    running.answer("b", up=False)
    assert await running.told() == ("b", 1, False)
    assert running.turned("b") == [ProbeResponse.ANSWERED]
    running.answer("b", up=True)
    assert await running.told() == ("b", 1, True)
    assert running.turned("b") == [ProbeResponse.PASSED]


async def test_a_resumed_check_tells_its_first_turn_though_no_verdict(running: ProberStage) -> None:
    running.answer("b", up=True)
    running.assign("b", resume_up=True)
    await eventually(running.has_turned, "the first turn", within=20)
    assert running.turned("b") == [ProbeResponse.PASSED]
    await running.nothing_more_is_told()


async def test_down_by_silence_is_alone_while_nobody_else_answers(running: ProberStage) -> None:
    running.assign_silent("b")
    verdict = await running.verdict()
    assert (verdict.backend.name, verdict.up, verdict.nobody_heard) == ("b", False, True)
    assert running.turned("b") == [ProbeResponse.SILENT]
    # The next answer of anybody is told, be it of the first check that gives one.
    running.answer("c", up=True)
    running.assign("c")
    assert await running.told() == ("c", 1, True)
    assert running.turned("c") == [ProbeResponse.PASSED]


@pytest.mark.parametrize(("up", "first", "now"), [(False, 503, 500), (True, 200, 204)])
async def test_another_reason_for_the_same_verdict_is_told(
    running: ProberStage, up: bool, first: int, now: int
) -> None:
    running.answer("b", up=up, status=first)
    running.assign("b", generation=4)
    assert await running.told() == ("b", 4, up)
    running.answer("b", up=up, status=now)
    await eventually(lambda: running._reasons, "a reason")
    assert running.reasons("b") == [(4, str(now))]
    await running.nothing_more_is_told()
    assert running.reasons("b") == []


async def test_a_resumed_check_tells_why_its_verdict_stands(running: ProberStage) -> None:
    """For what is shown may be of yesterday."""
    running.answer("b", up=False)
    running.assign("b", resume_up=False)
    await eventually(lambda: running._reasons, "a reason")
    assert running.reasons("b") == [(1, "503")]


async def test_a_history_begins_when_it_is_asked_for_and_says_whether_more_comes(
    running: ProberStage,
) -> None:
    running.answer("b", up=True)
    running.assign("b")
    assert await running.told() == ("b", 1, True)
    key = ObjectKey("ns", "b")
    first = running.prober.read_histories([key])[key]
    assert (first.is_probed, len(first.records)) == (True, 0)

    def recorded() -> list[tuple[ProbeCode, str]]:
        history = running.prober.read_histories([key])[key]
        assert history.since == first.since
        return [(record.code, record.detail[:3]) for _, record in history.records]

    running.answer("b", up=False)
    assert await running.told() == ("b", 1, False)
    await eventually(lambda: (ProbeCode.L7STS, "503") in recorded(), "the probe that failed")
    running.cancel("b")
    assert not running.prober.read_histories([key])[key].is_probed


async def test_of_what_is_not_probed_the_history_is_empty(running: ProberStage) -> None:
    key = ObjectKey("ns", "absent")
    history = running.prober.read_histories([key])[key]
    assert (history.is_probed, list(history.records)) == (False, [])


async def test_cancelling_what_is_not_assigned_is_nothing(running: ProberStage) -> None:
    running.cancel("b")
    await running.nothing_more_is_told()


async def test_stopping_twice_or_before_the_start_is_nothing(stage: ProberStage) -> None:
    await stage.prober.stop()
    await stage.start()
    await stage.prober.stop()
    await stage.prober.stop()


async def test_all_processes_work_once_verdicts_come_and_none_before_the_start(
    stage: ProberStage,
) -> None:
    working, wanted = stage.prober.count_processes()
    assert working == 0 < wanted
    await stage.start()
    await stage.nothing_more_is_told()
    await eventually(lambda: len(set(stage.prober.count_processes())) == 1, "all work")
    assert stage.prober.count_processes()[0] > 0


class TestWorkers:
    """What only processes do: they die, and are slow to end."""

    @pytest.fixture
    async def pool(self) -> AsyncIterator[ProberStage]:
        with ExitStack() as servers:
            stage = ProberStage(WorkerPool(), servers)
            await stage.start()
            yield stage
            await stage.prober.stop()

    async def test_a_worker_that_dies_is_replaced_and_nothing_is_told_twice(
        self, pool: ProberStage
    ) -> None:
        for name, up in (("good", True), ("bad", False)):
            pool.answer(name, up=up)
            pool.assign(name)
            assert await pool.told() == (name, 1, up)
        os.kill(worker(), signal.SIGKILL)
        await pool.nothing_more_is_told()
        pool.answer("good", up=False)
        assert await pool.told() == ("good", 1, False)

    async def test_down_by_silence_is_not_alone_while_another_answers_the_same_worker(
        self, pool: ProberStage
    ) -> None:
        pool.answer("c", up=True)
        pool.assign("c")
        assert await pool.told() == ("c", 1, True)
        pool.assign_silent("b")
        verdict = await pool.verdict()
        assert (verdict.backend.name, verdict.up, verdict.nobody_heard) == ("b", False, False)

    async def test_a_worker_that_hangs_is_ended_too(self, pool: ProberStage) -> None:
        pool.answer("b", up=True)
        pool.assign("b")
        await pool.told()
        os.kill(worker(), signal.SIGSTOP)
        async with asyncio.timeout(10):
            await pool.prober.stop()

    async def test_a_worker_that_was_suspended_blames_no_backend_for_it(
        self, pool: ProberStage
    ) -> None:
        timeout = timedelta(milliseconds=500)
        pool.answer("b", up=True)
        pool.assign("b", cadence=replace(CADENCE, timeout=timeout))
        assert await pool.told() == ("b", 1, True)
        async with pool.hanging("b"):
            os.kill(worker(), signal.SIGSTOP)
            await asyncio.sleep(1.5 * timeout.total_seconds())
            os.kill(worker(), signal.SIGCONT)
        await pool.nothing_more_is_told()

    async def test_a_parent_that_is_busy_delays_no_probe(self, pool: ProberStage) -> None:
        pool.answer("b", up=True)
        pool.assign("b")
        await pool.told()
        before = pool.requests("b")
        time.sleep(25 * SHORT.total_seconds())  # noqa: ASYNC251 - that it blocks is the point
        assert pool.requests("b") - before >= 15

    async def test_ctrl_c_is_the_parents_affair(self, pool: ProberStage) -> None:
        pool.answer("b", up=True)
        pool.assign("b")
        await pool.told()
        before = worker()
        os.kill(before, signal.SIGINT)
        await pool.nothing_more_is_told()
        assert worker() == before


def worker() -> int:
    """Return the process that probes: the one child of this one that was given a channel."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    (found,) = (
        int(child)
        for child in children
        if b"vpplb.probers.worker" in Path(f"/proc/{child}/cmdline").read_bytes()
    )
    return found
