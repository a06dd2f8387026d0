from ipaddress import ip_network

from vpplb.model.vip import Encap, LbConf, VipId, VipProtocol, VipSettings
from vpplb.plan.ops import DelVip, SetConf
from vpplb.plan.render import call_text, op_text, settings_text


def test_the_settings_of_a_vip_have_a_text_without_what_is_off() -> None:
    dscp = VipSettings(encap=Encap.L3DSR, dscp=7, src_ip_sticky=True, table_length=1)
    assert settings_text(dscp) == "L3DSR dscp 7 sticky table 1"
    nat = VipSettings(encap=Encap.NAT6, target_port=8080)
    assert settings_text(nat) == "NAT6 target port 8080 table 1024"


def test_a_call_begins_with_its_vip() -> None:
    web = VipId(ip_network("192.0.2.1/32"), VipProtocol.TCP, 80)
    assert call_text(DelVip(vip=web, settings=VipSettings(encap=Encap.GRE4))) == (
        "192.0.2.1/32 tcp/80  - vip"
    )
    assert call_text(SetConf(conf=LbConf())) == op_text(SetConf(conf=LbConf()))


def test_settings_of_the_plugin_have_a_text() -> None:
    assert op_text(SetConf(conf=LbConf())) == (
        "= conf ipv4 source 255.255.255.255 "
        "ipv6 source ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff buckets 1024 timeout 40"
    )
