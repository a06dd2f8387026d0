from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpplb.model.vip import AppServer, Encap, Vip, VipId, VipProtocol, VipSettings, address_order

V4 = [ip_address(text) for text in ("10.0.0.9", "10.0.0.10", "192.0.2.1")]
V6 = [ip_address(text) for text in ("::1", "2001:db8::1")]

prefixes = st.one_of(st.ip_addresses(v=4).map(ip_network), st.ip_addresses(v=6).map(ip_network))
vips = st.one_of(
    st.builds(
        VipId, prefixes, st.sampled_from([VipProtocol.TCP, VipProtocol.UDP]), st.integers(1, 65535)
    ),
    st.builds(VipId, prefixes, st.just(VipProtocol.ANY), st.just(0)),
)


@given(vips)
def test_what_is_written_of_a_vip_is_read_as_the_same(vip: VipId) -> None:
    assert VipId.parse_text(str(vip)) == vip


@pytest.mark.parametrize(
    ("text", "vip"),
    [
        ("192.0.2.0/24 udp/53", VipId(ip_network("192.0.2.0/24"), VipProtocol.UDP, 53)),
        ("2001:db8::/64 any", VipId(ip_network("2001:db8::/64"), VipProtocol.ANY, 0)),
    ],
)
def test_how_vips_are_written(text: str, vip: VipId) -> None:
    assert str(vip) == text
    assert VipId.parse_text(text) == vip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "192.0.2.1/32",
        "192.0.2.1 tcp/80",
        "192.0.2.1/24 tcp/80",
        "192.0.2.1/32 tcp",
        "192.0.2.1/32 tcp/",
        "192.0.2.1/32 tcp/-1",
        "192.0.2.1/32 tcp/65536",
        "192.0.2.1/32 tcp/ 80",
        "192.0.2.1/32 tcp/080",
        "192.0.2.1/32 TCP/80",
        "192.0.2.1/32 sctp/80",
        "192.0.2.1/32 any/0",
        "192.0.2.1/32  any",
        "nonsense any",
    ],
)
def test_what_is_no_vip_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        VipId.parse_text(text)


def test_servers_stand_in_numeric_order_ipv4_first_however_they_came() -> None:
    settings = VipSettings(encap=Encap.GRE4)
    mixed = [*V6, *reversed(V4)]
    vip = Vip(settings=settings, servers={at: AppServer(weight=1) for at in mixed})
    assert list(vip.servers) == V4 + V6 == sorted(mixed, key=address_order)
    again = Vip(settings=settings, servers={at: AppServer(weight=1) for at in V4 + V6})
    assert (vip, hash(vip)) == (again, hash(again))


def test_the_servers_of_a_vip_cannot_be_changed() -> None:
    given_servers = {V4[0]: AppServer(weight=1)}
    vip = Vip(settings=VipSettings(encap=Encap.GRE4), servers=given_servers)
    given_servers[V4[1]] = AppServer(weight=1)
    assert list(vip.servers) == [V4[0]]
    with pytest.raises(TypeError):
        vip.servers[V4[1]] = AppServer(weight=1)  # type: ignore[index]  # that is the point


def test_vips_sort_by_family_then_numerically() -> None:
    texts = ["::1/128 any", "192.0.2.10/32 tcp/80", "192.0.2.10/32 tcp/8", "192.0.2.9/32 tcp/80"]
    vips = sorted(map(VipId.parse_text, texts), key=lambda vip: vip.sort_key)
    assert [str(vip) for vip in vips] == texts[::-1]
