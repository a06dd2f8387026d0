from vpplb.simulator.counters import PacketCounters, PacketKind


class ShownCounters:
    """What a mirror was told."""

    def __init__(self) -> None:
        self.length = 0
        self.values: dict[tuple[PacketKind, int, int], int] = {}

    def resize_rows(self, length: int) -> None:
        self.length = length

    def set_packets(self, kind: PacketKind, thread: int, index: int, packets: int) -> None:
        assert index < self.length
        self.values[kind, thread, index] = packets


def test_packets_are_counted_by_kind_thread_and_index() -> None:
    counters = PacketCounters(2)
    counters.reset_vip(3)
    counters.count_packet(PacketKind.FIRST, 0, 3)
    counters.count_packet(PacketKind.FIRST, 1, 3)
    counters.count_packet(PacketKind.EXISTING, 1, 3)
    assert [counters.total_packets(kind, 3) for kind in PacketKind] == [1, 2, 0, 0]
    assert [counters.total_packets(kind, 1) for kind in PacketKind] == [0, 0, 0, 0]


def test_a_mirror_is_shown_what_was_counted_before_and_after() -> None:
    counters, shown = PacketCounters(1), ShownCounters()
    counters.reset_vip(1)
    counters.count_packet(PacketKind.FIRST, 0, 1)
    counters.set_mirror(shown)
    counters.count_packet(PacketKind.FIRST, 0, 1)
    assert (shown.length, shown.values[PacketKind.FIRST, 0, 1]) == (2, 2)
    counters.reset_vip(4)
    assert (shown.length, shown.values[PacketKind.FIRST, 0, 4]) == (5, 0)


def test_a_mirror_that_is_let_go_is_shown_no_more() -> None:
    counters, shown = PacketCounters(1), ShownCounters()
    counters.set_mirror(shown)
    assert shown.length == 0
    counters.reset_vip(1)
    counters.set_mirror(None)
    counters.count_packet(PacketKind.FIRST, 0, 1)
    assert shown.values[PacketKind.FIRST, 0, 1] == 0


def test_a_reset_counts_from_zero() -> None:
    counters = PacketCounters(1)
    counters.reset_vip(1)
    counters.count_packet(PacketKind.NO_SERVER, 0, 1)
    counters.reset_vip(1)
    assert counters.total_packets(PacketKind.NO_SERVER, 1) == 0
