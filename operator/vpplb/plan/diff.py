"""What to call so that a VPP becomes what is desired: two tables in, an ordered plan out.

The theory. VPP keeps a VIP's rows independent of other VIPs', but for two rules on one prefix:
an all-port VIP and per-port VIPs exclude each other, and all VIPs have one encapsulation. So
each VIP gets a `Chain` of its own, whose steps depend only on its own earlier steps, and the
removals that would block an addition on the same prefix are put into earlier steps than any
addition. A step of all chains is one pipelined batch:

    CLEAR_SERVERS → CLEAR_VIP → CREATE → FILL → DRAIN → PRUNE → REMOVE

Weights are raised (FILL) before any is lowered (DRAIN), and what failed in FILL decides whether
the chain goes on (`goes_on`): a VIP that had a serving server and shall have one never stands
without, unless it has to be recreated.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import assert_never

from vpplb.model.vip import AppServer, IPAddress, IPNetwork, LbConf, Protocol, Vip, VipId, VipTable
from vpplb.plan.ops import (
    AddServer,
    AddVip,
    ChangeKind,
    DelServer,
    DelVip,
    SetConf,
    SetWeight,
    VipOp,
)

Flushed = Mapping[tuple[VipId, IPAddress], int]
"""The last flush epoch applied to a server, by VIP and address."""


class Step(IntEnum):
    """When ops are due: all of one step, over all chains, before any of the next."""

    CLEAR_SERVERS = 0
    CLEAR_VIP = 1
    CREATE = 2
    FILL = 3
    DRAIN = 4
    PRUNE = 5
    REMOVE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The ops for one VIP by step, in step order; no step is empty.

    Ops of one step do not depend on each other; after a failed one see `goes_on`.
    """

    vip: VipId
    steps: tuple[tuple[Step, tuple[VipOp, ...]], ...]

    @property
    def ops(self) -> tuple[VipOp, ...]:
        """All ops, in order."""
        return tuple(op for _, ops in self.steps for op in ops)

    def at(self, step: Step) -> tuple[VipOp, ...]:
        """Return the ops due at `step`, often none."""
        return next((ops for at, ops in self.steps if at is step), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Chains in order of their VIPs. Empty when there is nothing to do."""

    chains: tuple[Chain, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.chains)

    @property
    def ops(self) -> tuple[VipOp, ...]:
        """All ops in the order in which they are sent when none fails."""
        return tuple(op for step in Step for chain in self.chains for op in chain.at(step))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfWish:
    """Wanted settings of the whole plugin; None leaves VPP's as they are. Units as `LbConf`."""

    ipv4_source: IPv4Address | None = None
    ipv6_source: IPv6Address | None = None
    sticky_buckets_per_core: int | None = None
    flow_timeout: int | None = None


def diff(
    desired: VipTable, observed: VipTable, *, owned: Collection[VipId], flushed: Flushed
) -> Plan:
    """Plan the calls that turn `observed` into `desired`.

    Removed are only VIPs of `owned` that are not desired; others that are not desired are left
    alone. A desired VIP that exists is adopted, whoever made it. `flushed` says which flush
    epochs need not be applied again; see `needs_flush`. The order of the arguments' items does
    not matter.
    """
    gone = {vip for vip in owned if vip in observed and vip not in desired}
    changed = {vip for vip, want in desired.items() if _is_new(want, observed.get(vip))}
    additions: dict[IPNetwork, list[tuple[VipId, Vip]]] = {}
    for vip in changed:
        additions.setdefault(vip.prefix, []).append((vip, desired[vip]))
    chains = []
    for vip in sorted(gone | set(desired), key=lambda vip: vip.sort_key):
        have = observed.get(vip)
        if vip in gone and have is not None:
            first = any(_blocks(vip, have, *new) for new in additions.get(vip.prefix, ()))
            steps = _removal(vip, have, first=first)
        elif vip in changed:
            steps = _creation(vip, have, desired[vip])
        else:
            steps = _update(vip, observed[vip], desired[vip], flushed)
        if kept := tuple((step, ops) for step, ops in steps if ops):
            chains.append(Chain(vip=vip, steps=kept))
    return Plan(chains=tuple(chains))


def _is_new(want: Vip, have: Vip | None) -> bool:
    """Whether VPP needs a new VIP: there is none, or what cannot be changed differs."""
    return have is None or have.settings != want.settings


def _blocks(old: VipId, have: Vip, new: VipId, want: Vip) -> bool:
    """Whether VPP refuses `new` while `old` exists on the prefix (lb.c, lb_vip_add: -81, -73)."""
    return (old.protocol is Protocol.ANY) != (new.protocol is Protocol.ANY) or (
        have.settings.encap is not want.settings.encap
    )


_Steps = Iterable[tuple[Step, tuple[VipOp, ...]]]


def _removal(vip: VipId, have: Vip, *, first: bool) -> _Steps:
    servers = tuple(DelServer(vip=vip, address=address, flush=True) for address in have.servers)
    last: tuple[VipOp, ...] = (DelVip(vip=vip, settings=have.settings),)
    if first:
        return ((Step.CLEAR_SERVERS, servers), (Step.CLEAR_VIP, last))
    return ((Step.PRUNE, servers), (Step.REMOVE, last))


def _creation(vip: VipId, have: Vip | None, want: Vip) -> _Steps:
    cleared = () if have is None else tuple(_removal(vip, have, first=True))
    add = AddVip(vip=vip, settings=want.settings, recreated=have is not None)
    return (*cleared, (Step.CREATE, (add,)), (Step.FILL, _added(vip, want, ())))


def _added(vip: VipId, want: Vip, present: Collection[IPAddress]) -> tuple[VipOp, ...]:
    return tuple(
        AddServer(vip=vip, address=address, weight=server.weight)
        for address, server in want.servers.items()
        if address not in present
    )


def _update(vip: VipId, have: Vip, want: Vip, flushed: Flushed) -> _Steps:
    raises: list[VipOp] = []
    drains: list[VipOp] = []
    for address, server in want.servers.items():
        old = have.servers.get(address)
        if old is None:
            continue
        flush = needs_flush(old, server, flushed.get((vip, address)))
        if flush or old.weight != server.weight:
            op = SetWeight(vip=vip, address=address, weight=server.weight, flush=flush)
            (raises if server.weight > old.weight else drains).append(op)
    prunes = tuple(
        DelServer(vip=vip, address=address, flush=True)
        for address in have.servers
        if address not in want.servers
    )
    fill = _added(vip, want, have.servers) + tuple(raises)
    return ((Step.FILL, fill), (Step.DRAIN, tuple(drains)), (Step.PRUNE, prunes))


def needs_flush(have: AppServer, want: AppServer, applied: int | None) -> bool:
    """Whether the server's flows are to be cut now.

    `applied` is the last flush epoch applied to it, None when that is not known. A greater
    epoch flushes, also at an unchanged weight. Without a usable memory (none, or an epoch from
    a later life of the frontend, whose epochs have begun anew) old epochs are taken as applied,
    unless the weight falls to 0 and an epoch says that this has been a reason to flush.
    """
    if applied is not None and applied <= want.flush_epoch:
        return want.flush_epoch > applied
    return want.flush_epoch > 0 and want.weight == 0 < have.weight


def goes_on(failed: Step, have: Vip | None, want: Vip | None) -> bool:
    """Whether a VIP's chain goes on after a failure in this step.

    `have` is the VIP with what was done until now. Not without the VIP; and weights are lowered
    and servers removed only while another server that shall serve does serve. Any other failure
    takes no server from the VIP: the rest is worth doing.
    """
    match failed:
        case Step.CREATE:
            return False
        case Step.FILL:
            servers = {} if have is None or want is None else want.servers
            serving = {} if have is None else have.servers
            return any(
                server.weight > 0 and address in serving and serving[address].weight > 0
                for address, server in servers.items()
            )
        case _:
            return True


def after(vip: Vip | None, ops: Iterable[VipOp]) -> Vip | None:
    """Return what the VIP is once VPP has done `ops`, in order, all of them for this VIP.

    None: there is no such VIP. Ops on what is not there change nothing.
    """
    settings = None if vip is None else vip.settings
    servers = {} if vip is None else dict(vip.servers)
    for op in ops:
        match op:
            case AddVip():
                settings, servers = op.settings, {}
            case DelVip():
                settings, servers = None, {}
            case AddServer():
                servers[op.address] = AppServer(weight=op.weight)
            case SetWeight():
                servers[op.address] = AppServer(weight=op.weight)
            case DelServer():
                servers.pop(op.address, None)
            case _:
                assert_never(op)
    return None if settings is None else Vip(settings=settings, servers=servers)


def conf_change(wish: ConfWish, observed: LbConf) -> SetConf | None:
    """Return the call that makes the settings as wished; None when they are already.

    VPP quirk: all settings at once. What `lb_conf` leaves out is not left as it is.
    """
    wanted = LbConf(
        ipv4_source=observed.ipv4_source if wish.ipv4_source is None else wish.ipv4_source,
        ipv6_source=observed.ipv6_source if wish.ipv6_source is None else wish.ipv6_source,
        sticky_buckets_per_core=observed.sticky_buckets_per_core
        if wish.sticky_buckets_per_core is None
        else wish.sticky_buckets_per_core,
        flow_timeout=observed.flow_timeout if wish.flow_timeout is None else wish.flow_timeout,
    )
    return None if wanted == observed else SetConf(conf=wanted)


def kind_of(op: VipOp, chain: Chain) -> ChangeKind | None:
    """Say how an op counts; None for the removal that a recreation begins with."""
    match op:
        case AddVip():
            return ChangeKind.VIP_RECREATED if op.recreated else ChangeKind.VIP_ADDED
        case DelVip():
            return None if chain.at(Step.CREATE) else ChangeKind.VIP_REMOVED
        case AddServer():
            return ChangeKind.AS_ADDED
        case DelServer():
            return ChangeKind.AS_REMOVED
        case SetWeight():
            return ChangeKind.AS_WEIGHT
        case _:
            assert_never(op)
