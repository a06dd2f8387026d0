from collections.abc import Sequence, Set
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from vpplb.model.vip import (
    AppServer,
    Encap,
    LbConf,
    StrangeVip,
    Vip,
    VipId,
    VipProtocol,
    VipSettings,
    VipTable,
)
from vpplb.plan.ops import AddServer, AddVip, DelServer, DelVip, Op, SetConf, SetWeight
from vpplb.vpp import cli_output, codec
from vpplb.vpp.cli_output import VipListing
from vpplb.vpp.message_fields import Fields

WEB = VipId(ip_network("192.0.2.1/32"), VipProtocol.TCP, 80)
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


def table(
    vips: Sequence[Fields], servers: Sequence[Fields], sticky: Set[VipId] = frozenset()
) -> VipTable:
    return codec.decode_table(vips, servers, VipListing({}, frozenset(sticky)))[0]


def strange(*vips: Fields, text: str = "") -> list[StrangeVip]:
    found, strange = codec.decode_table(vips, [], cli_output.parse_vips(text))
    assert found == {}
    return list(strange)


def low(length: int, **changes: int) -> Fields:
    """An IPv6 VIP `::/length` as VPP tells it: its address is taken for an IPv4 one."""
    return vip_details(vip__pfx__address__un=bytes(16), vip__pfx__len=length, encap=1, **changes)


def test_a_vip_is_added_and_deleted_by_one_message_with_every_field_given() -> None:
    settings = VipSettings(encap=Encap.NAT4, target_port=8080, src_ip_sticky=True)
    name, fields = codec.encode_op(AddVip(vip=WEB, settings=settings))
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
    assert codec.encode_op(DelVip(vip=WEB, settings=settings)) == (name, {**fields, "is_del": True})


def test_all_ports_are_protocol_255_and_port_0() -> None:
    vip = VipId(ip_network("2001:db8::/64"), VipProtocol.ANY, 0)
    _, fields = codec.encode_op(AddVip(vip=vip, settings=VipSettings(encap=Encap.GRE6)))
    assert (fields["protocol"], fields["port"]) == (255, 0)
    assert (fields["pfx.address.af"], fields["pfx.len"]) == (1, 64)
    assert fields["pfx.address.un"] == IPv6Address("2001:db8::").packed


def test_servers_are_added_removed_and_weighed() -> None:
    assert codec.encode_op(AddServer(vip=WEB, address=A, weight=7)) == (
        "lb_add_del_as_v2",
        {**WEB_FIELDS, **A_FIELDS, "weight": 7, "is_del": 0, "is_flush": 0},
    )
    assert codec.encode_op(DelServer(vip=WEB, address=A, flush=True)) == (
        "lb_add_del_as_v2",
        {**WEB_FIELDS, **A_FIELDS, "weight": 0, "is_del": 1, "is_flush": True},
    )
    assert codec.encode_op(SetWeight(vip=WEB, address=A, weight=0, flush=True)) == (
        "lb_as_set_weight",
        {**WEB_FIELDS, **A_FIELDS, "weight": 0, "is_flush": True},
    )


@pytest.mark.parametrize("length", [0, -1, 3, 1000, 65537, 131072])
def test_a_table_length_that_is_no_power_of_two_up_to_65536_is_not_sendable(length: int) -> None:
    settings = VipSettings(encap=Encap.GRE4, table_length=length)
    with pytest.raises(codec.NotSendable, match=str(length)):
        codec.encode_op(AddVip(vip=WEB, settings=settings))


@pytest.mark.parametrize("weight", [-1, 101, 255])
def test_a_weight_outside_0_to_100_is_not_sendable(weight: int) -> None:
    with pytest.raises(codec.NotSendable, match=str(weight)):
        codec.encode_op(SetWeight(vip=WEB, address=A, weight=weight))


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
        codec.encode_op(op)


def test_settings_of_the_plugin_go_out_and_come_back() -> None:
    conf = LbConf(ipv4_source=IPv4Address("10.0.0.9"), flow_timeout=60)
    name, fields = codec.encode_op(SetConf(conf=conf))
    assert name == "lb_conf"
    assert codec.decode_conf({**fields, "retval": 0}) == conf


def test_servers_that_only_linger_are_no_servers() -> None:
    servers = [as_details(1, flags=0), as_details(2), as_details(1, flags=0), as_details(3)]
    assert list(table([vip_details()], servers)[WEB].servers) == [
        ip_address("10.0.0.2"),
        ip_address("10.0.0.3"),
    ]


def test_a_server_listed_as_lingering_and_as_live_is_live() -> None:
    servers = [as_details(1, flags=0, weight=9), as_details(1, weight=5)]
    assert table([vip_details()], servers) == {
        WEB: Vip(
            settings=VipSettings(encap=Encap.GRE4), servers={A: AppServer(weight=5, buckets=7)}
        )
    }


def test_servers_of_a_deleted_vip_are_dropped() -> None:
    assert table([], [as_details(1, flags=0), as_details(1)]) == {}


def test_the_target_port_is_swapped_back_and_is_nats_alone() -> None:
    nat = table([vip_details(encap=3, target_port=36895, srv_type=1)], [])
    assert nat[WEB].settings == VipSettings(encap=Encap.NAT4, target_port=8080)
    gre = table([vip_details(encap=0, target_port=36895)], [])
    assert gre[WEB].settings.target_port == 0


def test_the_dscp_is_l3dsrs_alone() -> None:
    l3dsr = table([vip_details(encap=2, dscp=7, srv_type=7)], [])
    assert l3dsr[WEB].settings.dscp == 7
    assert table([vip_details(encap=3, dscp=1)], [])[WEB].settings.dscp == 0


def test_a_table_length_of_0_is_65536() -> None:
    found = table([vip_details(flow_table_length=0)], [])
    assert found[WEB].settings.table_length == 65536


def test_what_is_sticky_is_told_by_another_source() -> None:
    assert table([vip_details()], [], {WEB})[WEB].settings.src_ip_sticky


def test_vips_that_no_frontend_can_have_are_named_and_stand_in_the_way_on_their_prefix() -> None:
    prefix = WEB.prefix
    assert strange(vip_details(vip__protocol=132), vip_details(vip__protocol=255)) == [
        StrangeVip(text="192.0.2.1/32 protocol 132 port 80", prefix=prefix, encap=Encap.GRE4),
        StrangeVip(text="192.0.2.1/32 protocol 255 port 80", prefix=prefix, encap=Encap.GRE4),
    ]


def test_an_encapsulation_that_is_not_known_excludes_all_others() -> None:
    assert strange(vip_details(encap=5)) == [
        StrangeVip(text="192.0.2.1/32 protocol 6 port 80", prefix=WEB.prefix, encap=None)
    ]


@pytest.mark.parametrize("length", [33, 64, 95])
def test_an_ipv6_prefix_that_reads_back_as_no_ipv4_prefix_is_named_and_passed_over(
    length: int,
) -> None:
    assert strange(low(length)) == [StrangeVip(text=f"::/{length} protocol 6 port 80")]
    assert strange(low(length, vip__port=0, vip__protocol=255)) == [
        StrangeVip(text=f"::/{length} all ports", all_ports=True)
    ]


@pytest.mark.parametrize("length", [0, 20, 32])
def test_an_ipv6_prefix_that_reads_back_as_an_ipv4_prefix_is_told_by_the_listing(
    length: int,
) -> None:
    text = f" ip6-gre6 [1] ::/{length}\n  new_size:64\n  protocol:6 port:80\n"
    assert strange(low(length), text=text) == [
        StrangeVip(
            text=f"::/{length} protocol 6 port 80",
            prefix=ip_network(f"0.0.0.0/{length}"),
            encap=None,
        )
    ]
    assert cli_output.parse_vips(text).indexes == {}


def test_an_ipv4_prefix_of_zeros_is_read_as_it_is() -> None:
    text = " ip4-gre4 [1] 0.0.0.0/8\n  new_size:64\n  protocol:6 port:80\n"
    details = vip_details(vip__pfx__address__un=bytes(16), vip__pfx__len=8)
    found, strange = codec.decode_table([details], [], cli_output.parse_vips(text))
    assert (list(found), strange) == ([VipId(ip_network("0.0.0.0/8"), VipProtocol.TCP, 80)], ())


def test_servers_of_what_cannot_be_read_are_passed_over() -> None:
    assert table([low(64)], [{**as_details(1), **low(64)}]) == {}


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
    assert codec.count_clients("vpplb", text) == 2
    assert codec.count_clients("vpplb", "") == 0
