"""Which server a packet goes to: the lb plugin's nodes, without the encapsulation.

Source: lb_node_fn and lb_get_sticky_table in VPP's src/plugins/lb/node.c.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from vpplb.model.vip import LbConf
from vpplb.simulator.counters import PacketKind
from vpplb.simulator.flows import ENTRIES_PER_BUCKET, StickyTable

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
