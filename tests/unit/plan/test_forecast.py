"""Shares of new flows before and after, and what changes hands, by the exact table."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from vpplb.model.vip import AppServer, Encap, Vip, VipId, VipProtocol, VipSettings
from vpplb.plan.forecast import ServerShare, forecast_vip
from vpplb.plan.maglev_table import fill_table

VIP = VipId(ip_network("192.0.2.1"), VipProtocol.TCP, 80)
A, B, C = (ip_address(f"10.0.0.{n}") for n in (1, 2, 3))


def row(weights: Mapping[int, int], length: int = 1024) -> Vip:
    """A VIP with servers by last number of the address."""
    return Vip(
        settings=VipSettings(encap=Encap.GRE4, table_length=length),
        servers={ip_address(f"10.0.0.{n}"): AppServer(weight=w) for n, w in weights.items()},
    )


def test_equal_weights_share_alike_and_nothing_changes_hands() -> None:
    seen = forecast_vip(VIP, row({1: 100, 2: 100}), row({1: 100, 2: 100}))
    half = ServerShare(weight=100, buckets=512, length=1024)
    assert seen.servers == {A: (half, half), B: (half, half)}
    assert (seen.changed, seen.buckets, seen.changed_part) == (0, 1024, 0.0)


def test_what_changes_hands_is_counted_bucket_by_bucket() -> None:
    before, after = {A: 100, B: 100, C: 100}, {A: 100, B: 0, C: 100}
    seen = forecast_vip(VIP, row({1: 100, 2: 100, 3: 100}), row({1: 100, 2: 0, 3: 100}))
    pairs = zip(fill_table(before, 1024), fill_table(after, 1024), strict=True)
    assert seen.changed == sum(old != new for old, new in pairs)
    gone = seen.servers[B][0]
    assert gone is not None
    assert seen.changed >= gone.buckets
    assert [after and after.buckets for _, after in seen.servers.values()] == [512, 0, 512]


def test_a_new_vip_gives_all_of_its_table_to_servers_and_one_that_goes_takes_all() -> None:
    for before, after in ((None, row({1: 1})), (row({1: 1}), None)):
        seen = forecast_vip(VIP, before, after)
        assert (seen.changed, seen.changed_part) == (1024, 1.0)
        shares = seen.servers[A]
        assert (shares[0] is None) == (before is None)
        assert (shares[1] is None) == (after is None)


def test_servers_that_come_and_go_are_on_one_side_in_numeric_order() -> None:
    seen = forecast_vip(VIP, row({10: 1}), row({9: 1}))
    assert [str(address) for address in seen.servers] == ["10.0.0.9", "10.0.0.10"]
    assert [(a is None, b is None) for a, b in seen.servers.values()] == [
        (True, False),
        (False, True),
    ]


def test_tables_of_different_lengths_are_compared_by_the_longer_one() -> None:
    seen = forecast_vip(VIP, row({1: 1, 2: 1}, 64), row({1: 1, 2: 1}, 256))
    short, long = fill_table({A: 1, B: 1}, 64), fill_table({A: 1, B: 1}, 256)
    assert seen.buckets == 256
    assert seen.changed == sum(short[n % 64] != long[n] for n in range(256))
    assert forecast_vip(VIP, row({1: 1}, 64), row({1: 1}, 256)).changed == 0


def test_weights_that_vpp_flattens_show_in_the_shares() -> None:
    weights = {n: 100 if n <= 10 else 50 for n in range(1, 21)}
    seen = forecast_vip(VIP, None, row(weights))
    parts = [after.part for _, after in seen.servers.values() if after]
    assert sum(parts) == 1.0
    assert max(parts) < 1.2 * min(parts), "100 : 50 should be 2 : 1, and comes out near 1 : 1"


def test_a_vip_without_a_willing_server_has_buckets_of_nobody() -> None:
    seen = forecast_vip(VIP, row({1: 100}), row({1: 0}))
    assert seen.servers[A][1] == ServerShare(weight=0, buckets=0, length=1024)
    assert seen.changed == 1024
