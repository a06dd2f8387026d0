"""A VPP in memory that answers as the lb plugin does; its faults are switched on by tests."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network

from vpplb.model.vip import (
    AppServer,
    Encap,
    IPAddress,
    LbConf,
    StrangeVip,
    Vip,
    VipId,
    VipProtocol,
    VipSettings,
)
from vpplb.plan.maglev_table import count_buckets
from vpplb.plan.ops import AddServer, AddVip, DelServer, DelVip, Op, SetConf, SetWeight
from vpplb.plan.settings import HeapSpace
from vpplb.sync.ports import CallOutcome, LoadBalancerGone, ObservedVpp, VppInfo

NO_SUCH_ENTRY, NOT_POWER_OF_TWO, INVALID, EXISTS, FAMILY = -6, -70, -73, -81, -97
NOT_SENT = -10_000


class FakeLoadBalancer:
    """Implements `sync.ports.LoadBalancer`.

    Faults: `down` refuses connections and breaks the one there is; `hung` breaks each call after
    `timeout` seconds; `refuse` gives a retval for an op that VPP shall not do; `die_after` ops of
    the next `apply` the connection is lost. `delay` is how long each method takes.
    `ops` are all that were sent, `log` the retvals given, `reads`, `pings`, `connects` counters.
    """

    def __init__(self) -> None:
        self.rows: dict[VipId, tuple[VipSettings, dict[IPAddress, int]]] = {}
        self.lingering: dict[VipId, set[IPAddress]] = {}
        self.conf = LbConf()
        self.strange: tuple[StrangeVip, ...] = ()
        self.free_memory: HeapSpace | None = HeapSpace(1 << 30, 1)
        self.pid = 1
        self.down = self.hung = False
        self.timeout, self.delay = 5.0, 0.0
        self.refuse: Callable[[Op], int] = lambda _op: 0
        self.die_after: int | None = None
        self.ops: list[Op] = []
        self.flushes: list[tuple[VipId, IPAddress]] = []
        self.reads = self.pings = self.connects = 0
        self._connected = False

    # --- what tests do to it ------------------------------------------------------------------

    def restart(self) -> None:
        """Become a new process: empty, another pid, every connection gone."""
        self.rows, self.lingering, self.conf = {}, {}, LbConf()
        self.pid += 1
        self._connected = False

    def table(self) -> dict[VipId, Vip]:
        """Return what it has, without the shares of buckets, which cost time."""
        return {vip: self._vip(vip, {}) for vip in self.rows}

    def do(self, op: Op) -> int:
        """Do an op at once, as if someone else had; return the retval."""
        return self._do(op)

    # --- the port -----------------------------------------------------------------------------

    async def connect(self) -> VppInfo:
        self._connected = False
        self.connects += 1
        await asyncio.sleep(self.delay)
        if self.down:
            raise LoadBalancerGone("connection refused")
        self._connected = True
        await self._answer()
        return VppInfo(version="26.10-fake", pid=self.pid)

    async def read(self) -> ObservedVpp:
        await self._answer()
        self.reads += 1
        table = {
            vip: self._vip(vip, count_buckets(weights, settings.table_length))
            for vip, (settings, weights) in self.rows.items()
            if not _misread(vip)
        }
        strange = (*self.strange, *(_strange(vip) for vip in self.rows if _misread(vip)))
        return ObservedVpp(table=table, strange=strange, conf=self.conf)

    async def apply_ops(self, ops: Sequence[Op]) -> Sequence[CallOutcome]:
        await self._answer()
        outcomes = []
        for op in ops:
            if self.die_after is not None:
                if self.die_after == 0:
                    self.die_after, self._connected = None, False
                    raise LoadBalancerGone("VPP closed the connection")
                self.die_after -= 1
            self.ops.append(op)
            retval = self.refuse(op) or self._do(op)
            outcomes.append(
                CallOutcome(op=op, retval=retval, message=f"({retval})" if retval else "")
            )
        return outcomes

    async def read_heap(self) -> HeapSpace | None:
        await self._answer()
        return self.free_memory

    async def ping(self) -> None:
        await self._answer()
        self.pings += 1

    async def close(self) -> None:
        self._connected = False

    async def _answer(self) -> None:
        await asyncio.sleep(self.timeout if self.hung else self.delay)
        if self.hung or self.down or not self._connected:
            self._connected = False
            raise LoadBalancerGone("no answer" if self.hung else "VPP closed the connection")

    # --- the plugin ---------------------------------------------------------------------------

    def _vip(self, vip: VipId, buckets: Mapping[IPAddress, int]) -> Vip:
        settings, weights = self.rows[vip]
        servers = {a: AppServer(weight=w, buckets=buckets.get(a)) for a, w in weights.items()}
        return Vip(settings=settings, servers=servers)

    def _do(self, op: Op) -> int:
        match op:
            case SetConf():
                return self._set_conf(op.conf)
            case AddVip():
                return self._add_vip(op.vip, op.settings)
            case DelVip():
                if op.vip not in self.rows:
                    return NO_SUCH_ENTRY
                del self.rows[op.vip]
                self.lingering.pop(op.vip, None)
                return 0
            case AddServer() | SetWeight() if not 0 <= op.weight <= 100:
                return NOT_SENT
            case AddServer() | SetWeight() | DelServer():
                return self._do_server(op)

    def _set_conf(self, conf: LbConf) -> int:
        if not _power_of_two(conf.sticky_buckets_per_core):
            return NOT_POWER_OF_TWO
        self.conf = conf
        return 0

    def _add_vip(self, vip: VipId, settings: VipSettings) -> int:
        if not _power_of_two(settings.table_length) or settings.table_length > 65536:
            return NOT_SENT
        if settings.encap in (Encap.NAT4, Encap.L3DSR) and vip.prefix.version == 6:
            return NOT_SENT
        same = [other for other in self.rows if other.prefix == vip.prefix]
        everything = vip.protocol is VipProtocol.ANY
        if any(o == vip or (o.protocol is VipProtocol.ANY) != everything for o in same):
            return EXISTS
        if any(self.rows[other][0].encap is not settings.encap for other in same):
            return INVALID
        if settings.encap is Encap.NAT6 and vip.prefix.version == 4:
            return FAMILY
        self.rows[vip] = (settings, {})
        return 0

    def _do_server(self, op: AddServer | SetWeight | DelServer) -> int:
        if op.vip not in self.rows:
            return NO_SUCH_ENTRY
        settings, weights = self.rows[op.vip]
        present = op.address in weights
        lingering = self.lingering.setdefault(op.vip, set())
        match op:
            case AddServer():
                if present:
                    return EXISTS
                ipv6 = settings.encap in (Encap.GRE6, Encap.NAT6)
                if (op.address.version == 6) != ipv6:
                    return FAMILY
                weights[op.address] = op.weight
                lingering.discard(op.address)
                return 0
            case DelServer():
                if not present:
                    return 0 if op.address in lingering else NO_SUCH_ENTRY
                del weights[op.address]
                lingering.add(op.address)
            case SetWeight():
                if not present:
                    return NO_SUCH_ENTRY
                weights[op.address] = op.weight
        if op.flush:
            self.flushes.append((op.vip, op.address))
        return 0


def _misread(vip: VipId) -> bool:
    return vip.prefix.version == 6 and vip.prefix.prefixlen < 96 and not int(vip.prefix[0])


def _strange(vip: VipId) -> StrangeVip:
    like = IPv4Network((0, vip.prefix.prefixlen)) if vip.prefix.prefixlen <= 32 else None
    everything = vip.protocol is VipProtocol.ANY
    ports = "all ports" if everything else f"protocol 6 port {vip.port}"
    return StrangeVip(text=f"{vip.prefix} {ports}", prefix=like, all_ports=everything)


def _power_of_two(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0
