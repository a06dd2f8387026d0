from collections import Counter
from ipaddress import ip_address

import pytest

from vpplb.simulator.flows import TCP, UDP, FiveTuple, StickyTable, crc32c, flow_hash

WEB, DNS, SCTP = 80, 53, 132


def flow(source: str, destination: str, protocol: int = TCP, *ports: int) -> FiveTuple:
    return FiveTuple(ip_address(source), ip_address(destination), protocol, *ports)


def test_the_checksum_is_that_of_the_standard_but_for_its_inversions() -> None:
    # RFC 3720, B.4: of 32 bytes of zeros, and of ones; inverted before and after.
    assert crc32c(b"\xff\xff\xff\xff" + b"\0" * 28) ^ 0xFFFFFFFF == 0x8A9136AA
    assert crc32c(b"\0\0\0\0" + b"\xff" * 28) ^ 0xFFFFFFFF == 0x62A8AB43


@pytest.mark.parametrize(
    ("packet", "hash_"),
    [
        (flow("198.51.100.7", "192.0.2.1", TCP, 1000, WEB), 0x705F039D),
        (flow("2001:db8::7", "2001:db8::1", UDP, 1000, DNS), 0xDA817C9F),
    ],
)
def test_hashes_stay_what_a_real_vpp_was_found_to_agree_with(packet: FiveTuple, hash_: int) -> None:
    assert flow_hash(packet, sticky=False) == hash_


def test_every_part_of_the_five_tuple_but_the_protocol_counts() -> None:
    base = flow("198.51.100.7", "192.0.2.1", TCP, 1000, WEB)
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
    base = flow("2001:db8::7", "2001:db8::1", TCP, 1000, WEB)
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
