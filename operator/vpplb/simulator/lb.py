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
from vpplb.plan import newflows
from vpplb.simulator.counters import VipCounters
from vpplb.simulator.flows import UDP, FiveTuple, flow_hash
from vpplb.simulator.forwarding import NO_SERVER, Forwarding, NotModelled
from vpplb.simulator.pool import Pool
from vpplb.simulator.rows import (
    IP4_BITS,
    NAT,
    Key,
    NewVip,
    Retval,
    ServerRow,
    VipRow,
    VipType,
    ip,
    servers_are_ip4,
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
        self._forwarding = Forwarding(threads)
        self.counters = VipCounters(threads)
        self.conf = LbConf()
        self.vips: Pool[VipRow] = Pool(VipRow)
        self.servers: Pool[ServerRow] = Pool(ServerRow)
        self._by_prefix: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        """Indexes of the VIPs in use, by address and prefix length."""
        self.vips.take()  # VPP's own placeholders, number 0
        self.servers.take()

    # --- what the binary API does ------------------------------------------------------------

    def set_conf(
        self, ip4: IPv4Address, ip6: IPv6Address, buckets: int | None, timeout: int | None
    ) -> Retval:
        """Set everything at once (`lb_conf`); None leaves a number as it is."""
        buckets = self.conf.sticky_buckets_per_core if buckets is None else buckets
        if not _is_power_of_two(buckets):
            return Retval.INVALID_MEMORY_SIZE
        self.conf = LbConf(
            ipv4_source=ip4,
            ipv6_source=ip6,
            sticky_buckets_per_core=buckets,
            flow_timeout=self.conf.flow_timeout if timeout is None else timeout,
        )
        return Retval.OK

    def add_vip(self, key: Key, new: NewVip) -> Retval:
        """Add a VIP (`lb_vip_add`)."""
        type_ = type_of(key, new.encap)
        key = key.normal
        if (refusal := self._refusal(key, type_, new)) is not Retval.OK:
            return refusal
        index = self.vips.take()
        self._by_prefix[key[:2]].append(index)
        row = self.vips[index]
        row.key, row.type, row.used = key, type_, True
        row.table_length, row.src_ip_sticky = new.table_length, new.src_ip_sticky
        if type_.encap is Encap.L3DSR:
            row.encap_byte = new.dscp
        elif type_.encap in NAT:
            row.encap_byte, row.target_port = new.service_type, new.target_port
        row.last_collection = self._now()
        row.servers = Pool(lambda: [0])
        row.changed()
        self.counters.reset(index)
        return Retval.OK

    def delete_vip(self, key: Key) -> Retval:
        """Delete a VIP (`lb_vip_del`); it and its servers linger until collected."""
        index = self._find(key)
        if index is None:
            return Retval.NO_SUCH_ENTRY
        row = self.vips[index]
        self._remove_servers(row, [self.servers[i] for i in self.server_indexes(row)])
        row.used = False
        self._by_prefix[row.key[:2]].remove(index)
        return Retval.OK

    def add_server(self, key: Key, address: int, weight: int, *, flush: bool = False) -> Retval:
        """Add a server (`lb_vip_add_ass`); one that lingers is taken up again.

        It keeps the flows that it had before, but with `flush`.
        """
        index = self._find(key)
        if index is None:
            return Retval.NO_SUCH_ENTRY
        row = self.vips[index]
        server = self._find_server(index, address)
        if server is not None and server.used:
            return Retval.VALUE_EXIST
        if server is None:
            if (address < 1 << IP4_BITS) != servers_are_ip4(row.type):
                return Retval.INVALID_ADDRESS_FAMILY
            server = self.servers[self._new_server(index, address)]
        elif flush:
            self._flush(index, address)
        server.used, server.weight = True, weight
        row.changed()
        self._collect(row)
        return Retval.OK

    def delete_server(self, key: Key, address: int, *, flush: bool = False) -> Retval:
        """Delete a server (`lb_vip_del_ass`), again if it lingers already; its flows go on."""
        index = self._find(key)
        server = None if index is None else self._find_server(index, address)
        if index is None or server is None:
            return Retval.NO_SUCH_ENTRY
        self._remove_servers(self.vips[index], [server])
        if flush:
            self._flush(index, address)
        return Retval.OK

    def set_weight(self, key: Key, address: int, weight: int, *, flush: bool = False) -> Retval:
        """Set the weight of a live server (`lb_vip_set_as_weight`)."""
        index = self._find(key)
        server = None if index is None else self._find_server(index, address)
        if index is None or server is None or not server.used:
            return Retval.NO_SUCH_ENTRY
        server.weight = weight
        self.vips[index].changed()
        if flush:
            self._flush(index, address)
        return Retval.OK

    def flush_vip(self, key: Key) -> Retval:
        """Cut all flows of a VIP (`lb_flush_vip`).

        VPP quirk: it answers 0 also where there is no such VIP, having flushed whatever an unset
        variable named; here, nothing.
        """
        index = self._find(key)
        if index is not None:
            self._forwarding.flush(index)
        return Retval.OK

    # --- reading -----------------------------------------------------------------------------

    def vip_rows(self) -> Iterator[tuple[int, VipRow]]:
        """Iterate over index and row of all VIPs, removed ones too, in VPP's order."""
        return ((index, self.vips[index]) for index in self.vips if index)

    def server_indexes(self, row: VipRow) -> list[int]:
        """Return the indexes of a VIP's servers, lingering ones too, in VPP's order."""
        return [row.servers[slot][0] for slot in row.servers]

    def shares(self, row: VipRow) -> dict[IPAddress, int]:
        """Return the buckets that each live server of a VIP has."""
        if row.shares is None:
            servers = (self.servers[index] for index in self.server_indexes(row))
            weights = {ip(server.address): server.weight for server in servers if server.used}
            row.shares = newflows.shares(weights, row.table_length)
        return row.shares

    def table(self) -> VipTable:
        """Return what is live in the model's terms; KeyError where it has none (protocols)."""
        return {vip_id(row.key): self._vip(row) for _, row in self.vip_rows() if row.used}

    # --- garbage -----------------------------------------------------------------------------

    def collect_garbage(self) -> None:
        """Do what VPP's collector has done by now (`lb_garbage_collection`, each minute)."""
        if self._now() < self._next_collection:
            return
        self._next_collection = self._now() // GARBAGE_RUN * GARBAGE_RUN + GARBAGE_RUN
        for index, row in self.vip_rows():
            self._collect(row)
            if not row.used and not len(row.servers):
                self.vips.put(index)

    def _collect(self, row: VipRow) -> None:
        now = self._now()
        if now < row.last_collection + GARBAGE_RUN:
            return
        row.last_collection = now
        for slot in row.servers:
            index = row.servers[slot][0]
            server = self.servers[index]
            if not server.used and now >= server.last_used + CONCURRENCY_TIMEOUT:
                row.servers.put(slot)
                self.servers.put(index)

    # --- details -----------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self._uptime())

    def _refusal(self, key: Key, type_: VipType, new: NewVip) -> Retval:
        """Return why VPP would not add this VIP, in the order in which it checks."""
        others = [self.vips[index] for index in sorted(self._by_prefix[key[:2]])]
        if any(row.key == key or not (row.key.port and key.port) for row in others):
            return Retval.VALUE_EXIST
        if others and others[0].type != type_:
            return Retval.INVALID_ARGUMENT
        if not _is_power_of_two(new.table_length):
            return Retval.INVALID_MEMORY_SIZE
        if key.is_ip4 != (type_.family == 4):
            return Retval.INVALID_ADDRESS_FAMILY
        if new.table_length == 0 or (type_.encap in NAT and new.service_type):
            return Retval.UNSPECIFIED  # 0: VPP allocates without bound; node ports: not modelled
        return Retval.OK

    def _find(self, key: Key) -> int | None:
        key = key.normal
        return next((i for i in self._by_prefix[key[:2]] if self.vips[i].key == key), None)

    def _find_server(self, vip_index: int, address: int) -> ServerRow | None:
        servers = (self.servers[index] for index in self.server_indexes(self.vips[vip_index]))
        return next((s for s in servers if s.vip_index == vip_index and s.address == address), None)

    def _new_server(self, vip_index: int, address: int) -> ServerRow:
        index = self.servers.take()
        row = self.vips[vip_index]
        row.servers[row.servers.take()][0] = index
        server = self.servers[index]
        server.address, server.vip_index = address, vip_index
        return server

    def _remove_servers(self, row: VipRow, servers: list[ServerRow]) -> None:
        self._collect(row)
        for server in servers:
            server.used, server.last_used = False, self._now()
        row.changed()

    def _vip(self, row: VipRow) -> Vip:
        shares = self.shares(row)
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
                ip(s.address): AppServer(weight=s.weight, buckets=shares[ip(s.address)])
                for s in servers
                if s.used
            },
        )


def _is_power_of_two(number: int) -> bool:
    """Say as VPP's is_pow2 does, to which 0 is one too."""
    return number & (number - 1) == 0
