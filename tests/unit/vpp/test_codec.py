from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from vpplb.model.vip import AppServer, Encap, LbConf, Protocol, Vip, VipId, VipSettings
from vpplb.plan.ops import AddServer, AddVip, DelServer, DelVip, Op, SetConf, SetWeight
from vpplb.vpp import codec
from vpplb.vpp.messages import Fields

WEB = VipId(ip_network("192.0.2.1/32"), Protocol.TCP, 80)
A = ip_address("10.0.0.1")
WEB_FIELDS = {
    "pfx.address.af": 0,
    "pfx.address.un": bytes([192, 0, 2, 1]),
    "pfx.len": 32,
    "protocol": 6,
    "port": 80,
}
A_FIELDS = {"as_address.af": 0, "as_address.un": bytes([10, 0, 0, 1])}


def vip_details(**changes: int | bytes) -> Fields:
    fields: dict[str, int | bytes] = {
        "vip.pfx.address.af": 0,
        "vip.pfx.address.un": bytes([192, 0, 2, 1]) + bytes(12),
        "vip.pfx.len": 32,
        "vip.protocol": 6,
        "vip.port": 80,
        "encap": 0,
        "dscp": 0,
        "srv_type": 0,
        "target_port": 0,
        "flow_table_length": 1024,
    }
    return fields | {name.replace("__", "."): value for name, value in changes.items()}


def as_details(last: int, *, flags: int = 1, weight: int = 100) -> Fields:
    return {
        **vip_details(),
        "app_srv.af": 0,
        "app_srv.un": bytes([10, 0, 0, last]) + bytes(12),
        "flags": flags,
        "weight": weight,
        "num_buckets": 7,
    }


def test_a_vip_is_added_and_deleted_by_one_message_with_every_field_given() -> None:
    settings = VipSettings(encap=Encap.NAT4, target_port=8080, src_ip_sticky=True)
    name, fields = codec.request(AddVip(vip=WEB, settings=settings))
    assert name == "lb_add_del_vip_v2"
    assert fields == {
        **WEB_FIELDS,
        "encap": 3,
        "dscp": 0,
        "type": 0,
        "target_port": 8080,
        "node_port": 0,
        "new_flows_table_length": 1024,
        "src_ip_sticky": True,
        "is_del": False,
    }
    assert codec.request(DelVip(vip=WEB, settings=settings)) == (name, {**fields, "is_del": True})


def test_all_ports_are_protocol_255_and_port_0() -> None:
    vip = VipId(ip_network("2001:db8::/64"), Protocol.ANY, 0)
    _, fields = codec.request(AddVip(vip=vip, settings=VipSettings(encap=Encap.GRE6)))
    assert (fields["protocol"], fields["port"]) == (255, 0)
    assert (fields["pfx.address.af"], fields["pfx.len"]) == (1, 64)
    assert fields["pfx.address.un"] == IPv6Address("2001:db8::").packed


def test_servers_are_added_removed_and_weighed() -> None:
    assert codec.request(AddServer(vip=WEB, address=A, weight=7)) == (
        "lb_add_del_as_v2",
        {**WEB_FIELDS, **A_FIELDS, "weight": 7, "is_del": 0, "is_flush": 0},
    )
    assert codec.request(DelServer(vip=WEB, address=A, flush=True)) == (
        "lb_add_del_as_v2",
        {**WEB_FIELDS, **A_FIELDS, "weight": 0, "is_del": 1, "is_flush": True},
    )
    assert codec.request(SetWeight(vip=WEB, address=A, weight=0, flush=True)) == (
        "lb_as_set_weight",
        {**WEB_FIELDS, **A_FIELDS, "weight": 0, "is_flush": True},
    )


@pytest.mark.parametrize("length", [0, -1, 3, 1000, 65537, 131072])
def test_a_table_length_that_is_no_power_of_two_up_to_65536_is_not_sendable(length: int) -> None:
    settings = VipSettings(encap=Encap.GRE4, table_length=length)
    with pytest.raises(codec.NotSendable, match=str(length)):
        codec.request(AddVip(vip=WEB, settings=settings))


@pytest.mark.parametrize("weight", [-1, 101, 255])
def test_a_weight_outside_0_to_100_is_not_sendable(weight: int) -> None:
    with pytest.raises(codec.NotSendable, match=str(weight)):
        codec.request(SetWeight(vip=WEB, address=A, weight=weight))


@pytest.mark.parametrize(
    "op",
    [
        AddVip(vip=WEB, settings=VipSettings(encap=Encap.NAT4, target_port=65536)),
        AddVip(vip=WEB, settings=VipSettings(encap=Encap.L3DSR, dscp=64)),
        AddVip(vip=WEB._replace(port=65536), settings=VipSettings(encap=Encap.GRE4)),
        SetWeight(vip=WEB._replace(port=-1), address=A, weight=1),
        SetConf(conf=LbConf(flow_timeout=2**32)),
        SetConf(conf=LbConf(sticky_buckets_per_core=-1)),
    ],
)
def test_what_does_not_fit_its_field_is_not_sendable(op: Op) -> None:
    with pytest.raises(codec.NotSendable, match="is not from 0 to"):
        codec.request(op)


def test_settings_of_the_plugin_go_out_and_come_back() -> None:
    conf = LbConf(ipv4_source=IPv4Address("10.0.0.9"), flow_timeout=60)
    name, fields = codec.request(SetConf(conf=conf))
    assert name == "lb_conf"
    assert codec.conf({**fields, "retval": 0}) == conf


def test_servers_that_only_linger_are_no_servers() -> None:
    servers = [as_details(1, flags=0), as_details(2), as_details(1, flags=0), as_details(3)]
    assert list(codec.table([vip_details()], servers, set())[WEB].servers) == [
        ip_address("10.0.0.2"),
        ip_address("10.0.0.3"),
    ]


def test_a_server_listed_as_lingering_and_as_live_is_live() -> None:
    servers = [as_details(1, flags=0, weight=9), as_details(1, weight=5)]
    assert codec.table([vip_details()], servers, set()) == {
        WEB: Vip(
            settings=VipSettings(encap=Encap.GRE4), servers={A: AppServer(weight=5, buckets=7)}
        )
    }


def test_servers_of_a_deleted_vip_are_dropped() -> None:
    assert codec.table([], [as_details(1, flags=0), as_details(1)], set()) == {}


def test_the_target_port_is_swapped_back_and_is_nats_alone() -> None:
    nat = codec.table([vip_details(encap=3, target_port=36895, srv_type=1)], [], set())
    assert nat[WEB].settings == VipSettings(encap=Encap.NAT4, target_port=8080)
    gre = codec.table([vip_details(encap=0, target_port=36895)], [], set())
    assert gre[WEB].settings.target_port == 0


def test_the_dscp_is_l3dsrs_alone() -> None:
    l3dsr = codec.table([vip_details(encap=2, dscp=7, srv_type=7)], [], set())
    assert l3dsr[WEB].settings.dscp == 7
    assert codec.table([vip_details(encap=3, dscp=1)], [], set())[WEB].settings.dscp == 0


def test_a_table_length_of_0_is_65536() -> None:
    found = codec.table([vip_details(flow_table_length=0)], [], set())
    assert found[WEB].settings.table_length == 65536


def test_what_is_sticky_is_told_by_another_source() -> None:
    assert codec.table([vip_details()], [], {WEB})[WEB].settings.src_ip_sticky


def test_vips_of_other_protocols_are_not_ours_to_see() -> None:
    others = [vip_details(vip__protocol=132), vip_details(vip__protocol=255)]
    assert codec.table(others, [], set()) == {}


def test_the_verbose_listing_tells_index_and_stickiness_of_live_vips() -> None:
    text = (
        " ip4-gre4 [1] 192.0.2.1/32 src_ip_sticky\n  new_size:1024\n  protocol:6 port:80\n"
        "  counters:\n    packet from existing sessions: 0\n  #as:1\n"
        "    10.1.0.1 weight:100 buckets:1024 flows:0 dpo:10 used\n\n"
        " ip4-gre4 [2] 192.0.2.1/32 src_ip_sticky removed\n  new_size:1024\n"
        "  protocol:6 port:443\n  counters:\n  #as:0\n\n"
        " ip6-gre6 [3] 2001:db8::/64 src_ip_sticky\n  new_size:1\n  counters:\n  #as:0\n\n"
        " ip4-nat4 [4] 192.0.2.5/32\n  new_size:1024\n  protocol:17 port:53\n"
        "  type:clusterip port:20480 target_port:8080  counters:\n  #as:0\n\n"
        " ip4-gre4 [5] 192.0.2.6/32\n  new_size:1024\n  protocol:132 port:53\n  counters:\n"
    )
    assert codec.vip_indexes(text) == {
        WEB: (1, True),
        VipId(ip_network("2001:db8::/64"), Protocol.ANY, 0): (3, True),
        VipId(ip_network("192.0.2.5/32"), Protocol.UDP, 53): (4, False),
    }
    assert codec.vip_indexes("") == {}


def test_clients_of_a_name_are_counted_where_vpp_lists_them() -> None:
    text = (
        "Shared memory clients\n"
        "                Name      PID   Queue Length           Queue VA Health\n"
        "          vpplb-old       77              0 0x00000001301c6e00 OK\n\n"
        "Socket clients\n"
        "                Name  Fildesc\n"
        "               vpplb       20\n"
        "       vpplb-witness       21\n"
        "               vpplb       22\n"
    )
    assert codec.clients_named("vpplb", text) == 2
    assert codec.clients_named("vpplb", "") == 0
