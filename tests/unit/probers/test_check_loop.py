"""The loop in virtual time: waiting advances a clock, but the sockets are real, on loopback."""

import logging
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from ipaddress import ip_address
from math import inf
from unittest.mock import patch

import pytest

from lab.servers import black_hole
from vpplb.model.check import CheckSpec, HttpProbe, ProbeCadence, ProbeKind, TcpProbe
from vpplb.model.health import ProbeCode, ProbeResponse
from vpplb.model.names import ObjectKey
from vpplb.probers.check_loop import STARTS_A_TURN, CheckLoop, TimerQueue
from vpplb.probers.errors import ProberShortage, ShortageKind
from vpplb.probers.poller import EventPoller
from vpplb.probers.prober_shortage import IN_A_ROW, UNPROBED
from vpplb.probers.stream_probe import StreamAttempt
from vpplb.reconcile.ports import ProbeAssignment

KEY = ObjectKey("ns", "b")


class VirtualPoller(EventPoller):
    """Waits by moving the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0

    def wait_for_events(self, seconds: float) -> list[tuple[int, int]]:
        happened = super().wait_for_events(0)
        if not happened:
            self.time += seconds
        return happened


class LoopStage:
    """A loop in virtual time, and a port that accepts connections by the kernel alone."""

    def __init__(self) -> None:
        self.poller = VirtualPoller()
        self.loop = CheckLoop(
            poller=self.poller, monotonic=lambda: self.poller.time, uniform=lambda: 0.5
        )
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self.listener.getsockname()[1]

    def assign(self, probe: ProbeKind, *, generation: int = 1, key: ObjectKey = KEY) -> None:
        second = timedelta(seconds=1)
        cadence = ProbeCadence(
            interval=second, fast_interval=second, down_interval=second, timeout=second / 2
        )
        spec = CheckSpec(address=ip_address("127.0.0.1"), probe=probe, cadence=cadence)
        self.loop.assign_checks([ProbeAssignment(backend=key, generation=generation, spec=spec)])

    def run(self, seconds: float) -> None:
        """Let so much virtual time pass."""
        end = self.poller.time + seconds
        while self.poller.time < end:
            self.loop.run_once(end - self.poller.time)

    def run_until_connected(self) -> socket.socket:
        """Run until the probe has sent its request; return the server's end."""
        for _ in range(3):
            self.loop.run_once(0)
        connection, _ = self.listener.accept()
        assert connection.recv(65536).startswith(b"GET ")
        return connection

    def told(self) -> list[tuple[int, bool, ProbeCode]]:
        """Take what the loop has found."""
        verdicts, self.loop.verdicts = self.loop.verdicts, []
        return [(verdict.generation, verdict.up, verdict.code) for verdict in verdicts]

    def turned(self) -> list[tuple[str, ProbeResponse]]:
        """Take how results have turned, by backend."""
        turns, self.loop.changes = self.loop.changes, []
        return [(turn.backend.name, turn.response) for turn in turns]

    def discarded(self) -> dict[str, int]:
        """Take the discarded probes counted so far."""
        stats = self.loop.statistics.take_counts()
        return {} if stats is None else dict(stats.discarded)

    def sliced(self, seconds: int) -> None:
        """Let so many seconds pass, in each of which the loop has but one turn."""
        for _ in range(seconds):
            self.poller.time += 1.0
            self.loop.run_once(0)

    def results(self) -> dict[tuple[str, str], int]:
        """Take the results counted so far."""
        stats = self.loop.statistics.take_counts()
        return {} if stats is None else dict(stats.results)


@pytest.fixture
def stage() -> Iterator[LoopStage]:
    stage = LoopStage()
    with stage.listener:
        yield stage
        stage.loop.close()


@contextmanager
def answering_late(stage: LoopStage) -> Iterator[None]:
    """Answer each request at once; but who does not run when it connects asks late."""
    wait, connections = stage.poller.wait_for_events, list[socket.socket]()
    stage.listener.setblocking(False)

    def waited(seconds: float) -> list[tuple[int, int]]:
        with suppress(BlockingIOError):
            connections.append(stage.listener.accept()[0])
            connections[-1].setblocking(False)
        for each in connections:
            with suppress(BlockingIOError, ConnectionError):
                if each.recv(65536):
                    each.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        return wait(seconds)

    with patch.object(stage.poller, "wait_for_events", waited):
        yield
    for each in connections:
        each.close()


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Make every attempt to open a file or socket fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_check_probes_once_an_interval_and_tells_its_verdict_once(stage: LoopStage) -> None:
    stage.assign(TcpProbe(port=stage.port))
    stage.run(9.5)
    assert stage.told() == [(1, True, ProbeCode.L4OK)]
    assert stage.results() == {("TCP", "L4OK"): 10}


def test_only_the_probes_of_checks_that_are_followed_are_recorded(stage: LoopStage) -> None:
    stage.assign(TcpProbe(port=stage.port))
    stage.run(2.5)
    assert stage.loop.take_records() == ()
    stage.loop.follow_probes(frozenset({KEY, ObjectKey("ns", "other")}))
    stage.run(3)
    records = stage.loop.take_records()
    assert {(one.backend, one.code, one.detail) for one in records} == {
        (KEY, ProbeCode.L4OK, "connected")
    }
    assert len(records) == 3
    assert stage.loop.take_records() == ()
    stage.assign(TcpProbe(port=stage.port), generation=2)
    stage.run(1.5)
    assert len(stage.loop.take_records()) == 2, "the check that follows in its place is followed"
    stage.loop.follow_probes(frozenset())
    stage.run(3)
    assert stage.loop.take_records() == ()


def test_a_probe_is_recorded_with_how_long_it_took(stage: LoopStage) -> None:
    stage.loop.follow_probes(frozenset({KEY}))
    stage.assign(HttpProbe(port=stage.port))
    stage.run(0.6)
    (record,) = stage.loop.take_records()
    assert (record.code, round(record.took, 2)) == (ProbeCode.L7TOUT, 0.5)


def test_silence_fails_by_the_layer_it_came_to_when_the_timeout_is_over(stage: LoopStage) -> None:
    stage.assign(HttpProbe(port=stage.port))
    stage.run(0.45)
    assert stage.told() == []
    stage.run(0.1)
    assert stage.told() == [(1, False, ProbeCode.L7TOUT)]


def test_a_timeout_during_which_the_prober_did_not_run_counts_for_nothing(
    stage: LoopStage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.assign(HttpProbe(port=stage.port))
    with stage.run_until_connected():
        stage.poller.time += 5.0
        stage.loop.run_once(0)
    assert stage.told() == []
    assert stage.results() == {}
    assert "the prober itself did not run" in caplog.text


def test_after_a_stall_each_check_probes_once_and_its_timeout_counts_again(
    stage: LoopStage,
) -> None:
    stage.assign(HttpProbe(port=stage.port))
    with stage.run_until_connected():
        stage.poller.time += 5.0
        stage.run(0.9)
    assert stage.told() == [(1, False, ProbeCode.L7TOUT)]
    assert stage.results() == {("HTTP", "L7TOUT"): 1}


def test_a_prober_that_gets_its_core_in_slices_still_sees_that_a_backend_is_silent(
    stage: LoopStage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.assign(HttpProbe(port=stage.port))
    stage.sliced(4 * IN_A_ROW)
    assert stage.told() == [(1, False, ProbeCode.L7TOUT)]
    assert stage.turned() == [("b", ProbeResponse.SILENT)]
    assert stage.loop.count_short_checks() == {"cpu": 1}
    assert stage.discarded() == {"cpu": IN_A_ROW}
    assert "give it more CPU" in caplog.text
    stage.run(2.0)
    assert stage.loop.count_short_checks() == {}


def test_before_it_counts_a_probe_has_its_time_once_more(stage: LoopStage) -> None:
    stage.assign(HttpProbe(port=stage.port))
    with answering_late(stage):
        stage.sliced(10 * IN_A_ROW)
    assert stage.told() == [(1, True, ProbeCode.L7OK)]


def test_a_lack_that_goes_on_is_as_silence_after_a_minute_and_said_at_once(
    stage: LoopStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(_: StreamAttempt) -> None:
        raise ProberShortage(ShortageKind.PORTS, "no free local port")

    monkeypatch.setattr(StreamAttempt, "begin_probe", short)
    stage.assign(TcpProbe(port=stage.port))
    stage.run(UNPROBED - 2)
    assert (stage.told(), stage.loop.count_short_checks()) == ([], {"ports": 1})
    stage.run(4.0)
    assert stage.turned() == [("b", ProbeResponse.SILENT)]
    (verdict,) = stage.loop.verdicts
    assert (verdict.up, verdict.detail) == (False, "the prober cannot probe: no free local port")
    assert stage.loop.count_short_checks() == {"ports": 1}
    monkeypatch.undo()
    stage.run(2.0)
    assert (stage.loop.verdicts[-1].up, stage.loop.count_short_checks()) == (True, {})


def test_what_a_check_lacked_is_forgotten_with_it(stage: LoopStage) -> None:
    stage.assign(TcpProbe(port=stage.port))
    with no_descriptor_left():
        stage.run(5.0)
    assert stage.loop.count_short_checks() == {"descriptors": 1}
    stage.loop.cancel_checks([KEY])
    assert stage.loop.count_short_checks() == {}


def test_a_stall_shorter_than_half_the_timeout_excuses_nothing(stage: LoopStage) -> None:
    stage.assign(HttpProbe(port=stage.port))
    with stage.run_until_connected():
        stage.poller.time += 0.2
        stage.run(0.5)
    assert stage.told() == [(1, False, ProbeCode.L7TOUT)]


def test_an_answer_that_is_there_counts_however_late_it_is_read(stage: LoopStage) -> None:
    stage.assign(HttpProbe(port=stage.port))
    with stage.run_until_connected() as connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        stage.poller.time += 5.0
        stage.loop.run_once(0)
    assert stage.told() == [(1, True, ProbeCode.L7OK)]


def test_a_cancelled_check_closes_its_connection_and_tells_nothing_more(stage: LoopStage) -> None:
    stage.assign(HttpProbe(port=stage.port))
    with stage.run_until_connected() as connection:
        stage.loop.cancel_checks([KEY])
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    stage.run(5.0)
    assert stage.told() == []
    assert stage.results() == {}


def test_cancelling_what_does_not_run_is_nothing(stage: LoopStage) -> None:
    stage.loop.cancel_checks([KEY])
    stage.run(1.0)
    assert stage.told() == []


def test_assigning_again_drops_the_probe_on_its_way_and_runs_one_check_only(
    stage: LoopStage,
) -> None:
    stage.assign(HttpProbe(port=stage.port), generation=1)
    with stage.run_until_connected() as connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        stage.assign(TcpProbe(port=stage.port), generation=2)
        stage.run(4.5)
    assert stage.told() == [(2, True, ProbeCode.L4OK)]
    assert stage.results() == {("TCP", "L4OK"): 5}


def test_a_backlog_is_started_in_portions_and_every_check_once(stage: LoopStage) -> None:
    number = 3 * STARTS_A_TURN
    for n in range(number):
        stage.assign(TcpProbe(port=stage.port), key=ObjectKey("ns", f"b{n}"))
    stage.poller.time += 60.0
    stage.loop.run_once(0)
    stats = stage.loop.statistics.take_counts()
    assert stats is not None
    assert sum(stats.lateness[0]) == STARTS_A_TURN
    stage.run(0.5)
    assert stage.results() == {("TCP", "L4OK"): number}


def test_lateness_is_measured(stage: LoopStage) -> None:
    stage.assign(TcpProbe(port=stage.port))
    stage.poller.time += 3.0
    stage.run(0.1)
    stats = stage.loop.statistics.take_counts()
    assert stats is not None
    assert stats.lateness[1] == pytest.approx(3.0)


def test_a_prober_without_descriptors_blames_nobody_and_says_so_once(
    stage: LoopStage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.assign(TcpProbe(port=stage.port))
    with caplog.at_level(logging.WARNING), no_descriptor_left():
        stage.run(3.5)
    assert stage.told() == []
    assert [record.message for record in caplog.records] == [
        "probes discarded: too many open files (raise its limit of open files)"
    ]
    assert stage.discarded() == {"descriptors": 4}
    stage.run(1.0)
    assert stage.told() == [(1, True, ProbeCode.L4OK)]


def test_a_check_whose_probe_cannot_even_begin_hinders_no_other(
    stage: LoopStage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.assign(TcpProbe(port=-1), key=ObjectKey("ns", "bad"))
    stage.assign(TcpProbe(port=stage.port))
    stage.run(0.5)
    assert stage.told() == [(1, True, ProbeCode.L4OK)]
    assert "a probe of ns/bad could not begin" in caplog.text


def assign(stage: LoopStage, name: str, port: int, *, every: float) -> None:
    """Have a port probed that often, with half a second to answer and no second chance."""
    seconds = timedelta(seconds=every)
    spec = CheckSpec(
        address=ip_address("127.0.0.1"),
        probe=TcpProbe(port=port),
        cadence=ProbeCadence(
            interval=seconds,
            fast_interval=seconds,
            down_interval=seconds,
            timeout=timedelta(seconds=0.5),
            fall=1,
        ),
    )
    stage.loop.assign_checks(
        [ProbeAssignment(backend=ObjectKey("ns", name), generation=1, spec=spec)]
    )


def down(stage: LoopStage) -> list[tuple[str, bool]]:
    """Take the verdicts down, by backend and whether they are alone."""
    found, stage.loop.verdicts = stage.loop.verdicts, []
    return [(each.backend.name, each.nobody_heard) for each in found if not each.up]


def test_a_turn_is_told_with_the_first_result_and_then_only_when_it_is_another(
    stage: LoopStage,
) -> None:
    assign(stage, "b", stage.port, every=1.0)
    stage.run(5.5)
    assert stage.turned() == [("b", ProbeResponse.PASSED)]
    stage.listener.close()
    stage.run(5.0)
    assert stage.turned() == [("b", ProbeResponse.ANSWERED)]


def test_down_by_silence_while_somebody_else_answers_is_not_alone(stage: LoopStage) -> None:
    with black_hole() as silent:
        assign(stage, "other", stage.port, every=0.3)
        assign(stage, "b", silent, every=1.0)
        stage.run(0.7)
        assert down(stage) == [("b", False)]
        assert stage.turned() == [("other", ProbeResponse.PASSED), ("b", ProbeResponse.SILENT)]
        stage.run(3.0)
        assert stage.turned() == []


def test_down_by_an_answer_is_never_alone(stage: LoopStage) -> None:
    stage.listener.close()
    assign(stage, "b", stage.port, every=1.0)
    stage.run(0.1)
    assert down(stage) == [("b", False)]


def test_after_a_verdict_that_is_alone_the_next_answer_of_anybody_is_told_once(
    stage: LoopStage,
) -> None:
    with black_hole() as silent:
        assign(stage, "other", stage.port, every=10.0)
        stage.run(2.0)
        assert stage.turned() == [("other", ProbeResponse.PASSED)]
        assign(stage, "b", silent, every=1.0)
        stage.run(4.0)
        assert down(stage) == [("b", True)]
        assert stage.turned() == [("b", ProbeResponse.SILENT)]
        stage.run(25.0)
        assert stage.turned() == [("other", ProbeResponse.PASSED)]


def test_the_check_in_hand_is_noted_until_the_turn_ends(stage: LoopStage) -> None:
    note, seen = stage.loop._in_hand, list[int]()
    stage.assign(HttpProbe(port=stage.port), generation=7)
    with stage.run_until_connected() as connection:
        connection.send(b"HTTP/1.1 200 OK\r\n")
        with patch.object(StreamAttempt, "_receive_data", lambda *_, **__: seen.append(note[0])):
            stage.loop.run_once(0)
    assert (seen, note[0]) == ([7], 0)


@pytest.fixture
def timers() -> TimerQueue[str]:
    timers: TimerQueue[str] = TimerQueue()
    for moment, thing in [(3.0, "d"), (1.0, "a"), (2.0, "c"), (1.0, "b"), (9.0, "e")]:
        timers.add_timer(moment, thing)
    return timers


def test_nothing_is_due_where_there_is_nothing() -> None:
    timers: TimerQueue[str] = TimerQueue()
    assert timers.next == inf
    assert timers.take_due(1e9, 10) == []


def test_what_is_due_is_taken_once_and_in_order(timers: TimerQueue[str]) -> None:
    assert timers.take_due(3.0, 10) == ["a", "b", "c", "d"]
    assert timers.take_due(3.0, 10) == []
    assert timers.next == 9.0


def test_before_its_moment_nothing_is_taken(timers: TimerQueue[str]) -> None:
    assert timers.take_due(0.999, 10) == []


@pytest.mark.parametrize("portion", [1, 2, 3])
def test_what_is_taken_in_portions_comes_in_the_same_order(
    timers: TimerQueue[str], portion: int
) -> None:
    taken: list[str] = []
    while timers.next <= 3.0:
        share = timers.take_due(3.0, portion)
        assert 1 <= len(share) <= portion
        taken += share
    assert taken == ["a", "b", "c", "d"]


def test_what_is_added_while_its_moment_is_under_way_comes_too(timers: TimerQueue[str]) -> None:
    assert timers.take_due(1.0, 1) == ["a"]
    timers.add_timer(1.0, "late")
    assert timers.take_due(1.0, 10) == ["b", "late"]
    timers.add_timer(1.0, "later")
    assert timers.next == 1.0
    assert timers.take_due(1.0, 10) == ["later"]
