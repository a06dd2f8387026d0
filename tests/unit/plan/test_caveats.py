"""What is right by all rules and may yet disappoint."""

import pytest

from support.objects import key, vip
from vpplb.model.objects import Frontend
from vpplb.model.vip import Encap, Protocol, VipId
from vpplb.plan.caveats import caveats


def frontend(encap: Encap | None, protocol: Protocol) -> Frontend:
    on = vip()
    return Frontend(key=key("web"), vip=VipId(on.prefix, protocol, on.port), pools=(), encap=encap)


@pytest.mark.parametrize("encap", [Encap.NAT4, Encap.NAT6])
def test_tcp_on_a_nat_vip_is_warned_of(encap: Encap) -> None:
    (caveat,) = caveats(frontend(encap, Protocol.TCP))
    assert (caveat.field, caveat.reason) == ("spec.encap", "NatDropsTcp")
    assert "drops TCP" in caveat.message


@pytest.mark.parametrize(
    ("encap", "protocol"),
    [(Encap.NAT4, Protocol.UDP), (Encap.GRE4, Protocol.TCP), (None, Protocol.TCP)],
)
def test_what_vpp_carries_is_not_warned_of(encap: Encap | None, protocol: Protocol) -> None:
    assert caveats(frontend(encap, protocol)) == ()
