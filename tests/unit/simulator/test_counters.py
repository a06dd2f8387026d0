import mmap
from collections.abc import Iterator
from typing import Any

import pytest
from vpp_papi.vpp_stats import VPPStats

from vpplb.simulator.counters import NAMES, PacketCounters, PacketKind, SegmentFull, StatsSegment


class ShownCounters(StatsSegment):
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


@pytest.fixture
def segment() -> Iterator[StatsSegment]:
    made = StatsSegment(2)
    yield made
    made.close()


@pytest.fixture
def reader(segment: StatsSegment) -> Iterator[Any]:
    """A client that has got the segment already."""
    client = VPPStats()
    client.size = 32 << 20
    client.statseg = mmap.mmap(segment.fd, client.size, mmap.MAP_SHARED, mmap.PROT_READ)
    client.refresh()
    client.connected = True
    yield client
    client.disconnect()


def test_there_are_no_counters_before_the_first_vip(reader: Any) -> None:
    assert (reader.version, reader.directory) == (2, {})


def test_counters_have_vpps_names_a_row_a_thread_and_a_place_an_index(
    segment: StatsSegment, reader: Any
) -> None:
    segment.resize_rows(3)
    segment.set_packets(PacketKind.FIRST, 1, 2, 1 << 40)
    segment.set_packets(PacketKind.NO_SERVER, 0, 1, 7)
    assert reader["first session packet"] == [[0, 0, 0], [0, 0, 1 << 40]]
    assert reader["no server configured"] == [[0, 7, 0], [0, 0, 0]]
    assert set(reader.directory) == set(NAMES)
    assert reader["first session packet"][:, 2].sum() == 1 << 40


def test_what_was_counted_stays_when_more_vips_need_more_room(
    segment: StatsSegment, reader: Any
) -> None:
    for length in range(1, 200):
        segment.resize_rows(length)
        segment.set_packets(PacketKind.EXISTING, 0, length - 1, length)
    assert reader["packet from existing sessions"] == [list(range(1, 200)), [0] * 199]


def test_a_client_is_told_that_things_have_moved(segment: StatsSegment, reader: Any) -> None:
    before = reader.epoch
    segment.resize_rows(1)
    assert reader.epoch == before + 1
    assert not reader.in_progress


def test_more_counters_than_there_is_room_for_are_an_error() -> None:
    small = StatsSegment(1, size=8192)
    small.resize_rows(50)
    with pytest.raises(SegmentFull):
        small.resize_rows(500)
    small.close()
