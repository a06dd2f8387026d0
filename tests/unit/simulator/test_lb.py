"""What transcripts do not hold: collection of garbage, reuse of rows, refusals."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from vpplb.model.vip import AppServer, Encap, LbConf, Vip, VipId, VipProtocol, VipSettings
from vpplb.simulator.lb import CONCURRENCY_TIMEOUT, GARBAGE_RUN, LoadBalancerState
from vpplb.simulator.rows import NewVip, VipKey, VppAborted, VppRetval

GRE4 = NewVip(encap=Encap.GRE4)


def key(prefix: str, port: int = 80, protocol: int = 6) -> VipKey:
    address, length = prefix.split("/")
    added = 96 if "." in address else 0
    return VipKey(number(address), int(length) + added, protocol, port)


def number(address: str) -> int:
    return int(ip_address(address))


WEB = key("192.0.2.1/32")
ONE, TWO, THREE = number("10.0.0.1"), number("10.0.0.2"), number("10.0.0.3")


class Uptime:
    """Seconds since a VPP's start, as the test has it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def uptime() -> Uptime:
    return Uptime()


@pytest.fixture
def lb(uptime: Uptime) -> LoadBalancerState:
    return LoadBalancerState(uptime)


def rows(lb: LoadBalancerState) -> list[tuple[int, bool]]:
    return [(index, row.used) for index, row in lb.vip_rows()]


def servers(lb: LoadBalancerState, vip_index: int = 1) -> list[tuple[str, bool]]:
    indexes = lb.server_indexes(lb.vips[vip_index])
    return [(str(IPv4Address(lb.servers[i].address)), lb.servers[i].used) for i in indexes]


def with_servers(lb: LoadBalancerState, *addresses: int) -> None:
    assert lb.add_vip(WEB, GRE4) is VppRetval.OK
    for address in addresses:
        assert lb.add_server(WEB, address, 100) is VppRetval.OK


def test_a_removed_server_lingers_until_garbage_is_collected(
    lb: LoadBalancerState, uptime: Uptime
) -> None:
    with_servers(lb, ONE, TWO)
    lb.delete_server(WEB, ONE)
    uptime.seconds = 2 * GARBAGE_RUN - 0.1
    lb.collect_garbage()
    assert servers(lb) == [("10.0.0.1", False), ("10.0.0.2", True)]
    uptime.seconds = 2 * GARBAGE_RUN
    lb.collect_garbage()
    assert servers(lb) == [("10.0.0.2", True)]


def test_garbage_is_collected_by_the_minute_and_not_by_who_asks_next(
    lb: LoadBalancerState, uptime: Uptime
) -> None:
    """As a real VPP was recorded: removed at second 20, still listed at second 95."""
    uptime.seconds = 20
    with_servers(lb, ONE)
    lb.delete_server(WEB, ONE)
    uptime.seconds = 95
    lb.collect_garbage()
    assert servers(lb) == [("10.0.0.1", False)]
    uptime.seconds = 120
    lb.collect_garbage()
    assert servers(lb) == []


def test_a_server_removed_just_now_outlives_a_collection(
    lb: LoadBalancerState, uptime: Uptime
) -> None:
    with_servers(lb, ONE)
    uptime.seconds = GARBAGE_RUN - CONCURRENCY_TIMEOUT + 1
    lb.delete_server(WEB, ONE)
    uptime.seconds = GARBAGE_RUN
    lb.collect_garbage()
    assert servers(lb) == [("10.0.0.1", False)]
    uptime.seconds = 2 * GARBAGE_RUN
    lb.collect_garbage()
    assert servers(lb) == []


def test_a_change_collects_the_garbage_of_its_own_vip(
    lb: LoadBalancerState, uptime: Uptime
) -> None:
    with_servers(lb, ONE, TWO)
    lb.delete_server(WEB, ONE)
    uptime.seconds = GARBAGE_RUN + 1
    lb.add_server(WEB, THREE, 1)
    assert servers(lb) == [("10.0.0.2", True), ("10.0.0.3", True)]


def test_the_row_of_a_collected_server_is_the_next_to_be_used(
    lb: LoadBalancerState, uptime: Uptime
) -> None:
    with_servers(lb, ONE, TWO)
    lb.delete_server(WEB, ONE)
    uptime.seconds = 2 * GARBAGE_RUN
    lb.collect_garbage()
    lb.add_server(WEB, THREE, 1)
    assert servers(lb) == [("10.0.0.3", True), ("10.0.0.2", True)]


def test_a_removed_vip_goes_with_its_last_server(lb: LoadBalancerState, uptime: Uptime) -> None:
    with_servers(lb, ONE)
    lb.delete_vip(WEB)
    assert rows(lb) == [(1, False)]
    uptime.seconds = 2 * GARBAGE_RUN
    lb.collect_garbage()
    assert rows(lb) == []
    assert lb.add_vip(key("192.0.2.2/32"), GRE4) is VppRetval.OK
    assert rows(lb) == [(1, True)]


def test_a_server_taken_up_again_gets_the_new_weight(lb: LoadBalancerState) -> None:
    with_servers(lb, ONE)
    lb.delete_server(WEB, ONE)
    assert lb.set_weight(WEB, ONE, 5) is VppRetval.NO_SUCH_ENTRY
    assert lb.add_server(WEB, ONE, 7) is VppRetval.OK
    assert lb.servers[lb.server_indexes(lb.vips[1])[0]].weight == 7


def test_a_table_length_of_zero_is_refused_where_vpp_would_run_out_of_memory(
    lb: LoadBalancerState,
) -> None:
    assert lb.add_vip(WEB, NewVip(encap=Encap.GRE4, table_length=0)) is VppRetval.UNSPECIFIED
    assert rows(lb) == []


def test_node_ports_are_refused(lb: LoadBalancerState) -> None:
    assert lb.add_vip(WEB, NewVip(encap=Encap.NAT4, service_type=1)) is VppRetval.UNSPECIFIED


def test_an_unknown_encapsulation_is_that_of_another_family_to_an_ipv4_vip(
    lb: LoadBalancerState,
) -> None:
    assert lb.add_vip(WEB, NewVip(encap=None)) is VppRetval.INVALID_ADDRESS_FAMILY
    assert lb.add_vip(key("2001:db8::/32"), NewVip(encap=None)) is VppRetval.OK


@pytest.mark.parametrize(
    ("present", "added", "retval"),
    [
        (key("192.0.2.1/32"), key("192.0.2.1/32"), VppRetval.VALUE_EXIST),
        (key("192.0.2.0/24"), key("192.0.2.99/24"), VppRetval.VALUE_EXIST),
        (key("192.0.2.1/32"), key("192.0.2.1/32", 0), VppRetval.VALUE_EXIST),
        (key("192.0.2.1/32", 0), key("192.0.2.1/32"), VppRetval.VALUE_EXIST),
        (key("192.0.2.1/32", 0), key("192.0.2.1/32", 0, 17), VppRetval.VALUE_EXIST),
        (key("192.0.2.1/32"), key("192.0.2.1/32", 443), VppRetval.OK),
        (key("192.0.2.1/32"), key("192.0.2.1/32", 80, 17), VppRetval.OK),
        (key("192.0.2.1/32"), key("192.0.2.1/31"), VppRetval.OK),
    ],
)
def test_which_vips_exclude_each_other(
    lb: LoadBalancerState, present: VipKey, added: VipKey, retval: VppRetval
) -> None:
    assert lb.add_vip(present, GRE4) is VppRetval.OK
    assert lb.add_vip(added, GRE4) is retval


def test_conf_keeps_numbers_that_are_not_given(lb: LoadBalancerState) -> None:
    ip4, ip6 = IPv4Address("10.0.0.1"), IPv6Address("fd00::1")
    assert lb.set_settings(ip4, ip6, None, None) is VppRetval.OK
    assert lb.conf == LbConf(ipv4_source=ip4, ipv6_source=ip6)
    assert lb.set_settings(ip4, ip6, 3, None) is VppRetval.INVALID_MEMORY_SIZE


def test_table_is_what_is_live_in_the_models_terms(lb: LoadBalancerState) -> None:
    with_servers(lb, TWO, ONE)
    lb.delete_server(WEB, TWO)
    dsr = NewVip(encap=Encap.L3DSR, dscp=7, target_port=9, table_length=64, src_ip_sticky=True)
    lb.add_vip(key("198.51.100.0/24", 0), dsr)
    lb.add_vip(key("2001:db8::1/128", 53, 17), NewVip(encap=Encap.NAT6, target_port=8080))
    lb.delete_vip(key("203.0.113.1/32"))
    assert lb.table() == {
        VipId(ip_network("192.0.2.1/32"), VipProtocol.TCP, 80): Vip(
            settings=VipSettings(encap=Encap.GRE4),
            servers={IPv4Address("10.0.0.1"): AppServer(weight=100, buckets=1024)},
        ),
        VipId(ip_network("198.51.100.0/24"), VipProtocol.ANY, 0): Vip(
            settings=VipSettings(encap=Encap.L3DSR, dscp=7, src_ip_sticky=True, table_length=64),
            servers={},
        ),
        VipId(ip_network("2001:db8::1/128"), VipProtocol.UDP, 53): Vip(
            settings=VipSettings(encap=Encap.NAT6, target_port=8080), servers={}
        ),
    }


NAT4 = NewVip(encap=Encap.NAT4, target_port=5353)
DNS, DNS2 = key("192.0.2.1/32", 53, 17), key("192.0.2.2/32", 53, 17)


@pytest.mark.parametrize("encap", [Encap.NAT4, Encap.NAT6])
def test_a_server_of_an_all_port_nat_vip_is_the_death_of_vpp(
    lb: LoadBalancerState, encap: Encap
) -> None:
    vip, server = ("192.0.2.1/32", "10.0.0.1") if encap is Encap.NAT4 else ("fd00::/64", "fd01::1")
    everything = key(vip, 0, 255)
    assert lb.add_vip(everything, NewVip(encap=encap)) is VppRetval.OK
    with pytest.raises(VppAborted):
        lb.add_server(everything, number(server), 100)


def test_nat_vips_with_one_server_and_target_port_are_the_death_of_vpp(
    lb: LoadBalancerState, uptime: Uptime
) -> None:
    for vip in (DNS, DNS2):
        assert lb.add_vip(vip, NAT4) is VppRetval.OK
        assert lb.add_server(vip, ONE, 100) is VppRetval.OK
    for vip in (DNS, DNS2):
        assert lb.delete_server(vip, ONE) is VppRetval.OK
    uptime.seconds = 3 * GARBAGE_RUN
    with pytest.raises(VppAborted):
        lb.collect_garbage()


def test_a_nat_vip_that_was_made_anew_is_the_death_of_vpp_when_it_is_removed(
    lb: LoadBalancerState, uptime: Uptime
) -> None:
    for _ in range(2):
        lb.delete_vip(DNS)
        assert lb.add_vip(DNS, NAT4) is VppRetval.OK
        assert lb.add_server(DNS, ONE, 100) is VppRetval.OK
    lb.delete_vip(DNS)
    uptime.seconds = 600
    with pytest.raises(VppAborted):
        lb.collect_garbage()


def test_a_nat_vip_that_shares_nothing_comes_and_goes(
    lb: LoadBalancerState, uptime: Uptime
) -> None:
    for at in range(3):
        uptime.seconds = 300 * at
        lb.collect_garbage()
        assert lb.add_vip(DNS, NAT4) is VppRetval.OK
        assert lb.add_server(DNS, ONE, 100) is VppRetval.OK
        assert lb.delete_vip(DNS) is VppRetval.OK
    uptime.seconds = 1200
    lb.collect_garbage()
    assert rows(lb) == []
