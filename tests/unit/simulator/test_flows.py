from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from vpplb.model.vip import Encap, IPAddress
from vpplb.simulator.counters import PacketKind
from vpplb.simulator.flows import TCP, UDP, FiveTuple, NotModelled, StickyTable, crc32c, flow_hash
from vpplb.simulator.lb import GARBAGE_RUN, NO_VIP, LoadBalancerState
from vpplb.simulator.rows import NewVip, VipKey, VppRetval

HTTP, DNS, SCTP = 80, 53, 132


def flow(source: str, destination: str, protocol: int = TCP, *ports: int) -> FiveTuple:
    return FiveTuple(ip_address(source), ip_address(destination), protocol, *ports)


def test_the_checksum_is_that_of_the_standard_but_for_its_inversions() -> None:
    # RFC 3720, B.4: of 32 bytes of zeros, and of ones; inverted before and after.
    assert crc32c(b"\xff\xff\xff\xff" + b"\0" * 28) ^ 0xFFFFFFFF == 0x8A9136AA
    assert crc32c(b"\0\0\0\0" + b"\xff" * 28) ^ 0xFFFFFFFF == 0x62A8AB43


@pytest.mark.parametrize(
    ("packet", "hash_"),
    [
        (flow("198.51.100.7", "192.0.2.1", TCP, 1000, HTTP), 0x705F039D),
        (flow("2001:db8::7", "2001:db8::1", UDP, 1000, DNS), 0xDA817C9F),
    ],
)
def test_hashes_stay_what_a_real_vpp_was_found_to_agree_with(packet: FiveTuple, hash_: int) -> None:
    assert flow_hash(packet, sticky=False) == hash_


def test_every_part_of_the_five_tuple_but_the_protocol_counts() -> None:
    base = flow("198.51.100.7", "192.0.2.1", TCP, 1000, HTTP)
    others = [
        base._replace(source=ip_address("198.51.100.8")),
        base._replace(destination=ip_address("192.0.2.2")),
        base._replace(source_port=1001),
        base._replace(destination_port=81),
    ]
    assert len({flow_hash(each, sticky=False) for each in (base, *others)}) == 5
    same = base._replace(protocol=UDP)
    assert flow_hash(same, sticky=False) == flow_hash(base, sticky=False)


def test_ports_do_not_count_where_the_source_is_sticky_or_the_protocol_has_none() -> None:
    base = flow("2001:db8::7", "2001:db8::1", TCP, 1000, HTTP)
    other = base._replace(source_port=1001)
    assert flow_hash(base, sticky=True) == flow_hash(other, sticky=True)
    sctp = (each._replace(protocol=SCTP) for each in (base, other))
    assert len({flow_hash(each, sticky=False) for each in sctp}) == 1


class Table:
    """A table of one bucket, and whatever a test asks of it at a second."""

    def __init__(self) -> None:
        self.references: Counter[int] = Counter()
        self.table = StickyTable(1, self.references)

    def packet(self, hash_: int, now: int, *, server: int, vip: int = 1) -> int | None:
        """Return the remembered server; else remember this one, if there is room."""
        found, free = self.table.find_flow(hash_, vip, now, 40)
        if found:
            return found
        if free is not None:
            self.table.put_flow(free, hash_, vip, server, now + 40)
        return None if free is None else 0


@pytest.fixture
def table() -> Table:
    return Table()


def test_a_flow_is_remembered_until_it_has_been_silent_for_the_timeout(table: Table) -> None:
    assert table.packet(7, 100, server=5) == 0
    assert table.packet(7, 139, server=6) == 5
    assert table.packet(7, 178, server=6) == 5
    assert table.packet(7, 218, server=6) == 0
    assert table.packet(7, 218, server=9) == 6


def test_flows_are_told_apart_by_hash_and_vip(table: Table) -> None:
    table.packet(7, 100, server=5, vip=1)
    assert table.packet(7, 100, server=6, vip=2) == 0
    assert table.packet(8, 100, server=7, vip=1) == 0
    assert table.packet(7, 100, server=9, vip=2) == 6


def test_the_fifth_flow_of_a_bucket_finds_no_room(table: Table) -> None:
    assert [table.packet(n, 100, server=5) for n in range(5)] == [0, 0, 0, 0, None]
    assert table.packet(9, 140, server=5) == 0


def test_a_flushed_entry_lets_go_of_its_server_but_is_no_room_until_it_times_out(
    table: Table,
) -> None:
    for n in range(4):
        table.packet(n, 100, server=5)
    table.table.flush_flows(1, 5)
    assert table.references[5] == 0
    assert table.packet(0, 101, server=6) is None
    assert table.packet(0, 140, server=6) == 0


def test_a_flush_spares_other_servers_and_other_vips(table: Table) -> None:
    table.packet(1, 100, server=5, vip=1)
    table.packet(2, 100, server=6, vip=1)
    table.packet(3, 100, server=5, vip=2)
    table.table.flush_flows(1, 5)
    assert (table.references[5], table.references[6]) == (1, 1)
    table.table.flush_flows(1, None)
    assert (table.references[5], table.references[6]) == (1, 0)


def test_an_entry_that_timed_out_holds_on_to_its_server_until_it_is_needed(table: Table) -> None:
    table.packet(1, 100, server=5)
    table.table.find_flow(9, 1, 1000, 40)
    assert table.references[5] == 1
    table.packet(2, 1000, server=6)
    assert (table.references[5], table.references[6]) == (0, 1)


ICMP = 1
GRE4 = NewVip(encap=Encap.GRE4)


def number(address: str) -> int:
    return int(ip_address(address))


def key(prefix: str, port: int = 80, protocol: int = TCP) -> VipKey:
    address, length = prefix.split("/")
    return VipKey(number(address), int(length) + (96 if "." in address else 0), protocol, port)


WEB = key("192.0.2.1/32")


class ClockedPlugin:
    """A plugin whose clock the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lb = LoadBalancerState(lambda: self.now, threads=2)

    def add(self, vip: VipKey, *weights: int, new: NewVip = GRE4, first: str = "10.0.0.1") -> None:
        self.lb.add_vip(vip, new)
        for position, weight in enumerate(weights):
            self.lb.add_server(vip, number(first) + position, weight)

    def send(self, *ports: int, thread: int = 0, to: str = "192.0.2.1") -> list[IPAddress | None]:
        flows = [FiveTuple(ip_address("198.51.100.7"), ip_address(to), TCP, p, 80) for p in ports]
        return [self.lb.forward_packet(flow, thread) for flow in flows]

    def counted(self, index: int = 1) -> dict[str, int]:
        return {
            kind.name: n
            for kind in PacketKind
            if (n := self.lb.counters.total_packets(kind, index))
        }


@pytest.fixture
def vpp() -> ClockedPlugin:
    return ClockedPlugin()


@pytest.mark.parametrize(
    ("vip", "encap", "servers", "client", "chosen"),
    [
        (
            "192.0.2.1/32",
            Encap.GRE4,
            "10.0.0.1",
            "198.51.100.7",
            "131123111121113222212131221211113212211131213211112231211212",
        ),
        (
            "2001:db8::1/128",
            Encap.GRE6,
            "fd00::1",
            "2001:db8:f::7",
            "111112211121211122213121111311322112213221211111111121212212",
        ),
    ],
)
def test_flows_go_where_a_real_vpp_was_seen_to_send_them(
    vpp: ClockedPlugin, vip: str, encap: Encap, servers: str, client: str, chosen: str
) -> None:
    vpp.add(key(vip), 100, 50, 10, new=NewVip(encap=encap), first=servers)
    target = ip_address(vip.split("/", maxsplit=1)[0])
    seen = [
        vpp.lb.forward_packet(FiveTuple(ip_address(client), target, TCP, port, 80))
        for port in range(1000, 1060)
    ]
    assert "".join(str(server)[-1] for server in seen) == chosen


def test_a_weight_change_moves_new_flows_only(vpp: ClockedPlugin) -> None:
    vpp.add(WEB, 100, 100)
    before = vpp.send(*range(100))
    vpp.lb.set_weight(WEB, number("10.0.0.1"), 0)
    assert vpp.send(*range(100)) == before
    assert set(vpp.send(*range(100, 200))) == {IPv4Address("10.0.0.2")}
    assert vpp.counted() == {"FIRST": 200, "EXISTING": 100}


def test_a_removed_server_keeps_its_flows_until_they_are_flushed(vpp: ClockedPlugin) -> None:
    vpp.add(WEB, 100, 100)
    before = vpp.send(*range(100))
    vpp.lb.delete_server(WEB, number("10.0.0.1"))
    assert vpp.send(*range(100)) == before
    vpp.lb.delete_server(WEB, number("10.0.0.1"), flush=True)
    assert set(vpp.send(*range(100))) == {IPv4Address("10.0.0.2")}


def test_a_server_taken_up_again_has_its_flows_still_but_with_a_flush(vpp: ClockedPlugin) -> None:
    vpp.add(WEB, 100, 100)
    vpp.send(*range(100))
    server = vpp.lb.server_indexes(vpp.lb.vips[1])[0]
    had = vpp.lb.count_flows(server)
    assert had > 30
    for flush, has in ((False, had), (True, 0)):
        vpp.lb.delete_server(WEB, number("10.0.0.1"))
        vpp.lb.add_server(WEB, number("10.0.0.1"), 100, flush=flush)
        assert vpp.lb.count_flows(server) == has


def test_a_flush_of_a_server_spares_the_others(vpp: ClockedPlugin) -> None:
    vpp.add(WEB, 100, 100, 100)
    before = vpp.send(*range(100))
    one = number("10.0.0.1")
    vpp.lb.set_weight(WEB, one, 0, flush=True)
    moved = [
        p for p, (a, b) in enumerate(zip(before, vpp.send(*range(100)), strict=True)) if a != b
    ]
    assert moved == [p for p, server in enumerate(before) if server == IPv4Address(one)]


def test_a_flush_of_a_vip_cuts_the_flows_of_all_its_servers_on_all_threads(
    vpp: ClockedPlugin,
) -> None:
    vpp.add(WEB, 100, 100)
    for thread in (0, 1):
        vpp.send(*range(10), thread=thread)
    assert vpp.lb.flush_vip(WEB) == 0
    assert [vpp.lb.count_flows(index) for index in vpp.lb.server_indexes(vpp.lb.vips[1])] == [0, 0]
    assert vpp.lb.flush_vip(key("192.0.2.9/32")) == 0


def test_threads_do_not_know_each_others_flows(vpp: ClockedPlugin) -> None:
    vpp.add(WEB, 100)
    vpp.send(1, thread=0)
    vpp.send(1, thread=1)
    assert vpp.counted() == {"FIRST": 2}
    with pytest.raises(IndexError):
        vpp.send(1, thread=2)


def test_a_server_with_flows_outlives_the_collection_of_garbage(vpp: ClockedPlugin) -> None:
    vpp.add(WEB, 100, 100)
    vpp.send(*range(10))
    vpp.lb.delete_server(WEB, number("10.0.0.1"))
    for minute in (1, 2, 10):
        vpp.now = minute * GARBAGE_RUN
        vpp.lb.collect_garbage()
        assert len(vpp.lb.server_indexes(vpp.lb.vips[1])) == 2
    vpp.lb.flush_vip(WEB)
    vpp.now = 12 * GARBAGE_RUN
    vpp.lb.collect_garbage()
    assert len(vpp.lb.server_indexes(vpp.lb.vips[1])) == 1


def test_a_table_of_another_size_is_a_new_one(vpp: ClockedPlugin) -> None:
    vpp.add(WEB, 100)
    vpp.send(*range(10))
    vpp.lb.set_settings(IPv4Address(0), IPv6Address(0), 64, None)
    assert vpp.lb.count_flows(1) == 10
    vpp.send(99)
    assert vpp.lb.count_flows(1) == 1
    assert vpp.lb.flow_tables() == [(0, 1, 67)]


def test_without_a_server_packets_are_dropped_and_counted_as_such(vpp: ClockedPlugin) -> None:
    vpp.add(WEB, 0)
    assert vpp.send(1) == [None]
    assert vpp.counted() == {"NO_SERVER": 1}


def test_a_flow_that_had_no_server_takes_an_entry_with_each_packet(vpp: ClockedPlugin) -> None:
    vpp.add(WEB, 0)
    vpp.send(*[1] * 6)
    assert vpp.counted() == {"NO_SERVER": 4, "UNTRACKED": 2}
    vpp.lb.set_weight(WEB, number("10.0.0.1"), 100)
    assert vpp.send(1) == [IPv4Address("10.0.0.1")]
    assert vpp.counted() == {"NO_SERVER": 4, "UNTRACKED": 3}


def test_the_longest_prefix_has_the_packet(vpp: ClockedPlugin) -> None:
    vpp.add(key("192.0.2.0/24", 0), 100, first="10.0.1.1")
    vpp.add(WEB, 100)
    vpp.add(key("::/0"), 100, first="10.0.2.1")
    assert vpp.send(1) == [IPv4Address("10.0.0.1")]
    assert vpp.send(1, to="192.0.2.2") == [IPv4Address("10.0.1.1")]
    assert vpp.send(1, to="198.51.100.1") == [None]


def test_a_prefix_whose_vips_are_at_other_ports_drops_the_packet(vpp: ClockedPlugin) -> None:
    vpp.add(key("192.0.2.0/24", 0), 100)
    vpp.add(key("192.0.2.1/32", 443), 100)
    assert vpp.send(1) == [None]
    assert vpp.counted(NO_VIP) == {"NO_SERVER": 1}
    flow = FiveTuple(ip_address("198.51.100.7"), ip_address("192.0.2.1"), ICMP)
    assert vpp.lb.forward_packet(flow) is None


def test_a_deleted_vip_gets_no_packets(vpp: ClockedPlugin) -> None:
    vpp.add(WEB, 100)
    vpp.send(1)
    vpp.lb.delete_vip(WEB)
    assert vpp.send(1) == [None]
    assert vpp.counted() == {"FIRST": 1}


def test_counters_begin_anew_with_a_vip_though_it_has_an_index_that_was_used(
    vpp: ClockedPlugin,
) -> None:
    vpp.add(WEB, 100)
    vpp.send(1)
    vpp.lb.flush_vip(WEB)
    vpp.lb.delete_vip(WEB)
    vpp.now = 2 * GARBAGE_RUN
    vpp.lb.collect_garbage()
    assert vpp.counted() == {"FIRST": 1}
    vpp.add(key("192.0.2.2/32"), 100)
    assert [index for index, _ in vpp.lb.vip_rows()] == [1]
    assert vpp.counted() == {}


def test_nat_drops_what_is_not_udp(vpp: ClockedPlugin) -> None:
    nat = NewVip(encap=Encap.NAT4, target_port=8080)
    vpp.add(WEB, 100, new=nat)
    vpp.add(key("192.0.2.1/32", 80, UDP), 100, new=nat)
    assert vpp.send(1) == [None]
    assert vpp.counted() == {"FIRST": 1}
    flow = FiveTuple(ip_address("198.51.100.7"), ip_address("192.0.2.1"), UDP, 1, 80)
    assert vpp.lb.forward_packet(flow) == IPv4Address("10.0.0.1")


def test_what_would_break_vpp_or_is_not_known_is_refused(vpp: ClockedPlugin) -> None:
    assert vpp.lb.add_vip(key("192.0.2.1/32", 0), NewVip(encap=Encap.NAT4)) == VppRetval.OK
    with pytest.raises(NotModelled, match="all-port VIP with NAT"):
        vpp.send(1)
    vpp.add(key("192.0.2.2/32"), 100)
    vpp.lb.set_settings(IPv4Address(0), IPv6Address(0), 0, None)
    with pytest.raises(NotModelled, match="sticky buckets 0"):
        vpp.send(1, to="192.0.2.2")
