"""What to call so that a VPP becomes what is desired: the VIPs of a prefix in, ordered calls out.

The theory. VPP keeps a VIP's rows independent of other VIPs', but for two rules on one prefix:
an all-port VIP and per-port VIPs exclude each other, and all VIPs have one encapsulation. So
each VIP gets a `CallChain` of its own, whose steps depend only on its own earlier steps, and the
removals that would block an addition on the same prefix are put into earlier steps than any
addition. Where something that stays blocks an addition (`plan.obstacles`), nothing is removed for
it: the VIP goes on as it was made. A step of all chains is one pipelined batch:

    CLEAR_SERVERS → CLEAR_VIP → CREATE → FILL → DRAIN → PRUNE → REMOVE

Weights are raised (FILL) before any is lowered (DRAIN), and what failed in FILL decides whether
the chain goes on (`plan.execution.may_continue`): a VIP that had a serving server and shall have
one never stands without, unless it has to be recreated.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from vpplb.model.vip import (
    AppServer,
    IPAddress,
    StrangeVip,
    Vip,
    VipId,
    address_order,
)
from vpplb.plan.obstacles import FlushEpochs, VipCase, are_exclusive, find_obstacles, keep_settings
from vpplb.plan.ops import (
    AddServer,
    AddVip,
    DelServer,
    DelVip,
    SetWeight,
    VipOp,
)


class PlanStep(IntEnum):
    """When ops are due: all of one step, over all chains, before any of the next."""

    CLEAR_SERVERS = 0
    CLEAR_VIP = 1
    CREATE = 2
    FILL = 3
    DRAIN = 4
    PRUNE = 5
    REMOVE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class CallChain:
    """The ops for one VIP by step, in step order; no step is empty.

    Ops of one step do not depend on each other; `plan.execution.may_continue` says what follows a
    failed one.
    """

    vip: VipId
    steps: tuple[tuple[PlanStep, tuple[VipOp, ...]], ...]

    @property
    def ops(self) -> tuple[VipOp, ...]:
        """All ops, in order."""
        return tuple(op for _, ops in self.steps for op in ops)

    def at(self, step: PlanStep) -> tuple[VipOp, ...]:
        """Return the ops due at `step`, often none."""
        return next((ops for at, ops in self.steps if at is step), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """Chains in order of their VIPs. Empty when there is nothing to do."""

    chains: tuple[CallChain, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.chains)

    @property
    def ops(self) -> tuple[VipOp, ...]:
        """All ops in the order in which they are sent when none fails."""
        return tuple(op for step in PlanStep for chain in self.chains for op in chain.at(step))


class VipPlan(NamedTuple):
    """What comes of a `VipCase`: the calls, None for none, and what the VIP is after them.

    `want` is None for one that is removed, or left alone. `obstacle` says why the VIP cannot be
    as it was wanted; then what there is of it stays, with the servers that are wanted.
    """

    chain: CallChain | None
    want: Vip | None
    obstacle: str = ""


def diff_prefix(cases: Sequence[VipCase], strange: Sequence[StrangeVip] = ()) -> list[VipPlan]:
    """Plan for all VIPs of one prefix, `strange` ones being there besides; one answer a case."""
    blocked = find_obstacles(cases, strange)
    if blocked:
        cases = [_as_it_can_be(case, blocked) for case in cases]
    return [
        VipPlan(_chain(case, cases), case.want, blocked.get(case.vip, "") if blocked else "")
        for case in cases
    ]


def _as_it_can_be(case: VipCase, blocked: Mapping[VipId, str]) -> VipCase:
    """Have a VIP left as it was made that cannot be made anew, or whose heir cannot be made."""
    if case.vip in blocked:
        wanted = case.want
    elif case.heir_id in blocked:
        wanted = case.heir
    else:
        return case
    want = keep_settings(case.vip, case.have, wanted) if case.have and wanted else None
    return case._replace(want=want, foreign=want is None)


def _chain(case: VipCase, neighbours: Sequence[VipCase]) -> CallChain | None:
    vip, have, want, flushed = case[:4]
    if want is None:
        if have is None or case.foreign:
            return None
        steps = _removal(vip, have, first=any(_blocks(vip, have, one) for one in neighbours))
    elif have is None or have.settings != want.settings:
        steps = _creation(vip, have, want)
    else:
        steps = _update(vip, have, want, flushed)
    kept = tuple(step for step in steps if step[1])
    return CallChain(vip=vip, steps=kept) if kept else None


def _blocks(old: VipId, have: Vip, other: VipCase) -> bool:
    """Whether another VIP is to be made that VPP refuses while `old` exists on the prefix."""
    return (
        other.is_made and other.want is not None and are_exclusive(old, have, other.vip, other.want)
    )


_Steps = Iterable[tuple[PlanStep, tuple[VipOp, ...]]]


def _removal(vip: VipId, have: Vip, *, first: bool) -> _Steps:
    servers = tuple(DelServer(vip=vip, address=address, flush=True) for address in have.servers)
    last: tuple[VipOp, ...] = (DelVip(vip=vip, settings=have.settings),)
    if first:
        return ((PlanStep.CLEAR_SERVERS, servers), (PlanStep.CLEAR_VIP, last))
    return ((PlanStep.PRUNE, servers), (PlanStep.REMOVE, last))


def _creation(vip: VipId, have: Vip | None, want: Vip) -> _Steps:
    cleared = () if have is None else tuple(_removal(vip, have, first=True))
    add = AddVip(vip=vip, settings=want.settings, recreated=have is not None)
    return (*cleared, (PlanStep.CREATE, (add,)), (PlanStep.FILL, _added(vip, want, ())))


def _added(vip: VipId, want: Vip, present: Collection[IPAddress]) -> tuple[VipOp, ...]:
    return tuple(
        AddServer(vip=vip, address=address, weight=server.weight)
        for address, server in want.servers.items()
        if address not in present
    )


def _update(vip: VipId, have: Vip, want: Vip, flushed: FlushEpochs | None) -> _Steps:
    raises: list[VipOp] = []
    drains: list[VipOp] = []
    # Mostly the servers are the same, in the same order: then none has to be looked up by its
    # address, whose hash is slow.
    same = tuple(have.servers) == tuple(want.servers)
    olds = have.servers.values() if same else map(have.servers.get, want.servers)
    for (address, server), old in zip(want.servers.items(), olds, strict=True):
        if old is None or old == server:
            continue
        weight, epoch, *_ = server
        # An epoch of 0 never flushes: most servers end here, without a look at what was applied.
        flush = epoch > 0 and needs_flush(
            old, server, None if flushed is None else flushed.get(address, 0)
        )
        if flush or old.weight != weight:
            op = SetWeight(vip=vip, address=address, weight=weight, flush=flush)
            (raises if weight > old.weight else drains).append(op)
    added = () if same else _added(vip, want, have.servers)
    gone = () if same else set(have.servers) - set(want.servers)
    prunes = tuple(
        DelServer(vip=vip, address=address, flush=True)
        for address in sorted(gone, key=address_order)
    )
    return (
        (PlanStep.FILL, (*added, *raises)),
        (PlanStep.DRAIN, tuple(drains)),
        (PlanStep.PRUNE, prunes),
    )


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


def taken_as_applied(have: Vip | None, desired: Vip) -> FlushEpochs:
    """Say which epochs count as applied where nothing is known: all that `needs_flush` lets be."""
    present = have.servers if have else {}
    return {
        address: server.flush_epoch
        for address, server in desired.servers.items()
        if server.flush_epoch
        and not (address in present and needs_flush(present[address], server, None))
    }
