from data.objects import address
from vpplb.model.names import ObjectKey
from vpplb.plan.flattening import (
    PoolWeights,
    find_flattened,
    length_for,
    over_the_top,
    pool_weights,
)
from vpplb.plan.resolved import ResolvedMember


def pools(**asked: list[int]) -> tuple[PoolWeights, ...]:
    """Pools of servers 10.0.0.1 and so on, which all pools have in common."""
    return tuple(
        PoolWeights(
            pool=name,
            servers=tuple(address("10.0.0.0") + n for n in range(1, len(weights) + 1)),
            asked=tuple(weights),
        )
        for name, weights in asked.items()
    )


def test_shares_are_told_exactly_and_how_to_mend_them() -> None:
    assert find_flattened(pools(p=[100, 50, 50]), 2) == (
        "with a table of 2 buckets the weights are not honoured:"
        " 10.0.0.3 has 0 of them and gets 0.00% of new flows instead of 25.00%;"
        " 10.0.0.2 has 1 of them and gets 50.00% of new flows instead of 25.00%;"
        " spec.flowTableLength: 1024 would serve them better, but another length makes the VIP"
        " anew, which costs its flows"
    )


def test_nothing_is_told_where_all_weights_are_honoured() -> None:
    assert find_flattened(pools(p=[100, 50, 1], s=[7]), 1024) == ""
    assert find_flattened(pools(p=[0, 0]), 1024) == ""
    assert find_flattened((), 1024) == ""


def test_of_several_pools_it_is_told_which_and_of_many_servers_the_worst() -> None:
    said = find_flattened(pools(p=[100] * 10 + [50] * 10, s=[100, 50]), 1024)
    assert said.count("instead of") == 5
    assert "; and 15 more; spec.flowTableLength: 8192" in said
    said = find_flattened(pools(p=[100, 50, 50], s=[100, 99]), 2)
    assert "10.0.0.3 has 0" in said
    said = find_flattened(pools(p=[100, 50, 50], s=[100, 50, 50]), 2)
    assert "10.0.0.3 of pool s has 0" in said


def test_where_no_longer_table_helps_that_is_told() -> None:
    crowd = pools(p=[100, 50] * 400)
    best = length_for(crowd)
    assert find_flattened(crowd, best).endswith("; no longer table would serve them better")


def test_weights_beyond_what_vpp_takes_are_told_and_what_they_do_to_shares() -> None:
    both = pools(p=[160, 100])
    assert over_the_top(both) == (
        "a server has a weight of 100 at most, but 10.0.0.1 adds up to 160"
    )
    assert (
        "10.0.0.1 has 512 of them and gets 50.00% of new flows instead of 61.54%"
        in find_flattened(both, 1024)
    )
    assert find_flattened(pools(p=[200, 200]), 1024) == ""
    assert over_the_top(pools(p=[100, 1])) == ""


def test_weights_are_summed_up_by_pool_and_server() -> None:
    a, b = address("10.0.0.1"), address("10.0.0.2")
    members = [
        ResolvedMember(pool=pool, backend=ObjectKey("ns", name), address=at, weight=weight)
        for pool, name, at, weight in (("p", "x", b, 10), ("p", "y", b, 20), ("s", "z", a, 30))
    ]
    assert pool_weights(members, [(a, (2,)), (b, (0, 1))]) == (
        PoolWeights(pool="s", servers=(a,), asked=(30,)),
        PoolWeights(pool="p", servers=(b,), asked=(30,)),
    )
