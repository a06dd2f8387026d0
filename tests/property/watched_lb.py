"""The simulator's lb plugin behind the port `LoadBalancer`, in process and watched call by call."""

from collections.abc import Callable, Sequence

from vpplb.model.vip import LbConf, Protocol, VipId
from vpplb.plan.ops import AddServer, AddVip, DelServer, DelVip, Op, SetConf, SetWeight
from vpplb.plan.settings import HeapSpace
from vpplb.simulator.lb import LoadBalancerState
from vpplb.simulator.rows import IP4_BITS, IP6_BITS, Key, NewVip
from vpplb.sync.ports import Observed, Outcome, VppInfo

_PROTOCOLS = {Protocol.TCP: 6, Protocol.UDP: 17, Protocol.ANY: 255}


class WatchedLoadBalancer:
    """Implements `sync.ports.LoadBalancer`, and never waits.

    `watch` is called after each op that VPP did; ops for which `refuses` is true are not done.
    `now` is VPP's clock, in seconds.
    """

    def __init__(self, watch: Callable[[Op], None]) -> None:
        self.now = 0.0
        self.state = LoadBalancerState(lambda: self.now)
        self.watch = watch
        self.refuses: Callable[[Op], bool] = lambda _op: False

    async def connect(self) -> VppInfo:
        return VppInfo(version="watched", pid=1)

    async def read(self) -> Observed:
        return Observed(table=self.state.table(), conf=LbConf())

    async def apply(self, ops: Sequence[Op]) -> Sequence[Outcome]:
        outcomes = []
        for op in ops:
            retval = -1 if self.refuses(op) else self.do(op)
            outcomes.append(Outcome(op=op, retval=retval, message=f"({retval})"))
            if not retval:
                self.watch(op)
        return outcomes

    async def heap(self) -> HeapSpace | None:
        return None

    async def ping(self) -> None: ...

    async def close(self) -> None: ...

    def do(self, op: Op) -> int:
        """Do an op; return the retval."""
        state = self.state
        match op:
            case AddVip(vip=vip, settings=settings):
                new = NewVip(
                    encap=settings.encap,
                    dscp=settings.dscp,
                    target_port=settings.target_port,
                    table_length=settings.table_length,
                    src_ip_sticky=settings.src_ip_sticky,
                )
                return state.add_vip(_key(vip), new)
            case DelVip(vip=vip):
                return state.delete_vip(_key(vip))
            case AddServer(vip=vip, address=address, weight=weight):
                return state.add_server(_key(vip), int(address), weight)
            case DelServer(vip=vip, address=address, flush=flush):
                return state.delete_server(_key(vip), int(address), flush=flush)
            case SetWeight(vip=vip, address=address, weight=weight, flush=flush):
                return state.set_weight(_key(vip), int(address), weight, flush=flush)
            case SetConf():
                raise AssertionError("no settings are wished for")


def _key(vip: VipId) -> Key:
    prefix = vip.prefix
    length = prefix.prefixlen + (IP6_BITS - IP4_BITS if prefix.version == 4 else 0)
    return Key(int(prefix.network_address), length, _PROTOCOLS[vip.protocol], vip.port)
