"""The packets of each VIP as VPP counts them, by kind, thread and the VIP's index."""

from enum import IntEnum
from typing import Protocol


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


class CounterMirror(Protocol):
    """Shows the counters to other processes."""

    def resize_rows(self, length: int) -> None:
        """Have room for this many VIP indexes in each row."""

    def set_packets(self, kind: PacketKind, thread: int, index: int, packets: int) -> None:
        """Show the value of a counter."""


class PacketCounters:
    """The counters of `threads` threads. There are none until the first VIP is added."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._length = 0
        self._rows = [[list[int]() for _ in range(threads)] for _ in PacketKind]
        self._mirror: CounterMirror | None = None

    def reset_vip(self, index: int) -> None:
        """Set the counters of an index to 0, for a new VIP."""
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

    def set_mirror(self, mirror: CounterMirror | None) -> None:
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
