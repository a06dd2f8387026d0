"""What people should know of a frontend that is right by all rules and may yet disappoint.

A caveat refuses nothing: another VPP may do better. `vpplb check` warns of it, and the condition
`Accepted` carries it as its message.
"""

from vpplb.model.objects import Frontend
from vpplb.model.problem import Problem
from vpplb.model.vip import Encap, Protocol

_NAT = (Encap.NAT4, Encap.NAT6)


def caveats(frontend: Frontend) -> tuple[Problem, ...]:
    """Return what to know of a frontend, as problems whose reason is no condition's."""
    if frontend.encap not in _NAT or frontend.vip.protocol is not Protocol.TCP:
        return ()
    # VPP quirk: TCP through NAT. Every packet but UDP's is dropped (lb/node.c, lb_node_fn).
    return (
        Problem(
            kind="Frontend",
            key=frontend.key,
            reason="NatDropsTcp",
            field="spec.encap",
            message=(
                "VPP (seen up to 26.10) drops TCP that comes to a NAT VIP, only UDP gets through;"
                " GRE4, GRE6 and L3DSR carry both"
            ),
        ),
    )
