"""The calls that change a VPP, as values: what a plan is made of.

Each op stands for exactly one binary-API message (named in its docstring); `vpp.codec` turns
it into fields. Ops carry everything that the message needs, so that a plan can be printed,
compared and sent without looking anything up.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from vpplb.model.vip import IPAddress, LbConf, VipId, VipSettings


class ChangeKind(StrEnum):
    """Kinds of change as `vpplb_sync_changes_total` counts them, and `conf` for lb_conf."""

    VIP_ADDED = "vip_added"
    VIP_REMOVED = "vip_removed"
    VIP_RECREATED = "vip_recreated"
    AS_ADDED = "as_added"
    AS_REMOVED = "as_removed"
    AS_WEIGHT = "as_weight"
    CONF = "conf"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetConf:
    """`lb_conf`: all four settings at once, since VPP overwrites those left out."""

    conf: LbConf


@dataclass(frozen=True, slots=True, kw_only=True)
class AddVip:
    """`lb_add_del_vip_v2`, is_del false. `recreated`: it was removed just before."""

    vip: VipId
    settings: VipSettings
    recreated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DelVip:
    """`lb_add_del_vip_v2`, is_del true."""

    vip: VipId
    settings: VipSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class AddServer:
    """`lb_add_del_as_v2`, is_del false."""

    vip: VipId
    address: IPAddress
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetWeight:
    """`lb_as_set_weight`. With `flush` the server's flows are cut, also at an unchanged weight."""

    vip: VipId
    address: IPAddress
    weight: int
    flush: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DelServer:
    """`lb_add_del_as_v2`, is_del true. With `flush` the server's flows are cut."""

    vip: VipId
    address: IPAddress
    flush: bool = False


VipOp = AddVip | DelVip | AddServer | SetWeight | DelServer
Op = SetConf | VipOp


class VppChange(NamedTuple):
    """A call that VPP has taken, and as what it counts."""

    kind: ChangeKind
    op: Op
