"""Flows as VPP's lb plugin sees them: their hash, and which server they go to.

Source: src/plugins/lb/node.c (lb_node_fn) and lbhash.h of VPP 26.10, as compiled for x86-64 with
SSE 4.2 (the least that VPP runs on there), where the hash is CRC-32C. What looks odd is VPP's: a
flushed entry stays taken until it times out, a flow without a server takes a new entry with each
packet, and an entry that has timed out still holds on to its server until another flow needs it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vpplb.model.vip import IPAddress, LbConf
from vpplb.simulator.counters import PacketKind

TCP, UDP = 6, 17

ENTRIES_PER_BUCKET = 4
_NO_VIP = 0xFFFFFFFF
_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected


class FiveTuple(NamedTuple):
    """A packet as far as it matters: addresses of one family, IP protocol number, ports.

    The ports of protocols other than TCP and UDP do not matter: VPP reads them as 0.
    """

    source: IPAddress
    destination: IPAddress
    protocol: int
    source_port: int = 0
    destination_port: int = 0

    @property
    def has_ports(self) -> bool:
        return self.protocol in (TCP, UDP)


def _crc_table() -> tuple[int, ...]:
    def entry(number: int) -> int:
        for _ in range(8):
            number = number >> 1 ^ (_POLYNOMIAL if number & 1 else 0)
        return number

    return tuple(entry(number) for number in range(256))


_CRC = _crc_table()


def crc32c(data: bytes) -> int:
    """Return what the processor's crc32 instructions make of `data`, from 0, not inverted."""
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def flow_hash(flow: FiveTuple, *, sticky: bool) -> int:
    """Return the 32-bit hash by which VPP knows a flow; with `sticky`, by addresses alone.

    The hash is over five words of 8 bytes: addresses and ports as they are in the packet, but
    with the destination port first (lb_node_get_hash).
    """
    data = flow.source.packed + flow.destination.packed
    if flow.has_ports and not sticky:
        data += flow.destination_port.to_bytes(2, "big") + flow.source_port.to_bytes(2, "big")
    return crc32c(data.ljust(40, b"\0"))


@dataclass(slots=True)
class FlowEntry:
    """What is remembered of a flow; `timeout` is in seconds of VPP's clock, `value` an AS index."""

    hash: int = 0
    timeout: int = 0
    vip: int = 0
    value: int = 0


class StickyTable:
    """The flows of one thread: `buckets` (a power of two) of four entries each.

    `references` counts the entries of each AS index, those of all threads together.
    """

    def __init__(self, buckets: int, references: Counter[int]) -> None:
        self.buckets = buckets
        self._references = references
        self._taken: dict[int, tuple[FlowEntry, ...]] = {}
        """By number; a bucket that is not here holds nothing yet."""

    def find_flow(
        self, hash_: int, vip: int, now: int, timeout: int
    ) -> tuple[int, FlowEntry | None]:
        """Return the AS index of a flow, or 0; and the first entry that is free (lb_hash_get).

        The entry found lives for another `timeout` seconds.
        """
        bucket = self._taken.setdefault(
            hash_ & self.buckets - 1, tuple(FlowEntry() for _ in range(ENTRIES_PER_BUCKET))
        )
        free = next((entry for entry in bucket if entry.timeout <= now), None)
        for entry in bucket:
            if entry.timeout > now and (entry.hash, entry.vip) == (hash_, vip):
                entry.timeout = now + timeout
                return entry.value, free
        return 0, free

    def put_flow(self, entry: FlowEntry, hash_: int, vip: int, value: int, timeout: int) -> None:
        """Remember a flow in a free entry, until `timeout` (lb_hash_put)."""
        self._move_reference(entry, value)
        entry.hash, entry.timeout, entry.vip, entry.value = hash_, timeout, vip, value

    def flush_flows(self, vip: int, value: int | None) -> None:
        """Forget the flows of a VIP, or only those to one AS (lb_flush_vip_as)."""
        for entry in self._iter_entries():
            if entry.vip == vip and value in (None, entry.value):
                self._move_reference(entry, 0)
                entry.vip, entry.value = _NO_VIP, 0

    def drop_references(self) -> None:
        """Drop the references to all servers, before the table is given up."""
        for entry in self._iter_entries():
            self._move_reference(entry, 0)

    def count_used(self, now: int) -> int:
        """Return the number of entries that have not timed out (lb_hash_elts)."""
        return sum(entry.timeout >= now for entry in self._iter_entries())

    def _iter_entries(self) -> Iterator[FlowEntry]:
        return (entry for bucket in self._taken.values() for entry in bucket)

    def _move_reference(self, entry: FlowEntry, value: int) -> None:
        self._references[entry.value] -= 1
        self._references[value] += 1


NO_SERVER = 0
"""Index of the application server that stands for none: its packets are dropped."""


class NotModelled(Exception):
    """Real VPP would do it, or break; the simulator does not know what it would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerChoice:
    """The server, by index, that the plugin chose for a packet, and how it counts the packet."""

    server: int
    kind: PacketKind


class FlowTables:
    """The flow tables of all threads. Times are in whole seconds of VPP's clock."""

    def __init__(self, threads: int) -> None:
        self.flows: Counter[int] = Counter()
        """Entries by AS index; one that has any is not collected."""
        self._tables: list[StickyTable | None] = [None] * threads

    def choose_server(
        self,
        thread: int,
        hash_: int,
        vip: int,
        new_flows: Sequence[int],
        conf: LbConf,
        now: int,
    ) -> ServerChoice:
        """Choose the server of a packet, and remember it where there is room.

        `new_flows` holds the AS index of each bucket. IndexError when there is no such thread.
        """
        table = self._get_table(thread, conf.sticky_buckets_per_core)
        server, free = table.find_flow(hash_, vip, now, conf.flow_timeout)
        if server != NO_SERVER:
            return ServerChoice(server=server, kind=PacketKind.EXISTING)
        server = new_flows[hash_ & len(new_flows) - 1]
        if free is None:
            return ServerChoice(server=server, kind=PacketKind.UNTRACKED)
        table.put_flow(free, hash_, vip, server, now + conf.flow_timeout)
        kind = PacketKind.FIRST if server != NO_SERVER else PacketKind.NO_SERVER
        return ServerChoice(server=server, kind=kind)

    def flush_flows(self, vip: int, server: int | None = None) -> None:
        """Forget the flows of a VIP, or only those to one server."""
        for table in self._tables:
            if table is not None:
                table.flush_flows(vip, server)

    def table_usage(self, now: int) -> list[tuple[int, int, int]]:
        """Return thread, used entries and size of each table there is, as VPP reckons the size."""
        return [
            (thread, table.count_used(now), table.buckets - 1 + ENTRIES_PER_BUCKET)
            for thread, table in enumerate(self._tables)
            if table is not None
        ]

    def _get_table(self, thread: int, buckets: int) -> StickyTable:
        """Return a thread's table; a new and empty one when its size is to be another."""
        if not buckets:
            raise NotModelled("VPP breaks at the first packet with sticky buckets 0")
        table = self._tables[thread]
        if table is not None and table.buckets != buckets:
            table.drop_references()
            table = None
        if table is None:
            table = self._tables[thread] = StickyTable(buckets, self.flows)
        return table
