from data.objects import NOON, key
from fakes.clock import FakeClock
from vpplb.model.health import ProbeCode
from vpplb.model.names import ObjectKey
from vpplb.probers.probe_histories import KEPT, LENGTH, MOST, ProbeHistories
from vpplb.reconcile.ports import ProbeRecord

A, B = key("a"), key("b")


def make_record(backend: ObjectKey, took: float = 0.001) -> ProbeRecord:
    return ProbeRecord(backend, NOON.timestamp(), took, ProbeCode.L4OK, "connected")


class HistoryStage:
    """Histories, their clock, and what workers were told of whom to follow."""

    def __init__(self) -> None:
        self.time, self.told = 0.0, list[frozenset[ObjectKey]]()
        self.histories = ProbeHistories(self.told.append, FakeClock(), lambda: self.time)

    def count(self, backend: ObjectKey) -> int:
        return len(self.histories.show_history(backend, is_probed=True).records)


def test_a_history_begins_when_it_is_asked_for_and_workers_are_told_once() -> None:
    stage = HistoryStage()
    stage.histories.add_records([make_record(A)])
    assert stage.histories.show_history(A, is_probed=True) == (True, None, ())
    for _ in range(3):
        stage.histories.follow_backends([A])
    assert stage.told == [{A}]
    stage.histories.add_records([make_record(A), make_record(B)])
    history = stage.histories.show_history(A, is_probed=False)
    assert (history.is_probed, history.since) == (False, FakeClock().now())
    assert [record for _, record in history.records] == [make_record(A)]
    assert stage.count(B) == 0


def test_it_ends_when_nobody_has_asked_for_a_minute_and_workers_are_told() -> None:
    stage = HistoryStage()
    stage.histories.follow_backends([A, B])
    stage.histories.add_records([make_record(A), make_record(B)])
    stage.time = KEPT
    stage.histories.follow_backends([A])
    stage.histories.end_unasked()
    assert stage.told == [{A, B}]
    stage.time += 1
    stage.histories.end_unasked()
    stage.histories.end_unasked()
    assert stage.told == [{A, B}, {A}]
    assert (stage.count(A), stage.count(B)) == (1, 0)


def test_only_the_last_probes_are_kept_and_their_numbers_grow() -> None:
    stage = HistoryStage()
    stage.histories.follow_backends([A, B])
    for n in range(LENGTH + 5):
        stage.histories.add_records([make_record(A, n), make_record(B, n)])
    records = stage.histories.show_history(A, is_probed=True).records
    assert [record.took for _, record in records] == list(range(5, LENGTH + 5))
    numbers = [number for number, _ in records]
    assert numbers == sorted(set(numbers))


def test_there_is_room_for_so_many_and_it_is_given_back() -> None:
    stage = HistoryStage()
    stage.histories.follow_backends([key(f"b{n}") for n in range(MOST)])
    stage.histories.follow_backends([A])
    assert len(stage.told) == 1
    assert stage.histories.show_history(A, is_probed=True).since is None
    stage.time = KEPT + 1
    stage.histories.end_unasked()
    stage.histories.follow_backends([A])
    assert stage.told[1:] == [set(), {A}]
