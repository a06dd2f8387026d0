from ipaddress import ip_address, ip_network

from vpplb.model.vip import AppServer, Encap, LbConf, Protocol, Vip, VipId, VipSettings
from vpplb.plan.ops import SetConf
from vpplb.plan.render import op_text, table_text


def vip(port: int, address: str) -> VipId:
    return VipId(ip_network(address), Protocol.TCP if port else Protocol.ANY, port)


def test_a_table_has_one_text_whatever_its_order() -> None:
    settings = VipSettings(encap=Encap.L3DSR, dscp=7, src_ip_sticky=True, table_length=1)
    nat = VipSettings(encap=Encap.NAT6, target_port=8080)
    servers = {ip_address("10.0.0.1"): AppServer(weight=5, flush_epoch=2, buckets=1)}
    table = {
        vip(80, "2001:db8::1"): Vip(settings=nat, servers={}),
        vip(0, "192.0.2.1"): Vip(settings=settings, servers=servers),
    }
    text = (
        "192.0.2.1/32 any  L3DSR dscp 7 sticky table 1\n"
        "  10.0.0.1  weight 5  buckets 1  flushed 2\n"
        "2001:db8::1/128 tcp/80  NAT6 target port 8080 table 1024\n"
    )
    assert table_text(table) == text
    assert table_text(dict(reversed(table.items()))) == text


def test_settings_of_the_plugin_have_a_text() -> None:
    assert op_text(SetConf(conf=LbConf())) == (
        "= conf ipv4 source 255.255.255.255 "
        "ipv6 source ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff buckets 1024 timeout 40"
    )
