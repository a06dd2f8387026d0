from vpplb.simulator.counters import Kind, VipCounters


class Shown:
    """What a mirror was told."""

    def __init__(self) -> None:
        self.length = 0
        self.values: dict[tuple[Kind, int, int], int] = {}

    def resize(self, length: int) -> None:
        self.length = length

    def put(self, kind: Kind, thread: int, index: int, packets: int) -> None:
        assert index < self.length
        self.values[kind, thread, index] = packets


def test_packets_are_counted_by_kind_thread_and_index() -> None:
    counters = VipCounters(2)
    counters.reset(3)
    counters.count(Kind.FIRST, 0, 3)
    counters.count(Kind.FIRST, 1, 3)
    counters.count(Kind.EXISTING, 1, 3)
    assert [counters.total(kind, 3) for kind in Kind] == [1, 2, 0, 0]
    assert [counters.total(kind, 1) for kind in Kind] == [0, 0, 0, 0]


def test_a_mirror_is_shown_what_was_counted_before_and_after() -> None:
    counters, shown = VipCounters(1), Shown()
    counters.reset(1)
    counters.count(Kind.FIRST, 0, 1)
    counters.attach(shown)
    counters.count(Kind.FIRST, 0, 1)
    assert (shown.length, shown.values[Kind.FIRST, 0, 1]) == (2, 2)
    counters.reset(4)
    assert (shown.length, shown.values[Kind.FIRST, 0, 4]) == (5, 0)


def test_a_mirror_that_is_let_go_is_shown_no_more() -> None:
    counters, shown = VipCounters(1), Shown()
    counters.attach(shown)
    assert shown.length == 0
    counters.reset(1)
    counters.attach(None)
    counters.count(Kind.FIRST, 0, 1)
    assert shown.values[Kind.FIRST, 0, 1] == 0


def test_a_reset_counts_from_zero() -> None:
    counters = VipCounters(1)
    counters.reset(1)
    counters.count(Kind.NO_SERVER, 0, 1)
    counters.reset(1)
    assert counters.total(Kind.NO_SERVER, 1) == 0
