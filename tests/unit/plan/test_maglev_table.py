import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping
from time import process_time

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from data import transcripts
from data.examples import examples
from vpplb.model.vip import IPAddress
from vpplb.plan.maglev_table import (
    EMPTY,
    HONOURED,
    LENGTHS,
    SEED,
    ShareDistortion,
    choose_length,
    count_buckets,
    deal_buckets,
    fill_table,
    order_servers,
    xxh64,
)


def servers(*weights: int, first: str = "10.1.0.1") -> dict[IPAddress, int]:
    address = ipaddress.ip_address(first)
    return {address + number: weight for number, weight in enumerate(weights)}


FLATTENED = servers(*[100] * 10, *[50] * 10)
"""The sum of weights is above 1024: VPP gives the second half as much as the first."""


def recorded_tables() -> Iterator[
    tuple[str, Mapping[IPAddress, int], int, Mapping[IPAddress, int]]
]:
    """Give the shares of every VIP in every dump: where, weights, length, buckets."""
    for name in transcripts.names():
        lengths: dict[tuple[str, int], int] = {}
        for number, exchange in enumerate(transcripts.read(name), start=2):
            if exchange.request == "lb_add_del_vip_v2" and exchange.reply["retval"] == 0:
                prefix = str(ipaddress.ip_network(exchange.args["pfx"], strict=False))
                lengths[prefix, exchange.args["port"]] = exchange.args["new_flows_table_length"]
            if exchange.request == "lb_as_v2_dump":
                for vip, live in live_servers(exchange.reply).items():
                    weights = {address: weight for address, (weight, _) in live.items()}
                    buckets = {address: buckets for address, (_, buckets) in live.items()}
                    yield f"{name}:{number}", weights, lengths[vip], buckets


def live_servers(
    dump: list[dict[str, object]],
) -> dict[tuple[str, int], dict[IPAddress, tuple[int, int]]]:
    vips: dict[tuple[str, int], dict[IPAddress, tuple[int, int]]] = {}
    for details in dump:
        vip, weight, buckets = details["vip"], details["weight"], details["num_buckets"]
        assert isinstance(vip, dict)
        assert isinstance(weight, int)
        assert isinstance(buckets, int)
        if details["flags"] == 1:
            address = ipaddress.ip_address(str(details["app_srv"]))
            vips.setdefault((vip["pfx"], vip["port"]), {})[address] = (weight, buckets)
    return vips


def test_shares_are_those_of_every_recorded_dump() -> None:
    transcripts.require(transcripts.TRANSCRIPTS)
    tables = list(recorded_tables())
    assert len(tables) > 30
    for where, weights, length, buckets in tables:
        assert count_buckets(weights, length) == buckets, where


@given(st.integers(0, 2**64 - 1))
def test_hash_is_xxh64_of_the_eight_little_endian_bytes_with_vpps_seed(value: int) -> None:
    assert xxh64(value) == xxhash.xxh64_intdigest(value.to_bytes(8, "little"), SEED)


def test_order_of_servers_is_numeric_whatever_their_order_of_arrival() -> None:
    weights = servers(1, 2, 3)
    backwards = dict(reversed(weights.items()))
    assert order_servers(backwards) == list(weights)
    assert fill_table(backwards, 64) == fill_table(weights, 64)


def test_every_bucket_is_owned_once_a_weight_is_above_zero() -> None:
    assert Counter(fill_table(servers(0, 1, 0), 16)) == {1: 16}


@pytest.mark.parametrize("weights", [{}, servers(0, 0)])
def test_no_bucket_is_owned_without_weight(weights: Mapping[IPAddress, int]) -> None:
    assert list(fill_table(weights, 4)) == [EMPTY] * 4
    assert set(count_buckets(weights, 4).values()) <= {0}
    assert ShareDistortion(weights_of(weights)).measure_at(4) == 0.0


def weights_of(weights: Mapping[IPAddress, int]) -> list[int]:
    return [weights[address] for address in order_servers(weights)]


def test_a_table_of_one_bucket_goes_to_the_first_address() -> None:
    assert count_buckets(servers(1, 100), 1) == servers(1, 0)


def test_weights_that_sum_to_more_than_the_table_are_flattened() -> None:
    assert list(count_buckets(FLATTENED, 1024).values()) == [53] * 4 + [52] * 6 + [50] * 10
    assert ShareDistortion(weights_of(FLATTENED)).measure_at(1024) > 0.2


@pytest.mark.parametrize("length", [0, -1, 3, 1000])
def test_a_length_that_is_no_power_of_two_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        fill_table(servers(1), length)


@pytest.mark.parametrize("weight", [-1, 256])
def test_a_weight_that_no_vpp_takes_is_refused(weight: int) -> None:
    with pytest.raises(ValueError, match="0 to 255"):
        fill_table(servers(weight), 16)


@settings(max_examples=examples(25))
@given(
    st.dictionaries(st.ip_addresses(v=4), st.integers(0, 100), min_size=1, max_size=8),
    st.sampled_from([1, 2, 64, 1024]),
)
def test_shares_add_up_to_the_table(weights: dict[IPAddress, int], length: int) -> None:
    assert sum(count_buckets(weights, length).values()) == (length if any(weights.values()) else 0)


@settings(max_examples=examples(50))
@given(
    st.dictionaries(st.ip_addresses(), st.integers(0, 255), max_size=6),
    st.sampled_from([1, 2, 64, 256, 1024]),
)
def test_shares_are_the_buckets_that_the_table_has(
    weights: dict[IPAddress, int], length: int
) -> None:
    owners = Counter(fill_table(weights, length))
    assert count_buckets(weights, length) == {
        a: owners[i] for i, a in enumerate(order_servers(weights))
    }


def naive_distortion(weights: Mapping[IPAddress, int], length: int) -> float:
    """Compute the worst deviation bucket by bucket."""
    total = sum(weights.values())
    average = total / (len([w for w in weights.values() if w]) or 1)
    return max(
        (
            abs(buckets / length - weights[a] / total) / (max(weights[a], average) / total)
            for a, buckets in count_buckets(weights, length).items()
            if total
        ),
        default=0.0,
    )


@settings(max_examples=examples(100))
@given(
    st.dictionaries(st.ip_addresses(), st.integers(0, 100), max_size=12),
    st.sampled_from([1, 2, 64, 256, 1024]),
)
def test_distortion_is_that_of_the_worst_share(weights: dict[IPAddress, int], length: int) -> None:
    found = ShareDistortion([weights[a] for a in order_servers(weights)]).measure_at(length)
    assert found == pytest.approx(naive_distortion(weights, length))


def test_the_error_of_a_small_server_counts_by_the_flows_that_it_moves() -> None:
    canary = weights_of(servers(100, 100, 1))
    assert deal_buckets(canary, 1024)[2] == 6  # of 5.1
    assert ShareDistortion(canary).measure_at(1024) < 0.01
    assert choose_length([canary]) == 1024


def test_the_smallest_length_that_honours_the_weights_is_chosen() -> None:
    weights = weights_of(FLATTENED)
    chosen = choose_length([weights])
    distortion = ShareDistortion(weights)
    assert chosen > LENGTHS[0]
    assert distortion.measure_at(chosen) <= HONOURED
    assert all(distortion.measure_at(n) > HONOURED for n in LENGTHS if n < chosen)


def test_a_few_equal_servers_need_no_more_than_the_shortest_length() -> None:
    assert choose_length([[100, 100, 100]]) == LENGTHS[0]


def test_the_length_serves_every_pool_not_only_the_first() -> None:
    flattened = weights_of(FLATTENED)
    assert choose_length([[100], flattened]) == choose_length([flattened])


def test_without_pools_the_shortest_length_is_chosen() -> None:
    assert choose_length([]) == LENGTHS[0]


def test_the_best_length_is_chosen_where_none_honours_the_weights() -> None:
    crowd = [100, 50] * 400
    distortion = ShareDistortion(crowd)
    worst = {length: distortion.measure_at(length) for length in LENGTHS}
    assert min(worst.values()) > HONOURED
    assert worst[choose_length([crowd])] == min(worst.values())


def test_choosing_for_the_largest_frontend_takes_no_longer_than_a_failover_may_wait() -> None:
    pools = [[(100, 50, 33, 7)[n % 4] for n in range(1024)] for _ in range(16)]
    began = process_time()
    choose_length(pools)
    assert process_time() - began < 0.1  # 5 ms, where each replica was looked at 7 s
