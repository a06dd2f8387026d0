import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vpplb.model.health import ProbeCode, ProbeResponse
from vpplb.model.names import ObjectKey
from vpplb.probers.check_loop import CheckLoop
from vpplb.probers.worker import NetworkNamespace, ReportChannel, namespace_path
from vpplb.probers.worker_messages import (
    CancelChecks,
    FollowProbes,
    MessageUnpacker,
    WorkerCondition,
    WorkerReport,
    pack_message,
)
from vpplb.reconcile.ports import CheckVerdict, ProbeRecord, ResponseChange


class WorkerStage:
    """A worker's channel in this process, and the parent's end of it."""

    def __init__(self) -> None:
        self.parent, worker = socket.socketpair()
        self.parent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.worker = worker
        self.loop = CheckLoop()
        self.channel = ReportChannel(worker, self.loop)
        self._unpacker = MessageUnpacker()

    def find(self, number: int) -> list[CheckVerdict]:
        """Let the loop have found this many verdicts; return them."""
        found = [
            CheckVerdict(
                backend=ObjectKey("ns", f"b{n}"),
                generation=1,
                up=True,
                code=ProbeCode.L4OK,
                detail="connected",
                at=datetime(2025, 3, 1, tzinfo=UTC),
            )
            for n in range(number)
        ]
        self.loop.verdicts += found
        return found

    def heard(self) -> list[WorkerReport]:
        """Read at the parent's end until the worker has nothing more to send."""
        reports: list[WorkerReport] = []
        self.parent.setblocking(False)
        while True:
            try:
                data = self.parent.recv(65536)
            except BlockingIOError:
                return reports
            reports += [
                each for each in self._unpacker.feed_bytes(data) if isinstance(each, WorkerReport)
            ]
            self.loop.run_once(0)


@pytest.fixture
def stage() -> Iterator[WorkerStage]:
    stage = WorkerStage()
    with stage.parent, stage.worker:
        yield stage
        stage.loop.close()


def test_verdicts_are_reported_once(stage: WorkerStage) -> None:
    found = stage.find(2)
    stage.channel.send_report(with_statistics=False)
    stage.channel.send_report(with_statistics=False)
    assert stage.heard() == [WorkerReport(verdicts=tuple(found))]


def test_turns_are_reported_once_and_before_their_time_is_due(stage: WorkerStage) -> None:
    turn = ResponseChange(ObjectKey("ns", "b"), 1, ProbeResponse.SILENT)
    stage.loop.changes.append(turn)
    stage.channel.send_report(with_statistics=False)
    stage.channel.send_report(with_statistics=False)
    assert stage.heard() == [WorkerReport(changes=(turn,))]


def test_a_report_comes_though_there_is_nothing_to_say_when_statistics_are_due(
    stage: WorkerStage,
) -> None:
    stage.channel.send_report(with_statistics=True)
    assert stage.heard() == [WorkerReport(condition=WorkerCondition())]


def test_log_lines_come_with_the_report(stage: WorkerStage) -> None:
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, "hello %s", ("you",), None)
    stage.channel.emit(record)
    stage.channel.send_report(with_statistics=False)
    assert stage.heard() == [WorkerReport(log=((logging.WARNING, "hello you"),))]


def test_a_report_says_how_late_a_probe_was_at_worst_since_the_last(stage: WorkerStage) -> None:
    for lateness in ((0.25, 0.5, 0.125), (), (0.0625,)):
        for seconds in lateness:
            stage.loop.statistics.lateness.add_value(seconds)
        stage.channel.send_report(with_statistics=True)
    conditions = [report.condition for report in stage.heard()]
    assert [one and one.lateness for one in conditions] == [0.5, 0.0, 0.0625]


def test_a_slow_parent_gets_every_verdict_and_its_statistics_later_in_one(
    stage: WorkerStage,
) -> None:
    found = stage.find(500)
    stage.loop.statistics.lateness.add_value(0.0)
    stage.channel.send_report(with_statistics=False)
    stage.channel.send_report(with_statistics=True)
    stage.loop.statistics.lateness.add_value(0.0)
    reports = stage.heard()
    assert [each for report in reports for each in report.verdicts] == found
    assert [report.stats for report in reports] == [None, None]
    stage.channel.send_report(with_statistics=True)
    (report,) = stage.heard()
    assert report.stats is not None
    assert sum(report.stats.lateness[0]) == 2


def test_a_verdict_not_yet_reported_when_its_check_is_cancelled_is_dropped(
    stage: WorkerStage,
) -> None:
    _, other = stage.find(2)
    stage.parent.sendall(pack_message(CancelChecks(backends=(ObjectKey("ns", "b0"),))))
    stage.loop.run_once(1)
    stage.channel.send_report(with_statistics=False)
    assert stage.heard() == [WorkerReport(verdicts=(other,))]


def test_records_of_probes_come_with_the_statistics_once(stage: WorkerStage) -> None:
    followed = FollowProbes(backends=frozenset({ObjectKey("ns", "b")}))
    stage.parent.sendall(pack_message(followed))
    stage.loop.run_once(1)
    assert stage.loop._followed == followed.backends
    record = ProbeRecord(ObjectKey("ns", "b"), 1.5, 0.25, ProbeCode.L4OK, "connected")
    stage.loop._records.append(record)
    stage.channel.send_report(with_statistics=False)
    assert stage.heard() == []
    for _ in range(2):
        stage.channel.send_report(with_statistics=True)
    assert [report.records for report in stage.heard()] == [(record,), ()]


def test_the_channel_ends_with_its_parent(stage: WorkerStage) -> None:
    stage.parent.close()
    stage.loop.run_once(1)
    assert not stage.channel.open


@pytest.mark.parametrize(
    ("name", "path"),
    [("blue", "/var/run/netns/blue"), ("/proc/7/ns/net", "/proc/7/ns/net"), ("./x", "x")],
)
def test_a_namespace_is_named_or_a_path(name: str, path: str) -> None:
    assert namespace_path(name) == Path(path)


def test_a_namespace_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        NetworkNamespace("no-such-namespace").enter_namespace()


def test_what_is_no_namespace_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        NetworkNamespace(str(tmp_path / "file")).enter_namespace()


@pytest.mark.privileged
def test_a_name_that_comes_to_stand_for_another_namespace_or_none_is_noticed(
    tmp_path: Path,
) -> None:
    name = tmp_path / "blue"
    name.symlink_to("/proc/self/ns/net")
    namespace = NetworkNamespace(str(name))
    namespace.enter_namespace()
    assert namespace.describe_loss() is None
    name.unlink()
    assert namespace.describe_loss() == "is gone"
    name.symlink_to("/proc/self/ns/mnt")  # any other
    assert namespace.describe_loss() == "was made anew"
    name.unlink()
    name.symlink_to("/proc/self/ns/net")
    assert namespace.describe_loss() is None
