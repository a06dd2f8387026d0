"""What people should know of a frontend that is right by all rules and may yet disappoint.

A warning refuses nothing: another VPP may do better. `vpplb check` warns of it, and the condition
`Accepted` carries it as its message.
"""

from collections.abc import Iterator

from vpplb.model.objects import Frontend
from vpplb.model.problem import Problem
from vpplb.model.vip import Encap, LbConf, VipProtocol, VipTable
from vpplb.plan.loops import NAT
from vpplb.plan.resolved import ResolvedFrontend, frontend_problem


def find_warnings(resolved: ResolvedFrontend) -> tuple[Problem, ...]:
    """Return what to know of a frontend, as problems whose reason is no condition's."""
    return (*_warn_of_nat(resolved.frontend), *resolved.warnings)


def warn_of_unset_sources(conf: LbConf, table: VipTable) -> tuple[str, ...]:
    """Say for which VIPs that serve the outer source address is none: VPP's own default."""
    serving = {vip.settings.encap for vip in table.values() if vip.servers}
    unset = LbConf()
    found = []
    if Encap.GRE4 in serving and conf.ipv4_source == unset.ipv4_source:
        found.append(_warn_of_source(Encap.GRE4, "ipv4"))
    if Encap.GRE6 in serving and conf.ipv6_source == unset.ipv6_source:
        found.append(_warn_of_source(Encap.GRE6, "ipv6"))
    return tuple(found)


def _warn_of_source(encap: Encap, family: str) -> str:
    return (
        f"{encap.value} packets leave from VPP's default of all ones, which servers and firewalls"
        f" drop: give --{family}-source-address, or spec.{family}SourceAddress of the Dataplane"
    )


def _warn_of_nat(frontend: Frontend) -> Iterator[Problem]:
    if frontend.encap not in NAT:
        return
    # VPP quirk: TCP through NAT. Every packet but UDP's is dropped (lb/node.c, lb_node_fn).
    if frontend.vip.protocol is VipProtocol.TCP:
        message = (
            "VPP (seen up to 26.10) drops TCP that comes to a NAT VIP, only UDP gets through;"
            " GRE4, GRE6 and L3DSR carry both"
        )
        yield frontend_problem(frontend, "NatDropsTcp", "spec.encap", message)
        return
    # VPP quirk: port of NAT's answers. It is kept as the host has it and sent as it is (lb.c,
    # lb_vip_add_ass: src_port).
    port = frontend.vip.port
    swapped = (port & 0xFF) << 8 | port >> 8
    if swapped != port:
        message = (
            f"answers leave VPP (seen up to 26.10) from port {swapped} instead of {port}, its bytes"
            " being swapped: clients that look at it do not take them"
        )
        yield frontend_problem(frontend, "NatSwapsPort", "spec.encap", message)
