"""The settings of the whole lb plugin (`lb_conf`): what is desired, what it takes, what it costs.

VPP quirk: sticky buckets. VPP makes the table of known flows anew at a thread's next packet, and
forgets all its flows; where its heap has no room for the new one, it dies of that packet. So the
number of buckets (`sticky_buckets_per_core`) is changed only where that has been thought of.
"""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from vpplb.model.vip import LbConf
from vpplb.plan.ops import SetConf

BUCKET_SIZE = 64
"""Bytes of a bucket: four flows of 16 (lbhash.h, lb_hash_bucket_t)."""
UNKNOWN_FREE = 128 << 20
"""Bytes that are taken for free where VPP does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredSettings:
    """Desired settings of the whole plugin; None leaves VPP's as they are. Units as `LbConf`.

    `allow_flow_loss`: the buckets may be changed though VPP then forgets all known flows.
    """

    ipv4_source: IPv4Address | None = None
    ipv6_source: IPv6Address | None = None
    sticky_buckets_per_core: int | None = None
    flow_timeout: int | None = None
    allow_flow_loss: bool = False


class HeapSpace(NamedTuple):
    """VPP's memory: bytes that are free on its main heap, and threads that may need a table."""

    free: int
    threads: int


def diff_settings(desired: DesiredSettings, observed: LbConf) -> SetConf | None:
    """Return the call that makes the settings as desired; None when they are already.

    VPP quirk: all settings at once. What `lb_conf` leaves out is not left as it is.
    """
    buckets, timeout = desired.sticky_buckets_per_core, desired.flow_timeout
    wanted = LbConf(
        ipv4_source=desired.ipv4_source or observed.ipv4_source,
        ipv6_source=desired.ipv6_source or observed.ipv6_source,
        sticky_buckets_per_core=observed.sticky_buckets_per_core if buckets is None else buckets,
        flow_timeout=observed.flow_timeout if timeout is None else timeout,
    )
    return None if wanted == observed else SetConf(conf=wanted)


def resizes_buckets(desired: DesiredSettings, observed: LbConf) -> bool:
    return desired.sticky_buckets_per_core not in (None, observed.sticky_buckets_per_core)


def without_resizing(desired: DesiredSettings) -> DesiredSettings:
    return replace(desired, sticky_buckets_per_core=None)


def explain_flow_loss(desired: DesiredSettings) -> str:
    """Say that the buckets are not changed in service without a word for it."""
    return (
        f"stickyBucketsPerCore {desired.sticky_buckets_per_core} is not set: VPP would forget all"
        " known flows of the VIPs in service; spec.allowFlowLoss: true lets it"
    )


def explain_lack_of_memory(desired: DesiredSettings, heap: HeapSpace | None) -> str:
    """Say that VPP has no memory for so many buckets, empty where it has.

    A quarter of what is free is left to it.
    """
    heap = heap or HeapSpace(UNKNOWN_FREE, 1)
    needed = (desired.sticky_buckets_per_core or 0) * BUCKET_SIZE * heap.threads
    if needed <= heap.free * 3 // 4:
        return ""
    return (
        f"stickyBucketsPerCore {desired.sticky_buckets_per_core} is not set: {heap.threads} threads"
        f" would need {needed >> 20} MiB, and VPP has {heap.free >> 20} MiB free"
        " (memory { main-heap-size } in its startup.conf)"
    )
