"""How late a probing process was: by its reports, and by those that do not come."""

import pytest

from vpplb.probers.lateness_record import WINDOW, LatenessRecord
from vpplb.probers.worker_messages import REPORT_EVERY


class Watch:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def record(watch: Watch) -> LatenessRecord:
    return LatenessRecord(watch)


def _report(record: LatenessRecord, watch: Watch, *late: float) -> None:
    for seconds in late:
        watch.now += REPORT_EVERY
        record.note_report(seconds)


def test_the_worst_of_late_counts_for_half_a_minute(record: LatenessRecord, watch: Watch) -> None:
    _report(record, watch, 0.001, 0.7, 0.002)
    assert record.worst_seconds() == 0.7
    _report(record, watch, *[0.003] * int(WINDOW / REPORT_EVERY - 1))
    assert record.worst_seconds() == 0.7
    _report(record, watch, 0.003)
    assert record.worst_seconds() == 0.003


def test_a_process_that_hangs_is_ever_later(record: LatenessRecord, watch: Watch) -> None:
    _report(record, watch, 0.001)
    watch.now += REPORT_EVERY + 4
    assert record.worst_seconds() == pytest.approx(4)
    watch.now += 1
    assert record.worst_seconds() == pytest.approx(5)


def test_what_was_overdue_is_remembered_once_it_comes(record: LatenessRecord, watch: Watch) -> None:
    watch.now += REPORT_EVERY + 4
    record.note_report(0.001)
    assert record.worst_seconds() == pytest.approx(4)


def test_a_process_that_is_on_time_is_not_late(record: LatenessRecord, watch: Watch) -> None:
    _report(record, watch, 0.0)
    assert record.worst_seconds() == 0.0
