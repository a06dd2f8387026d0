"""The packets of each VIP as VPP counts them, by kind, thread and the VIP's index.

Clients read them in a stats segment. Its memory begins with a header that points to the directory,
a vector of entries (type, pointer, name). An entry of simple counters points to a vector of
pointers, one a thread, each to a vector of u64. A vector's length is a u32, 8 bytes before its
first element. Pointers are addresses in VPP, from which clients subtract the base that the header
tells. What may move things is done while `in_progress` is set, and raises the `epoch`.

Source: src/vlib/stats/shared.h of VPP 26.10, and vpp_papi/vpp_stats.py.
"""

import mmap
import os
import struct
from enum import IntEnum


class PacketKind(IntEnum):
    """What became of a packet to a VIP (lb.h, lb_foreach_vip_counter)."""

    EXISTING = 0
    FIRST = 1
    UNTRACKED = 2
    NO_SERVER = 3


NAMES = (
    "packet from existing sessions",
    "first session packet",
    "untracked packet",
    "no server configured",
)
"""By kind: the names in the stats segment and in `show lb vips verbose`."""


SIZE = 32 << 20
"""Bytes of the segment (STAT_SEGMENT_DEFAULT_SIZE); only those written to take memory."""

_VERSION = 2
_BASE = 0x7F00_0000_0000
_SIMPLE = 2  # STAT_DIR_TYPE_COUNTER_VECTOR_SIMPLE
_HEADER = struct.Struct("=QQQQQ")  # version, base, epoch, in_progress, directory
_EPOCH = struct.Struct("=QQ")
_EPOCH_AT = 16
_ENTRY = struct.Struct("=I4xQ128s")
_U64 = struct.Struct("=Q")
_LENGTH = struct.Struct("=I")
_LINE = 64
_FIRST = 4096


class SegmentFull(MemoryError):
    """There are more counters than the segment has room for; VPP aborts then."""


class StatsSegment:
    """The segment of a VPP with `threads` threads, in memory that `fd` can be handed out for."""

    def __init__(self, threads: int, size: int = SIZE) -> None:
        self.fd = os.memfd_create("vpplb-stats", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, size)
        self._segment = mmap.mmap(self.fd, size)
        self._threads = threads
        self._free = _FIRST
        self._capacity = 0
        self._rows = [[0] * threads for _ in PacketKind]
        """Where each row of counters begins."""
        self._epoch = 1
        directory = self._allocate_vector(0, 0)
        _HEADER.pack_into(self._segment, 0, _VERSION, _BASE, self._epoch, 0, _BASE + directory)

    def close(self) -> None:
        """Give the memory up; clients that have it keep it, as it is."""
        self._segment.close()
        os.close(self.fd)

    def resize_rows(self, length: int) -> None:
        """Have this many counters in each row.

        SegmentFull when they do not fit. Rows that have to move leave their old place unused: they
        double, so that is not much.
        """
        _EPOCH.pack_into(self._segment, _EPOCH_AT, self._epoch, 1)
        if length > self._capacity:
            self._grow_rows(max(length, 2 * self._capacity))
        for row in (row for rows in self._rows for row in rows):
            _LENGTH.pack_into(self._segment, row - 8, length)
        self._epoch += 1
        _EPOCH.pack_into(self._segment, _EPOCH_AT, self._epoch, 0)

    def set_packets(self, kind: PacketKind, thread: int, index: int, packets: int) -> None:
        row = self._rows[kind][thread]
        _U64.pack_into(self._segment, row + _U64.size * index, packets)

    def _grow_rows(self, capacity: int) -> None:
        directory = self._allocate_vector(len(PacketKind), _ENTRY.size)
        for kind in PacketKind:
            pointers = self._allocate_vector(self._threads, _U64.size)
            for thread in range(self._threads):
                row, old = self._allocate_vector(capacity, _U64.size), self._rows[kind][thread]
                self._segment[row : row + 8 * self._capacity] = self._segment[
                    old : old + 8 * self._capacity
                ]
                self._rows[kind][thread] = row
                _U64.pack_into(self._segment, pointers + _U64.size * thread, _BASE + row)
            entry = (_SIMPLE, _BASE + pointers, NAMES[kind].encode())
            _ENTRY.pack_into(self._segment, directory + _ENTRY.size * kind, *entry)
        _U64.pack_into(self._segment, _HEADER.size - _U64.size, _BASE + directory)
        self._capacity = capacity

    def _allocate_vector(self, length: int, element: int) -> int:
        """Take memory for a vector; return where its first element is."""
        start = self._free + _LINE
        end = start + length * element
        if end >= len(self._segment):
            raise SegmentFull(f"no room for {length} counters in a stats segment")
        _LENGTH.pack_into(self._segment, start - 8, length)
        self._free = (end + _LINE - 1) // _LINE * _LINE
        return start


class PacketCounters:
    """The counters of `threads` threads. There are none until the first VIP is added."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._length = 0
        self._rows = [[list[int]() for _ in range(threads)] for _ in PacketKind]
        self._mirror: StatsSegment | None = None

    def reset_vip(self, index: int) -> None:
        if index >= self._length:
            self._length = index + 1
            for row in (row for rows in self._rows for row in rows):
                row.extend([0] * (self._length - len(row)))
            if self._mirror is not None:
                self._mirror.resize_rows(self._length)
        for kind in PacketKind:
            for thread in range(self.threads):
                self._set_packets(kind, thread, index, 0)

    def count_packet(self, kind: PacketKind, thread: int, index: int) -> None:
        self._set_packets(kind, thread, index, self._rows[kind][thread][index] + 1)

    def total_packets(self, kind: PacketKind, index: int) -> int:
        return sum(row[index] for row in self._rows[kind])

    def set_mirror(self, mirror: StatsSegment | None) -> None:
        """Show all counters in `mirror` from now on; None: nowhere."""
        self._mirror = mirror
        if mirror is None or not self._length:
            return
        mirror.resize_rows(self._length)
        for kind in PacketKind:
            for thread, row in enumerate(self._rows[kind]):
                for index, packets in enumerate(row):
                    mirror.set_packets(kind, thread, index, packets)

    def _set_packets(self, kind: PacketKind, thread: int, index: int, packets: int) -> None:
        self._rows[kind][thread][index] = packets
        if self._mirror is not None:
            self._mirror.set_packets(kind, thread, index, packets)
