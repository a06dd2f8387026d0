"""When the memory of known flows (`sticky_buckets_per_core`) may be given another size.

VPP quirk: sticky buckets. VPP makes the table anew at a thread's next packet, and forgets all its
flows; where its heap has no room for the new one, it dies of that packet.
"""

from dataclasses import replace
from typing import NamedTuple

from vpplb.model.vip import LbConf
from vpplb.plan.diff import ConfWish

BUCKET = 64
"""Bytes of a bucket: four flows of 16 (lbhash.h, lb_hash_bucket_t)."""
UNKNOWN = 128 << 20
"""Bytes that are taken for free where VPP does not tell."""


class Heap(NamedTuple):
    """VPP's memory: bytes that are free on its main heap, and threads that may need a table."""

    free: int
    threads: int


def resizes(wish: ConfWish, conf: LbConf) -> bool:
    """Whether the wish is for another number of buckets than VPP has."""
    return wish.sticky_buckets_per_core not in (None, conf.sticky_buckets_per_core)


def without_resizing(wish: ConfWish) -> ConfWish:
    """Return the wish for all but the buckets."""
    return replace(wish, sticky_buckets_per_core=None)


def flows_at_stake(wish: ConfWish) -> str:
    """Say that the buckets are not changed in service without a word for it."""
    return (
        f"stickyBucketsPerCore {wish.sticky_buckets_per_core} is not set: VPP would forget all"
        " known flows of the VIPs in service; spec.allowFlowLoss: true lets it"
    )


def too_large(wish: ConfWish, heap: Heap | None) -> str:
    """Say that VPP has no memory for so many buckets; a quarter of what is free is left to it."""
    heap = heap or Heap(UNKNOWN, 1)
    needed = (wish.sticky_buckets_per_core or 0) * BUCKET * heap.threads
    if needed <= heap.free * 3 // 4:
        return ""
    return (
        f"stickyBucketsPerCore {wish.sticky_buckets_per_core} is not set: {heap.threads} threads"
        f" would need {needed >> 20} MiB, and VPP has {heap.free >> 20} MiB free"
        " (memory { main-heap-size } in its startup.conf)"
    )
