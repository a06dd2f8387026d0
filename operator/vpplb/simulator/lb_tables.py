"""The rows of the lb plugin: VIPs and servers as they are, and what is worked out from them.

Sans-I/O and synchronous, after src/plugins/lb/lb.c of VPP 26.10. `lb.LoadBalancerState` changes
them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator

from vpplb.model.vip import AppServer, Encap, IPAddress, LbConf, Vip, VipSettings, VipTable
from vpplb.plan import maglev_table
from vpplb.simulator.counters import PacketCounters
from vpplb.simulator.flows import NO_SERVER, FlowTables
from vpplb.simulator.rows import (
    NAT,
    ServerRow,
    VipKey,
    VipRow,
    VppAborted,
    VppPool,
    to_address,
    vip_id,
)

GARBAGE_RUN = 60
"""Seconds between two collections of removed servers and VIPs (LB_GARBAGE_RUN)."""

CONCURRENCY_TIMEOUT = 10
"""Seconds for which a removed server is kept at least (LB_CONCURRENCY_TIMEOUT)."""


class LbTables:
    """VIPs, servers, counters and flows. Arguments as those of `LoadBalancerState`."""

    def __init__(self, uptime: Callable[[], float], threads: int = 1) -> None:
        self._uptime = uptime
        self._next_collection = GARBAGE_RUN
        self._forwarding = FlowTables(threads)
        self.counters = PacketCounters(threads)
        self.conf = LbConf()
        self.vips: VppPool[VipRow] = VppPool(VipRow)
        self.servers: VppPool[ServerRow] = VppPool(ServerRow)
        self._by_prefix: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        """Indexes of the VIPs in use, by address and prefix length."""
        self._mappings: set[tuple[int, int]] = set()
        """Static SNAT mappings: server's address and target port (lb.h, mapping_by_as4)."""
        self.vips.take_index()  # VPP's own placeholders, number 0
        self.servers.take_index()

    # --- reading -----------------------------------------------------------------------------

    def vip_rows(self) -> Iterator[tuple[int, VipRow]]:
        """Iterate over index and row of all VIPs, removed ones too, in VPP's order."""
        return ((index, self.vips[index]) for index in self.vips if index)

    def server_indexes(self, row: VipRow) -> list[int]:
        """Return the indexes of a VIP's servers, lingering ones too, in VPP's order."""
        return [row.servers[slot][0] for slot in row.servers]

    def vip_shares(self, row: VipRow) -> dict[IPAddress, int]:
        """Return the buckets that each live server of a VIP has."""
        if row.shares is None:
            servers = (self.servers[index] for index in self.server_indexes(row))
            weights = {
                to_address(server.address): server.weight for server in servers if server.used
            }
            row.shares = maglev_table.count_buckets(weights, row.table_length)
        return row.shares

    def table(self) -> VipTable:
        """Return what is live in the model's terms; KeyError where it has none (protocols)."""
        return {vip_id(row.key): self._make_vip(row) for _, row in self.vip_rows() if row.used}

    def count_flows(self, server: int) -> int:
        """Return the entries of flows that a server, by index, has; timed-out ones too."""
        return self._forwarding.flows[server]

    def _new_flows(self, row: VipRow) -> list[int]:
        if row.new_flows is None:
            numbers = [n for n in self.server_indexes(row) if self.servers[n].used]
            numbers.sort(key=lambda number: self.servers[number].address)
            weights = {to_address(self.servers[n].address): self.servers[n].weight for n in numbers}
            owners = maglev_table.fill_table(weights, row.table_length)
            row.new_flows = [
                NO_SERVER if owner == maglev_table.EMPTY else numbers[owner] for owner in owners
            ]
        return row.new_flows

    # --- garbage -----------------------------------------------------------------------------

    def collect_garbage(self) -> None:
        """Do what VPP's collector has done by now: it runs each minute (`lb_gc_process`).

        Each run goes by its own time, not by that of the request that wants to see what is left.
        """
        while self._next_collection <= self._uptime_seconds():
            for index, row in self.vip_rows():
                self._collect_servers(row, self._next_collection)
                if not row.used and not len(row.servers):
                    self.vips.free_index(index)
            self._next_collection += GARBAGE_RUN

    def _collect_servers(self, row: VipRow, now: int) -> None:
        """Collect a VIP's servers as `lb_vip_garbage_collection` does: once in *over* a minute.

        VPP quirk: NAT by server and port. Two VIPs with one server and target port, or two lives of
        one VIP, have one mapping; when the second is collected it is not there, and VPP aborts.
        """
        if now <= row.last_collection + GARBAGE_RUN:
            return
        row.last_collection = now
        for slot in row.servers:
            index = row.servers[slot][0]
            server = self.servers[index]
            idle = now > server.last_used + CONCURRENCY_TIMEOUT and not self.count_flows(index)
            if not server.used and idle:
                mapping = (server.address, row.target_port)
                if row.has_mappings and mapping not in self._mappings:
                    raise VppAborted("the mapping of a NAT server was collected before (lb.c)")
                self._mappings.discard(mapping)
                row.servers.free_index(slot)
                self.servers.free_index(index)

    # --- details ---------------------------------------------------------------------------

    def _uptime_seconds(self) -> int:
        return int(self._uptime())

    def _find_vip(self, key: VipKey) -> int | None:
        key = key.stored_key
        return next((i for i in self._by_prefix[key[:2]] if self.vips[i].key == key), None)

    def _find_server(self, vip_index: int, address: int) -> int | None:
        for number in self.server_indexes(self.vips[vip_index]):
            server = self.servers[number]
            if server.vip_index == vip_index and server.address == address:
                return number
        return None

    def _make_vip(self, row: VipRow) -> Vip:
        shares = self.vip_shares(row)
        servers = (self.servers[index] for index in self.server_indexes(row))
        encap = row.type.encap
        return Vip(
            settings=VipSettings(
                encap=encap,
                dscp=row.encap_byte if encap is Encap.L3DSR else 0,
                target_port=row.target_port if encap in NAT else 0,
                src_ip_sticky=row.src_ip_sticky,
                table_length=row.table_length,
            ),
            servers={
                to_address(s.address): AppServer(
                    weight=s.weight, buckets=shares[to_address(s.address)]
                )
                for s in servers
                if s.used
            },
        )
