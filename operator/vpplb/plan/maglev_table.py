"""VPP's table of new flows, computed exactly, and the table length that honours given weights.

A server of weight w has w entries, replica 0 to w-1. Entries take turns, ordered by replica and
then by address; each walks its own permutation of the buckets (start and odd step from a hash of
address and replica) to the next free one and takes it, until no bucket is free. Hence the shares
do not depend on the order in which servers were added, and where the weights sum to more than
the table's length the late replicas get nothing: the weights come out flattened.

Source: lb_vip_update_new_flow_table in VPP's src/plugins/lb/lb.c (lb API 1.2.0).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice

from vpplb.model.vip import IPAddress

LENGTHS = (1024, 2048, 4096, 8192, 16384, 32768)
"""Lengths to choose from. 65536 is left out: it reads back from VPP as 0 (lb_vip_details, u16)."""

HONOURED = 0.05
"""Weights are honoured where no share is further from its due share (`ShareDistortion`)."""

EMPTY = -1
"""Owner of a bucket that no server has: all weights are 0."""

_Entry = tuple[int, int, int]  # owner, bucket to look at next, step

SEED = 0x9E3779B97F4A7C13
"""Seed of the hash (vppinfra/xxhash.h). The shares do not show it, where each bucket lies does."""

_MAX_WEIGHT = 255  # a u8 in lb_add_del_as_v2
_U64 = (1 << 64) - 1
_PRIME_1 = 0x9E3779B185EBCA87
_PRIME_2 = 0xC2B2AE3D27D4EB4F
_PRIME_3 = 0x165667B19E3779F9
_PRIME_4 = 0x85EBCA77C2B2AE63
_PRIME_5 = 0x27D4EB2F165667C5


def xxh64(value: int) -> int:
    """Return VPP's `clib_xxhash`: XXH64 of the 8 little-endian bytes of `value` (0 to 2^64-1)."""
    lane = value * _PRIME_2 & _U64
    lane = (lane << 31 | lane >> 33) * _PRIME_1 & _U64
    h = (SEED + _PRIME_5 + 8 & _U64) ^ lane
    h = (h << 27 & _U64 | h >> 37) * _PRIME_1 + _PRIME_4 & _U64
    h = (h ^ h >> 33) * _PRIME_2 & _U64
    h = (h ^ h >> 29) * _PRIME_3 & _U64
    return h ^ h >> 32


def order_servers(weights: Mapping[IPAddress, int]) -> list[IPAddress]:
    """Return the addresses in the order in which they take turns: as 16-byte numbers."""
    return sorted(weights, key=int)


def fill_table(weights: Mapping[IPAddress, int], length: int) -> Sequence[int]:
    """Return the owner of each of the `length` buckets, as an index into `order(weights)`.

    `length` is a power of two; weights are 0 to 255 (what VPP takes, more than users may write).
    Every owner is EMPTY when no weight is above 0.
    """
    _check_arguments(weights, length)
    mask = length - 1
    servers = [
        (i, weights[a], _hash_replicas(a))
        for i, a in enumerate(order_servers(weights))
        if weights[a]
    ]
    entries = [
        (owner, hashes[replica] >> 32 & mask, (hashes[replica] | 1) & mask)
        for replica in range(max(weights.values(), default=0))
        for owner, weight, hashes in servers
        if replica < weight
    ]
    table = [EMPTY] * length
    free = length
    while entries and free:
        entries = _take_turns(entries[:free], table)
        free -= len(entries)
    return table


def _take_turns(entries: list[_Entry], table: list[int]) -> list[_Entry]:
    """Give each entry the next free bucket of its walk; return the entries as they go on."""
    mask = len(table) - 1
    after = []
    for owner, start, step in entries:
        bucket = start
        while table[bucket] >= 0:
            bucket = bucket + step & mask
        table[bucket] = owner
        after.append((owner, bucket, step))
    return after


def count_buckets(weights: Mapping[IPAddress, int], length: int) -> dict[IPAddress, int]:
    """Return the number of buckets of each server: VPP's `num_buckets`.

    Arguments as in `fill_table`.
    """
    _check_arguments(weights, length)
    addresses = order_servers(weights)
    return dict(zip(addresses, deal_buckets([weights[a] for a in addresses], length), strict=True))


def deal_buckets(weights: Sequence[int], length: int) -> list[int]:
    """Return the number of buckets of each server, given the weights in the order of turns.

    Linear in the servers, whatever their weights.
    """
    by_weight, replicas, left = _deal_rounds(Counter(weights), length)
    buckets = [by_weight[weight] for weight in weights]
    last = (place for place, weight in enumerate(weights) if weight > replicas)
    for place in islice(last, left):
        buckets[place] += 1
    return buckets


def _deal_rounds(having: Counter[int], length: int) -> tuple[dict[int, int], int, int]:
    """Return the buckets by weight after the last whole round of replicas, and what is left.

    Every entry finds a free bucket each time its turn comes (its step is odd, so its walk visits
    them all). So all get as many as there are whole rounds, and the first ones get one more: no
    bucket need be looked at. `having` is the number of servers by weight. So many `replicas` of
    each get that one more, and the first `left` of the servers whose weight is beyond them.
    """
    total = sum(weight * servers for weight, servers in having.items())
    rounds, left = divmod(length, total) if total else (0, 0)
    replicas, takers = 0, sum(having.values()) - having[0]
    while 0 < takers <= left:
        left -= takers
        replicas += 1
        takers -= having[replicas]
    by_weight = {weight: weight * rounds + min(weight, replicas) for weight in having}
    return by_weight, replicas, left


class ShareDistortion:
    """How far the worst share of some servers is from its due share, weight / sum, by length.

    It is relative to the due share, but for a server below the average to the average share:
    the error of a small one counts by the flows that it moves. `weights` as in `deal_buckets`.
    """

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = weights
        self._having = Counter(weights)
        self._total = sum(weights)
        self._average = self._total / max(1, len(weights) - self._having[0])

    def measure_at(self, length: int) -> float:
        """Return it for a table of this length; 0.0 is exact, or no weight at all."""
        if not self._total:
            return 0.0
        by_weight, replicas, left = _deal_rounds(self._having, length)
        beyond = [weight for weight in self._weights if weight > replicas]
        one_more, others = set(beyond[:left]), set(beyond[left:])
        found = [(w, n) for w, n in by_weight.items() if w <= replicas or w in others]
        found += [(weight, by_weight[weight] + 1) for weight in one_more]
        total, average = self._total, self._average
        worst = max(
            abs(buckets * total - weight * length) / (weight if weight > average else average)
            for weight, buckets in found
        )
        return worst / length


def choose_length(pools: Sequence[Sequence[int]]) -> int:
    """Return the table length that serves every pool's configured weights.

    Each pool is one set of weights that can be programmed at once, in the order of turns. It is
    the smallest of LENGTHS at which all are HONOURED, or the best of them.
    """
    distortions = [ShareDistortion(pool) for pool in pools]
    worst = dict.fromkeys(LENGTHS, 0.0)
    for length in LENGTHS:
        worst[length] = max((one.measure_at(length) for one in distortions), default=0.0)
        if worst[length] <= HONOURED:
            return length
    return min(LENGTHS, key=worst.__getitem__)


@lru_cache(maxsize=1024)
def _hash_replicas(address: IPAddress) -> tuple[int, ...]:
    packed = address.packed.rjust(16, b"\0")
    folded = int.from_bytes(packed[:8], "little") ^ int.from_bytes(packed[8:], "little")
    return tuple(xxh64(folded ^ replica) for replica in range(_MAX_WEIGHT))


def _check_arguments(weights: Mapping[IPAddress, int], length: int) -> None:
    """Refuse what no VPP has: it would never end, or not be the table."""
    if length < 1 or length & length - 1:
        raise ValueError(f"table length must be a power of two: {length}")
    if any(not 0 <= weight <= _MAX_WEIGHT for weight in weights.values()):
        raise ValueError(f"weights must be 0 to {_MAX_WEIGHT}")
