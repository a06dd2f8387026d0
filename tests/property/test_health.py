"""What holds for every sequence of results and every cadence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from vpplb.health.cadence import grid_of, next_start
from vpplb.health.machine import HealthCounter, count_result
from vpplb.model.check import CheckSpec, ProbeCadence, TcpProbe
from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.model.names import ObjectKey
from vpplb.probers.scheduled_check import ScheduledCheck
from vpplb.reconcile.ports import ProbeAssignment

limits = st.integers(1, 100)
results = st.lists(st.booleans(), min_size=1, max_size=300)
uniform = st.floats(0, 1, exclude_max=True)


@given(limits, limits, results)
def test_the_counter_stays_within_its_bounds_and_rests_only_where_it_may(
    rise: int, fall: int, passes: list[bool]
) -> None:
    counter = HealthCounter(rise=rise, fall=fall)
    for passed in passes:
        counter = count_result(counter, passed=passed)
        assert 0 <= counter.h <= rise + fall - 1
        assert not counter.fresh


@given(limits, limits, results)
def test_the_verdict_is_that_of_counting_consecutive_results(
    rise: int, fall: int, passes: list[bool]
) -> None:
    """An independent model: a run of `fall` failures or `rise` passes turns the verdict."""
    counter = count_result(HealthCounter(rise=rise, fall=fall), passed=passes[0])
    verdict, against = passes[0], 0
    for passed in passes[1:]:
        counter = count_result(counter, passed=passed)
        against = against + 1 if passed is not verdict else 0
        if against == (fall if verdict else rise):
            verdict, against = passed, 0
        assert counter.is_healthy is verdict


@given(st.floats(0, 1e7), st.floats(0.01, 3600), uniform, st.booleans())
def test_every_wait_is_within_a_tenth_of_what_was_asked(
    started: float, wait: float, random: float, echo: bool
) -> None:
    actual = next_start(started, wait, grid_of(wait, icmp=echo), random) - started
    assert wait * 0.9 - 1e-6 <= actual <= wait * 1.1 + 1e-6


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 9), st.floats(0, 9), uniform), max_size=50))
def test_probes_of_one_backend_never_overlap_nor_come_faster_than_asked(
    probes: list[tuple[bool, float, float, float]],
) -> None:
    interval = 2.0
    two = timedelta(seconds=interval)
    cadence = ProbeCadence(interval=two, fast_interval=two, down_interval=two)
    spec = CheckSpec(address=ip_address("192.0.2.7"), probe=TcpProbe(port=80), cadence=cadence)
    assignment = ProbeAssignment(backend=ObjectKey("ns", "b"), generation=1, spec=spec)
    draws = iter([random for *_, random in probes])
    check = ScheduledCheck(assignment, now=0.0, clock=_Clock(), random=lambda: next(draws))
    ended, started = 0.0, -interval
    for passed, late, length, _ in probes:
        begin = check.next_start + late
        assert begin >= ended
        assert begin >= started + 0.9 * interval - 1e-6
        assert check.start_probe(begin) >= late - 1e-6
        started, ended = begin, begin + length
        code = ProbeCode.L4OK if passed else ProbeCode.L4TOUT
        check.finish_probe(ProbeResult(code=code), ended)


@given(st.integers(1, 4), st.integers(1, 4), results)
def test_a_result_that_is_the_very_same_object_counts_like_one_that_is_equal(
    rise: int, fall: int, passes: list[bool]
) -> None:
    cadence = ProbeCadence(down_interval=timedelta(seconds=9), rise=rise, fall=fall)
    spec = CheckSpec(address=ip_address("192.0.2.7"), probe=TcpProbe(port=80), cadence=cadence)
    assignment = ProbeAssignment(backend=ObjectKey("ns", "b"), generation=1, spec=spec)
    same, equal = (
        ScheduledCheck(assignment, now=0.0, clock=_Clock(), random=lambda: 0.5) for _ in range(2)
    )
    known = {True: ProbeResult(code=ProbeCode.L4OK), False: ProbeResult(code=ProbeCode.L4TOUT)}
    for passed in passes:
        for check in (same, equal):
            check.start_probe(check.next_start)
        now = same.next_start
        assert same.finish_probe(known[passed], now) == equal.finish_probe(
            replace(known[passed]), now
        )
        assert same.next_start == equal.next_start


class _Clock:
    def now(self) -> datetime:
        return datetime(2025, 3, 1, tzinfo=UTC)
