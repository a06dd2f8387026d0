"""A plan while it is carried out: what a VIP has become, whether it goes on, what was done."""

from collections.abc import Sequence
from typing import assert_never

from vpplb.model.vip import AppServer, Vip
from vpplb.plan.diff import CallChain, PlanStep
from vpplb.plan.ops import AddServer, AddVip, ChangeKind, DelServer, DelVip, SetWeight, VipOp


def may_continue(failed: PlanStep, have: Vip | None, want: Vip | None) -> bool:
    """Whether a VIP's chain goes on after a failure in this step.

    `have` is the VIP with what was done until now. Not without the VIP; and weights are lowered
    and servers removed only while another server that shall serve does serve. Any other failure
    takes no server from the VIP: the rest is worth doing.
    """
    match failed:
        case PlanStep.CREATE:
            return False
        case PlanStep.FILL:
            servers = {} if have is None or want is None else want.servers
            serving = {} if have is None else have.servers
            return any(
                server.weight > 0 and address in serving and serving[address].weight > 0
                for address, server in servers.items()
            )
        case _:
            return True


def apply_ops(vip: Vip | None, ops: Sequence[VipOp]) -> Vip | None:
    """Return what the VIP is once VPP has done `ops`, in order, all of them for this VIP.

    None: there is no such VIP. Ops on what is not there change nothing.
    """
    if vip is not None and all(isinstance(op, SetWeight) for op in ops):
        return vip.replace_weights(
            {op.address: op.weight for op in ops if isinstance(op, SetWeight)}
        )
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
                if op.address in servers:
                    servers[op.address] = AppServer(weight=op.weight)
            case DelServer():
                servers.pop(op.address, None)
            case _:
                assert_never(op)
    return None if settings is None else Vip(settings=settings, servers=servers)


def count_as(op: VipOp, chain: CallChain) -> ChangeKind | None:
    """Say how an op counts; None for the removal that a recreation begins with."""
    match op:
        case AddVip():
            return ChangeKind.VIP_RECREATED if op.recreated else ChangeKind.VIP_ADDED
        case DelVip():
            return None if chain.at(PlanStep.CREATE) else ChangeKind.VIP_REMOVED
        case AddServer():
            return ChangeKind.AS_ADDED
        case DelServer():
            return ChangeKind.AS_REMOVED
        case SetWeight():
            return ChangeKind.AS_WEIGHT
        case _:
            assert_never(op)
