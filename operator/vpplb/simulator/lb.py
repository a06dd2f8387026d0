"""The state of VPP's lb plugin: VIPs, application servers, and what it says to each change.

Sans-I/O and synchronous. It follows src/plugins/lb/lb.c of VPP 26.10 (lb API 1.2.0) down to the
order of its checks, since that decides which error comes, and to its pools, since they decide
the order of dumps. Packets come as five-tuples (`forward`), and go no further than to the choice
of a server.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address

from vpplb.model.vip import AppServer, Encap, IPAddress, LbConf, Vip, VipSettings, VipTable
from vpplb.plan import maglev_table
from vpplb.simulator.counters import PacketCounters
from vpplb.simulator.flows import NO_SERVER, UDP, FiveTuple, FlowTables, NotModelled, flow_hash
from vpplb.simulator.rows import (
    IP4_BITS,
    IP6_BITS,
    NAT,
    NewVip,
    ServerRow,
    VipKey,
    VipRow,
    VipType,
    VppAborted,
    VppPool,
    VppRetval,
    servers_are_ip4,
    to_address,
    type_of,
    vip_id,
)

GARBAGE_RUN = 60
"""Seconds between two collections of removed servers and VIPs (LB_GARBAGE_RUN)."""

CONCURRENCY_TIMEOUT = 10
"""Seconds for which a removed server is kept at least (LB_CONCURRENCY_TIMEOUT)."""

NO_VIP = 0
"""Index of the VIP that takes packets to ports of a prefix at which there is no VIP."""

_FLOW_CLOCK = 10000
"""Seconds by which the clock of flows is ahead of VPP's uptime (lb_hash_time_now)."""


class LoadBalancerState:
    """One lb plugin of a VPP with `threads` threads. `uptime`: seconds since VPP's start."""

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

    # --- what the binary API does ------------------------------------------------------------

    def set_settings(
        self, ip4: IPv4Address, ip6: IPv6Address, buckets: int | None, timeout: int | None
    ) -> VppRetval:
        """Set everything at once (`lb_conf`); None leaves a number as it is."""
        buckets = self.conf.sticky_buckets_per_core if buckets is None else buckets
        if not _is_power_of_two(buckets):
            return VppRetval.INVALID_MEMORY_SIZE
        self.conf = LbConf(
            ipv4_source=ip4,
            ipv6_source=ip6,
            sticky_buckets_per_core=buckets,
            flow_timeout=self.conf.flow_timeout if timeout is None else timeout,
        )
        return VppRetval.OK

    def add_vip(self, key: VipKey, new: NewVip) -> VppRetval:
        """Add a VIP (`lb_vip_add`)."""
        type_ = type_of(key, new.encap)
        key = key.stored_key
        if (refusal := self._check_vip(key, type_, new)) is not VppRetval.OK:
            return refusal
        index = self.vips.take_index()
        self._by_prefix[key[:2]].append(index)
        row = self.vips[index]
        row.key, row.type, row.used = key, type_, True
        row.table_length, row.src_ip_sticky = new.table_length, new.src_ip_sticky
        if type_.encap is Encap.L3DSR:
            row.encap_byte = new.dscp
        elif type_.encap in NAT:
            row.encap_byte, row.target_port = new.service_type, new.target_port
        row.last_collection = self._uptime_seconds()
        row.servers = VppPool(lambda: [0])
        row.reset_tables()
        self.counters.reset_vip(index)
        return VppRetval.OK

    def delete_vip(self, key: VipKey) -> VppRetval:
        """Delete a VIP (`lb_vip_del`); it and its servers linger until collected."""
        index = self._find_vip(key)
        if index is None:
            return VppRetval.NO_SUCH_ENTRY
        row = self.vips[index]
        self._remove_servers(row, self.server_indexes(row))
        row.used = False
        self._by_prefix[row.key[:2]].remove(index)
        return VppRetval.OK

    def add_server(
        self, key: VipKey, address: int, weight: int, *, flush: bool = False
    ) -> VppRetval:
        """Add a server (`lb_vip_add_ass`); one that lingers is taken up again.

        Its flows are still its own then, but with `flush`.
        """
        index = self._find_vip(key)
        if index is None:
            return VppRetval.NO_SUCH_ENTRY
        row = self.vips[index]
        number = self._find_server(index, address)
        if number is not None and self.servers[number].used:
            return VppRetval.VALUE_EXIST
        if number is None:
            if (address < 1 << IP4_BITS) != servers_are_ip4(row.type):
                return VppRetval.INVALID_ADDRESS_FAMILY
            if row.type.encap in NAT and not row.key.port:
                # VPP quirk: servers of all-port NAT VIPs. There is no node for such a VIP.
                raise VppAborted("a server of an all-port NAT VIP has no node (lb_as_stack)")
            number = self._new_server(index, address)
            if row.has_mappings:
                self._mappings.add((address, row.target_port))
        elif flush:
            self._forwarding.flush_flows(index, number)
        self.servers[number].used, self.servers[number].weight = True, weight
        row.reset_tables()
        self._collect_servers(row, self._uptime_seconds())
        return VppRetval.OK

    def delete_server(self, key: VipKey, address: int, *, flush: bool = False) -> VppRetval:
        """Delete a server (`lb_vip_del_ass`), again if it lingers already.

        It goes on serving the flows it has, but with `flush`.
        """
        index = self._find_vip(key)
        number = None if index is None else self._find_server(index, address)
        if index is None or number is None:
            return VppRetval.NO_SUCH_ENTRY
        self._remove_servers(self.vips[index], [number])
        if flush:
            self._forwarding.flush_flows(index, number)
        return VppRetval.OK

    def set_weight(
        self, key: VipKey, address: int, weight: int, *, flush: bool = False
    ) -> VppRetval:
        """Set the weight of a live server (`lb_vip_set_as_weight`)."""
        index = self._find_vip(key)
        number = None if index is None else self._find_server(index, address)
        if index is None or number is None or not self.servers[number].used:
            return VppRetval.NO_SUCH_ENTRY
        self.servers[number].weight = weight
        self.vips[index].reset_tables()
        if flush:
            self._forwarding.flush_flows(index, number)
        return VppRetval.OK

    def flush_vip(self, key: VipKey) -> VppRetval:
        """Cut all flows of a VIP (`lb_flush_vip`).

        VPP quirk: flush of a VIP. It answers 0 also where there is no such VIP, having flushed
        whatever an unset variable named; here, nothing.
        """
        index = self._find_vip(key)
        if index is not None:
            self._forwarding.flush_flows(index)
        return VppRetval.OK

    def configure_as(self, other: "LoadBalancerState") -> None:
        """Add the settings, VIPs and servers that another one has."""
        self.conf = other.conf
        for _, row in other.vip_rows():
            if not row.used:
                continue
            self.add_vip(row.key, row.as_new())
            for server in (other.servers[number] for number in other.server_indexes(row)):
                if server.used:
                    self.add_server(row.key, server.address, server.weight)

    # --- packets -----------------------------------------------------------------------------

    def forward_packet(self, flow: FiveTuple, thread: int = 0) -> IPAddress | None:
        """Return the server that VPP sends a packet of a flow to; None when it drops it.

        The packet is counted, and the flow remembered by the thread that had it, as in VPP.
        NotModelled where VPP would break, or where it is not known what it would do; IndexError
        when there is no such thread.
        """
        self.collect_garbage()
        index = self._find_route(flow)
        if index is None:
            return None
        row = self.vips[index]
        choice = self._forwarding.choose_server(
            thread,
            flow_hash(flow, sticky=row.src_ip_sticky),
            index,
            self._new_flows(row),
            self.conf,
            self._flow_clock(),
        )
        self.counters.count_packet(choice.kind, thread, index)
        if choice.server == NO_SERVER or (row.type.encap in NAT and flow.protocol != UDP):
            return None  # VPP quirk: packets to NAT VIPs are dropped, though counted, unless UDP
        return to_address(self.servers[choice.server].address)

    def flow_tables(self) -> list[tuple[int, int, int]]:
        """Return thread, used entries and size of each table of flows."""
        return self._forwarding.table_usage(self._flow_clock())

    def _find_route(self, flow: FiveTuple) -> int | None:
        """Return the index of the VIP that a packet is for: that of the longest prefix.

        NO_VIP when there are VIPs at that prefix, but none at the packet's port.
        """
        number, version = int(flow.destination), flow.destination.version
        shortest = IP6_BITS - IP4_BITS if version == 4 else 0
        for length in range(IP6_BITS, shortest - 1, -1):
            shift = IP6_BITS - length
            indexes = self._by_prefix.get((number >> shift << shift, length), ())
            rows = [(i, self.vips[i]) for i in indexes if self.vips[i].type.family == version]
            if rows:
                return _at_port(rows, flow)
        return None

    def _flow_clock(self) -> int:
        return int(self._uptime() + _FLOW_CLOCK)

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

    # --- details -----------------------------------------------------------------------------

    def _check_vip(self, key: VipKey, type_: VipType, new: NewVip) -> VppRetval:
        """Return why VPP would not add this VIP, in the order in which it checks."""
        others = [self.vips[index] for index in sorted(self._by_prefix[key[:2]])]
        if any(row.key == key or not (row.key.port and key.port) for row in others):
            return VppRetval.VALUE_EXIST
        if others and others[0].type != type_:
            return VppRetval.INVALID_ARGUMENT
        if not _is_power_of_two(new.table_length):
            return VppRetval.INVALID_MEMORY_SIZE
        if key.is_ip4 != (type_.family == 4):
            return VppRetval.INVALID_ADDRESS_FAMILY
        if new.table_length == 0 or (type_.encap in NAT and new.service_type):
            return VppRetval.UNSPECIFIED  # 0: VPP allocates without bound; node ports: not modelled
        return VppRetval.OK

    def _new_server(self, vip_index: int, address: int) -> int:
        index = self.servers.take_index()
        row = self.vips[vip_index]
        row.servers[row.servers.take_index()][0] = index
        server = self.servers[index]
        server.address, server.vip_index = address, vip_index
        return index

    def _remove_servers(self, row: VipRow, numbers: list[int]) -> None:
        self._collect_servers(row, self._uptime_seconds())
        for number in numbers:
            self.servers[number].used = False
            self.servers[number].last_used = self._uptime_seconds()
        row.reset_tables()

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


def _at_port(rows: list[tuple[int, VipRow]], flow: FiveTuple) -> int:
    """Return the index of the VIP of a prefix that takes a packet."""
    for index, row in rows:
        if not row.key.port:
            if row.type.encap in NAT:
                raise NotModelled("packets to an all-port VIP with NAT")
            return index
    wanted = (flow.protocol, flow.destination_port if flow.has_ports else 0)
    return next((i for i, row in rows if (row.key.protocol, row.key.port) == wanted), NO_VIP)


def _is_power_of_two(number: int) -> bool:
    """Say as VPP's is_pow2 does, to which 0 is one too."""
    return number & (number - 1) == 0
