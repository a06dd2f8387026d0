"""What a VIP's table makes of the configured weights, and words for where that is not right.

One pool is active at a time, so each pool is judged by itself, with all of its servers serving.
Backends of one address are one server with the sum of their weights; VPP takes 100 at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vpplb.model.printable import join_few
from vpplb.model.vip import IPAddress
from vpplb.plan.maglev_table import HONOURED, ShareDistortion, choose_length, deal_buckets
from vpplb.plan.resolved import ResolvedMember

MOST_WEIGHT = 100
"""The greatest weight of a server: VPP would take more, and its table would be too short soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolWeights:
    """A pool's servers in the order in which they take turns in VPP's table.

    `asked` are the sums of the configured weights, `weights` what VPP can be given of them.
    """

    pool: str
    servers: tuple[IPAddress, ...]
    asked: tuple[int, ...]

    @property
    def weights(self) -> tuple[int, ...]:
        """The weights that are programmed while all serve."""
        return tuple(map(cap_weight, self.asked))


class _DistortedServer(NamedTuple):
    """A server whose share of new flows is not its due: shares are 0 to 1."""

    moved: float
    server: IPAddress
    pool: str
    buckets: int
    share: float
    due: float


def cap_weight(weight: int) -> int:
    """Return what VPP is given of a sum of weights."""
    return min(weight, MOST_WEIGHT)


def pool_weights(
    members: Sequence[ResolvedMember],
    servers: Sequence[tuple[IPAddress, Sequence[int]]],
) -> tuple[PoolWeights, ...]:
    """Sum up the configured weights by pool and server.

    `servers` are the addresses in the order of turns, each with the places of its members.
    """
    pools: dict[str, dict[IPAddress, int]] = {}
    for address, places in servers:
        for place in places:
            member = members[place]
            asked = pools.setdefault(member.pool, {})
            asked[address] = asked.get(address, 0) + member.weight
    return tuple(
        PoolWeights(pool=pool, servers=tuple(asked), asked=tuple(asked.values()))
        for pool, asked in pools.items()
    )


def length_for(pools: Sequence[PoolWeights]) -> int:
    """Return the table length that honours the weights of all pools, or the best there is."""
    return choose_length([pool.weights for pool in pools])


def find_flattened(pools: Sequence[PoolWeights], length: int) -> str:
    """Say which servers do not get their due share of new flows, and how to mend it.

    Empty where all weights are honoured by a table of this length.
    """
    off = [one for pool in pools for one in _find_distorted(pool, length)]
    if not off:
        return ""
    several = len({one.pool for one in off}) > 1
    said = [_describe_share(one, several) for one in sorted(off, reverse=True)]
    return (
        f"with a table of {length} buckets the weights are not honoured:"
        f" {join_few(said, '; ')}; {_suggest_remedy(pools, length)}"
    )


def over_the_top(pools: Sequence[PoolWeights]) -> str:
    """Say which servers have more weight than VPP is given; empty where none has."""
    over = [
        f"{server} adds up to {asked}"
        for pool in pools
        for server, asked in zip(pool.servers, pool.asked, strict=True)
        if asked > MOST_WEIGHT
    ]
    if not over:
        return ""
    return f"a server has a weight of {MOST_WEIGHT} at most, but {join_few(over)}"


def _find_distorted(pool: PoolWeights, length: int) -> list[_DistortedServer]:
    """Return the servers that are off their due share, none if all that are so are honoured."""
    weights = pool.weights
    if weights == pool.asked and ShareDistortion(weights).measure_at(length) <= HONOURED:
        return []
    total = sum(pool.asked)
    average = 1 / (len(weights) - weights.count(0))
    found = []
    for server, asked, buckets in zip(
        pool.servers, pool.asked, deal_buckets(weights, length), strict=True
    ):
        share, due = buckets / length, asked / total
        moved = abs(share - due)
        if moved > HONOURED * max(due, average):
            found.append(_DistortedServer(moved, server, pool.pool, buckets, share, due))
    return found


def _describe_share(one: _DistortedServer, several: bool) -> str:
    where = f"{one.server} of pool {one.pool}" if several else str(one.server)
    return (
        f"{where} has {one.buckets} of them and gets {one.share:.2%} of new flows"
        f" instead of {one.due:.2%}"
    )


def _suggest_remedy(pools: Sequence[PoolWeights], length: int) -> str:
    better = length_for(pools)
    if better <= length:
        return "no longer table would serve them better"
    return (
        f"spec.flowTableLength: {better} would serve them better, but another length makes the VIP"
        " anew, which costs its flows"
    )
