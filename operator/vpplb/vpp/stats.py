"""The packets of each VIP, read from VPP's stats segment: shared memory, got from a socket.

vpp_papi reads the segment. VPP quirk: stats client. Left to itself it waits without end while
VPP changes it, or has died changing it; and it goes on reading the memory of a VPP that is no
more. So each reading gets the segment anew, which takes VPP an `accept` and a message, and has a
deadline. It runs in a thread of its own: with 1,000 VIPs and a directory of 3,000 names it takes
10 ms.
"""

import asyncio
import mmap
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from vpp_papi import vpp_stats

from vpplb.model.vip import VipId
from vpplb.sync.ports import LoadBalancerGone, PacketTally

TIMEOUT = 1.0
"""Seconds for VPP to hand out its segment, and for as long again to let it be read."""

_VERSION = 2
_SIMPLE = 2
"""Type of a counter with a row of values a thread (vlib/stats/shared.h)."""
_PAUSE = 0.0005
_MOST_NAMES, _MOST_THREADS, _MOST_VALUES = 100_000, 512, 4_000_000
"""What a segment has at most: names, threads, values of one counter over all threads. Beyond what
VPP has; where memory says more it is not VPP's, or broken, and copying it would hurt."""
_NAMES = (
    "packet from existing sessions",
    "first session packet",
    "untracked packet",
    "no server configured",
)
"""Names of the counters, in the order of the fields of `PacketTally`."""


class PapiVipCounters:
    """Implements `sync.ports.VipCounters` for the VPP behind a stats socket."""

    def __init__(self, stats_socket: Path, *, timeout: float = TIMEOUT) -> None:
        self._socket, self._timeout = stats_socket, timeout

    async def read(self, indexes: Mapping[VipId, int]) -> Mapping[VipId, PacketTally]:
        """Return the packets of each VIP, by its index among the counters (LoadBalancerGone)."""
        existing, first, untracked, no_server = await asyncio.to_thread(self._read_rows)
        return {
            vip: PacketTally(
                existing=existing[index],
                first=first[index],
                untracked=untracked[index],
                no_server=no_server[index],
            )
            for vip, index in indexes.items()
            if index < min(map(len, (existing, first, untracked, no_server)))
        }

    def _read_rows(self) -> Sequence[Sequence[int]]:
        """Return each counter's values by index, those of all threads together.

        A VPP that never had a VIP has none.
        """
        try:
            with _open_segment(self._socket, self._timeout) as segment:
                return [_sum_threads(segment, name) for name in _NAMES]
        except OSError as error:
            reason = error.strerror or str(error)
            raise LoadBalancerGone(f"{self._socket}: {reason}") from error
        except (_NotInTime, LookupError, ValueError, ArithmeticError, struct.error) as error:
            raise LoadBalancerGone(f"{self._socket}: no readable stats segment: {error}") from error


def _sum_threads(segment: Any, name: str) -> Sequence[int]:
    if name not in segment.directory:
        return ()
    _check_stable(segment, partial(_check_counter, segment, name))
    return [sum(values) for values in zip(*segment[name], strict=False)]


def _check_stable(segment: Any, check: Callable[[], None]) -> None:
    """Run a check of VPP's memory (ValueError) until VPP changed nothing meanwhile."""
    while True:
        try:
            with segment.lock:
                check()
        except OSError:
            continue  # the lock has a deadline
        return


def _check_directory(segment: Any) -> None:
    _vector_length(segment, segment.directory_vector, _MOST_NAMES, "its directory")


def _check_counter(segment: Any, name: str) -> None:
    entry = segment.directory[name]
    if entry.type != _SIMPLE:
        raise ValueError(f"{name} is of type {entry.type}, not {_SIMPLE}")
    threads = _vector_length(segment, entry.value, _MOST_THREADS, name)
    if threads:
        first = entry.value - segment.base
        for (row,) in struct.iter_unpack("=Q", segment.statseg[first : first + 8 * threads]):
            _vector_length(segment, row, _MOST_VALUES // threads, name)


def _vector_length(segment: Any, pointer: int, most: int, what: str) -> int:
    length: int = vpp_stats.get_vec_len(segment, pointer - segment.base)
    if length > most:
        raise ValueError(f"{what} has {length} entries")
    return length


@contextmanager
def _open_segment(path: Path, timeout: float) -> Iterator[Any]:
    """Open the segment that VPP hands out, for vpp_papi to read."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(timeout)
        sock.connect(str(path))
        descriptor = vpp_stats.recv_fd(sock)
    segment = vpp_stats.VPPStats(str(path))
    try:
        segment.size = os.fstat(descriptor).st_size
        segment.statseg = mmap.mmap(descriptor, segment.size, mmap.MAP_SHARED, mmap.PROT_READ)
    finally:
        os.close(descriptor)
    with segment.statseg:
        if segment.version != _VERSION:
            raise ValueError(f"its version is {segment.version}, not {_VERSION}")
        segment.lock = _SegmentLock(segment, time.monotonic() + timeout)
        _check_stable(segment, partial(_check_directory, segment))
        segment.refresh()
        segment.connected = True
        yield segment


class _NotInTime(Exception):
    """VPP went on changing the segment, or stopped amid a change."""


class _SegmentLock:
    """In place of vpp_papi's own optimistic lock, which waits without end and without sleep.

    OSError at the end, to vpp_papi, says that what was read in between is to be read again.
    """

    def __init__(self, segment: Any, deadline: float) -> None:
        self._segment, self._deadline = segment, deadline
        self._epoch = 0

    def __enter__(self) -> None:
        while True:
            self._epoch = self._segment.epoch
            if not self._segment.in_progress:
                return
            if time.monotonic() > self._deadline:
                raise _NotInTime("VPP does not finish changing it")
            time.sleep(_PAUSE)

    def __exit__(self, *raised: object) -> None:
        if time.monotonic() > self._deadline:
            raise _NotInTime("VPP keeps changing it")
        if self._segment.in_progress or self._segment.epoch != self._epoch:
            raise OSError("changed meanwhile")
