"""The one canonical text of a table and of a plan: for people, the command line and tests."""

from collections.abc import Sequence
from typing import assert_never

from vpplb.model.vip import StrangeVip, VipSettings, VipTable
from vpplb.plan.diff import Plan
from vpplb.plan.ops import AddServer, AddVip, DelServer, DelVip, Op, SetConf, SetWeight


def table_text(table: VipTable) -> str:
    """Write a table: a line a VIP, an indented line a server, in canonical order.

    Buckets are shown where they are known, flush epochs where they are not 0.
    """
    lines = []
    for vip in sorted(table, key=lambda vip: vip.sort_key):
        lines.append(f"{vip}  {settings_text(table[vip].settings)}")
        for address, server in table[vip].servers.items():
            line = f"  {address}  weight {server.weight}"
            if server.buckets is not None:
                line += f"  buckets {server.buckets}"
            if server.flush_epoch:
                line += f"  flushed {server.flush_epoch}"
            lines.append(line)
    return "".join(line + "\n" for line in lines)


def strange_in_words(strange: Sequence[StrangeVip]) -> str:
    """Say that VPP has VIPs that no frontend can have, or none any more."""
    if not strange:
        return "VPP has no VIP any more that no frontend can have"
    names = ", ".join(one.text for one in strange[:5])
    more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
    return f"VPP has VIPs that no frontend can have; they are left alone: {names}{more}"


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


def plan_text(plan: Plan) -> str:
    """Write a plan VIP by VIP: a line a call, in the order in which the VIP's calls are made."""
    lines = []
    for chain in plan.chains:
        lines.append(str(chain.vip))
        lines.extend(f"  {op_text(op)}" for op in chain.ops)
    return "".join(line + "\n" for line in lines)


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
