"""The one canonical text of a call, for people, the command line and tests."""

from collections.abc import Sequence
from typing import assert_never

from vpplb.model.printable import join_few
from vpplb.model.vip import StrangeVip, VipSettings
from vpplb.plan.ops import AddServer, AddVip, DelServer, DelVip, Op, SetConf, SetWeight


def strange_in_words(strange: Sequence[StrangeVip]) -> str:
    """Say that VPP has VIPs that no frontend can have, or none any more."""
    if not strange:
        return "VPP has no VIP any more that no frontend can have"
    names = join_few([one.text for one in strange])
    return f"VPP has VIPs that no frontend can have; they are left alone: {names}"


def settings_text(settings: VipSettings) -> str:
    """Write a VIP's settings in one line, leaving out what is off."""
    words = [settings.encap.value]
    if settings.dscp:
        words.append(f"dscp {settings.dscp}")
    if settings.target_port:
        words.append(f"target port {settings.target_port}")
    if settings.src_ip_sticky:
        words.append("sticky")
    words.append(f"table {settings.table_length}")
    return " ".join(words)


def call_text(op: Op) -> str:
    """Write one call with its VIP, if it is about one."""
    return op_text(op) if isinstance(op, SetConf) else f"{op.vip}  {op_text(op)}"


def op_text(op: Op) -> str:
    """Write one call without its VIP: + adds, - removes, = sets."""
    match op:
        case SetConf(conf=conf):
            return (
                f"= conf ipv4 source {conf.ipv4_source} ipv6 source {conf.ipv6_source} "
                f"buckets {conf.sticky_buckets_per_core} timeout {conf.flow_timeout}"
            )
        case AddVip():
            again = " (recreated)" if op.recreated else ""
            return f"+ vip {settings_text(op.settings)}{again}"
        case DelVip():
            return "- vip"
        case AddServer():
            return f"+ {op.address} weight {op.weight}"
        case SetWeight():
            return f"= {op.address} weight {op.weight}{_flush(op.flush)}"
        case DelServer():
            return f"- {op.address}{_flush(op.flush)}"
        case _:
            assert_never(op)


def _flush(flush: bool) -> str:
    return " flush" if flush else ""
