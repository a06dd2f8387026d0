from datetime import timedelta
from ipaddress import ip_address

import pytest

from data.objects import backend, health_check, key, tcp_spec
from fakes.prober import FakeProber
from vpplb.health.lifecycle import (
    AssumedMode,
    CheckStart,
    DisabledMode,
    IdleMode,
    PausedMode,
    ProbedMode,
    ProbeMode,
)
from vpplb.model.check import CheckSpec
from vpplb.model.objects import HealthCheck
from vpplb.reconcile.probe_assignments import ProbeAssignments, choose_mode

A, B, C = key("a"), key("b"), key("c")
START = CheckStart(spec=tcp_spec())


def made() -> tuple[ProbeAssignments, FakeProber]:
    prober = FakeProber()
    return ProbeAssignments(prober), prober


def test_only_the_newest_task_of_a_backend_is_current() -> None:
    tasks, prober = made()
    tasks.apply_changes({A: START}, ())
    first = prober.running[A].generation
    tasks.apply_changes({A: START}, ())
    second = prober.running[A].generation
    assert (tasks.is_current(A, first), tasks.is_current(A, second)) == (False, True)
    assert len(tasks) == 1


def test_a_stopped_task_is_current_no_more_and_its_generation_never_comes_back() -> None:
    tasks, prober = made()
    tasks.apply_changes({A: START}, ())
    first = prober.running[A].generation
    tasks.apply_changes({}, [A])
    assert not tasks.is_current(A, first)
    assert prober.running == {}
    tasks.apply_changes({A: START}, ())
    assert prober.running[A].generation > first


def test_stopping_what_does_not_run_is_not_told_to_the_prober() -> None:
    tasks, prober = made()
    tasks.apply_changes({}, [A, B])
    assert prober.started == []
    assert len(tasks) == 0


def test_tasks_that_start_together_are_spread_in_the_order_of_their_names() -> None:
    tasks, prober = made()
    tasks.apply_changes({C: START, A: START, B: START}, ())
    spread = [(one.backend, one.position, one.of) for one in prober.started]
    assert spread == [(A, 0, 3), (B, 1, 3), (C, 2, 3)]


def test_what_is_unknown_is_spread_without_what_is_known() -> None:
    tasks, prober = made()
    known = CheckStart(spec=tcp_spec(), resume_up=False)
    held = CheckStart(spec=tcp_spec(), resume_up=True, held=True)
    tasks.apply_changes({A: known, B: START, C: held}, ())
    spread = [(one.backend, one.position, one.of) for one in prober.started]
    assert spread == [(A, 0, 1), (B, 0, 2), (C, 1, 2)]


@pytest.mark.parametrize("resume", [None, True, False])
def test_a_task_is_assigned_with_what_it_starts_from(resume: bool | None) -> None:
    tasks, prober = made()
    tasks.apply_changes({A: CheckStart(spec=tcp_spec(port=81), resume_up=resume)}, ())
    [one] = prober.started
    assert (one.spec, one.resume_up) == (tcp_spec(port=81), resume)


# --- the probe mode ---------------------------------------------------------------------------


CHECK = HealthCheck(
    key=key("check"),
    probe=health_check().probe,
    cadence=health_check(interval=timedelta(seconds=9)).cadence,
    source_ipv4=ip_address("192.0.2.4"),
    source_ipv6=ip_address("2001:db8::6"),
)


def mode(at: str = "10.0.0.1", check: str | None = "check", **fields: bool) -> ProbeMode:
    referenced, denied = fields.pop("referenced", True), fields.pop("denied", False)
    one = backend("a", at, check, **fields)
    return choose_mode(one, {CHECK.key: CHECK}, {}, referenced=referenced, denied=denied)


@pytest.mark.parametrize(
    ("at", "source"), [("10.0.0.1", "192.0.2.4"), ("2001:db8::1", "2001:db8::6")]
)
def test_it_is_probed_from_the_source_of_its_family(at: str, source: str) -> None:
    spec = CheckSpec(
        address=ip_address(at),
        probe=CHECK.probe,
        cadence=CHECK.cadence,
        source=ip_address(source),
    )
    assert mode(at) == ProbedMode(spec)


def test_disabled_wins_over_paused_and_both_over_everything_else() -> None:
    assert mode(enabled=False, paused=True, referenced=False) == DisabledMode()
    assert mode(check=None, paused=True, referenced=False) == PausedMode()


def test_without_a_reference_it_is_idle_and_without_a_check_taken_for_up() -> None:
    assert mode(check=None, referenced=False) == IdleMode()
    assert mode(check=None) == AssumedMode()


def test_a_check_that_is_not_there_is_lost() -> None:
    assert mode(check="nothing") == IdleMode(lost_check=True)


def test_where_probes_may_not_go_a_check_is_lost_and_nothing_else_is_different() -> None:
    assert mode(denied=True) == IdleMode(lost_check=True)
    assert mode(denied=True, check=None) == AssumedMode()
    assert mode(denied=True, referenced=False) == IdleMode()
    assert mode(denied=True, paused=True) == PausedMode()
