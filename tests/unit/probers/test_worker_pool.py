import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from vpplb.model.check import CheckSpec, IcmpProbe, ProbeCadence
from vpplb.model.health import ProbeCode, ProbeResponse
from vpplb.model.names import ObjectKey
from vpplb.probers.quarantine import SHORTEST
from vpplb.probers.worker_messages import WorkerCondition, WorkerReport
from vpplb.probers.worker_pool import WorkerPool
from vpplb.reconcile.ports import (
    CheckVerdict,
    ProbeAssignment,
    ProbeStats,
    ResponseChange,
    VerdictReason,
)

SPEC = CheckSpec(address=ip_address("192.0.2.7"), probe=IcmpProbe(), cadence=ProbeCadence())


def assignment(name: str, generation: int = 1) -> ProbeAssignment:
    return ProbeAssignment(backend=ObjectKey("ns", name), generation=generation, spec=SPEC)


def verdict(name: str, generation: int) -> CheckVerdict:
    return CheckVerdict(
        backend=ObjectKey("ns", name),
        generation=generation,
        up=True,
        code=ProbeCode.L3OK,
        detail="",
        at=datetime(2025, 3, 1, tzinfo=UTC),
    )


@pytest.fixture
def told() -> list[CheckVerdict]:
    return []


@pytest.fixture
def pool(told: list[CheckVerdict], monkeypatch: pytest.MonkeyPatch) -> WorkerPool:
    """A pool whose processes were never started."""
    pool = WorkerPool(workers=3)
    monkeypatch.setattr(pool, "_on_verdict", told.append)
    return pool


def test_only_verdicts_of_the_present_generation_are_passed_on(
    pool: WorkerPool, told: list[CheckVerdict]
) -> None:
    pool.assign_checks([assignment("a", generation=2), assignment("b", generation=1)])
    pool.cancel_checks([ObjectKey("ns", "b")])
    pool.take_report(WorkerReport(verdicts=(verdict("a", 1), verdict("b", 1), verdict("a", 2))))
    assert told == [verdict("a", 2)]


def test_only_reasons_of_the_present_generation_are_passed_on(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[VerdictReason] = []
    monkeypatch.setattr(pool, "_on_reason", told.append)
    pool.assign_checks([assignment("a", generation=2)])
    old, now, gone = (
        VerdictReason(ObjectKey("ns", name), generation, ProbeCode.L7STS, "503")
        for name, generation in (("a", 1), ("a", 2), ("gone", 1))
    )
    pool.take_report(WorkerReport(reasons=(old, now, gone)))
    assert told == [now]


def test_turns_are_passed_on_whoever_asked(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned: list[ResponseChange] = []
    monkeypatch.setattr(pool, "_on_response_change", turned.append)
    pool.assign_checks([assignment("a", generation=2)])
    turns = tuple(
        ResponseChange(ObjectKey("ns", name), 1, response)
        for name, response in (("a", ProbeResponse.SILENT), ("gone", ProbeResponse.PASSED))
    )
    pool.take_report(WorkerReport(changes=turns))
    assert turned == list(turns)


def test_a_successor_resumes_from_the_last_verdict(pool: WorkerPool) -> None:
    held = replace(assignment("c"), resume_up=True, held=True)
    pool.assign_checks([assignment("a"), assignment("b"), held])
    pool.take_report(WorkerReport(verdicts=(verdict("a", 1),)))
    shares = [each for worker in pool._workers for each in pool.share_of(worker)]
    assert {each.backend.name: (each.resume_up, each.held) for each in shares} == {
        "a": (True, False),
        "b": (None, False),
        "c": (True, True),
    }
    pool.take_report(WorkerReport(verdicts=(verdict("c", 1),)))
    [c] = [one for w in pool._workers for one in pool.share_of(w) if one.backend.name == "c"]
    assert (c.resume_up, c.held) == (True, False)


def test_each_backend_belongs_to_exactly_one_worker_and_all_have_work(pool: WorkerPool) -> None:
    names = [f"b{n}" for n in range(60)]
    pool.assign_checks([assignment(name) for name in names])
    shares = [[each.backend.name for each in pool.share_of(worker)] for worker in pool._workers]
    assert sorted(name for share in shares for name in share) == sorted(names)
    assert all(shares)


def test_a_callback_that_fails_does_not_end_the_probing(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: ProbeStats) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(pool, "_on_stats", fail)
    pool.take_report(WorkerReport(stats=ProbeStats(results={}, durations={}, lateness=((), 0.0))))
    assert "boom" in caplog.text


def test_how_late_each_process_was_is_told(pool: WorkerPool) -> None:
    pool._workers[1].note_condition(WorkerCondition(lateness=0.7))
    first, second, third = pool.list_lateness()
    assert second == 0.7
    assert max(first, third) < 0.7


def test_what_keeps_workers_from_probing_is_summed_up_with_what_to_do(pool: WorkerPool) -> None:
    assert pool.find_trouble() is None
    pool.assign_checks([assignment("a")])
    pool._workers[0].condition = WorkerCondition(short={"cpu": 2})
    pool._workers[1].condition = WorkerCondition(short={"cpu": 3, "ports": 1})
    pool._workers[2].condition = WorkerCondition(obstacle="network namespace blue: …")
    assert pool.find_trouble() == (
        "network namespace blue: …;"
        " 5 checks have no results, the prober is short of cpu"
        " (give it more CPU, or probe less often);"
        " 1 checks have no results, the prober is short of ports"
        " (see net.ipv4.ip_local_port_range)"
    )


def test_a_negative_number_of_workers_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        WorkerPool(workers=-1)


def test_by_default_there_are_as_many_workers_as_the_load_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    pool = WorkerPool()
    pool.assign_checks([assignment(f"b{n}") for n in range(1000)])
    assert len(pool._workers) == 1
    busy = replace(SPEC, cadence=ProbeCadence(interval=timedelta(milliseconds=10)))
    pool.assign_checks([replace(assignment(f"busy{n}"), spec=busy) for n in range(5000)])
    assert len(pool._workers) == 3
    assert all(pool.share_of(worker) for worker in pool._workers)


@pytest.mark.looptime
async def test_a_check_that_ends_processes_is_put_aside_and_says_so(
    pool: WorkerPool, told: list[CheckVerdict]
) -> None:
    pool.assign_checks([assignment("a", generation=1), assignment("b", generation=2)])
    discarded = Counter[str]()
    pool._on_stats = lambda stats: discarded.update(stats.discarded)

    def probed() -> list[str]:
        shares = [each for worker in pool._workers for each in pool.share_of(worker)]
        return sorted(each.backend.name for each in shares)

    for generation in (0, 99, 1):
        pool.on_worker_death(generation)
    assert (probed(), pool.find_trouble()) == (["a", "b"], None)
    pool.on_worker_death(1)
    assert (probed(), told) == (["b"], [])
    assert pool.find_trouble() == (
        "1 checks are put aside, probing processes ended while busy with them"
        " (the log names the checks: please report them)"
    )
    await asyncio.sleep(SHORTEST + 1)
    assert (probed(), pool.find_trouble()) == (["a", "b"], None)
    pool.on_worker_death(1)
    assert probed() == ["b"]
    assert [(one.backend.name, one.up, one.detail) for one in told] == [
        ("a", False, "the prober cannot probe: its processes ended while busy with this check")
    ]
    pool.assign_checks([assignment("a", generation=3)])
    assert probed() == ["a", "b"]
    assert discarded == {"death": 3}
