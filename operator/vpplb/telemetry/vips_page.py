"""What a node's VPP has and does, VIP by VIP, for whoever asks this agent.

Counters move with every packet, so they are no status: nobody would watch them, and each write
would cost the API server and every watcher. They are told on demand (decision 0015), as VPP has
them at that moment, together with the true share of each server.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey
from vpplb.model.vip import Vip, VipId
from vpplb.sync.ports import LoadBalancerGone, ObservedVpp, PacketTally, VipCounters
from vpplb.sync.vip_state import VipState
from vpplb.telemetry.http import PageUnavailable
from vpplb.telemetry.sync_log import DriftRepairs, SyncLog

FRESH = 1.0
"""Seconds for which a reading serves all who ask, so that asking cannot keep VPP busy."""

Look = Callable[[], Awaitable[tuple[ObservedVpp, Mapping[VipId, int]]]]
"""Reads VPP, and where each VIP's counters are (LoadBalancerGone)."""


class VipsPage:
    """Answers with all VIPs of this VPP. `vips` knows which frontend each of ours is made for.

    `sync_log` knows what of it was changed by others and repaired.
    Without `counters`, and where they cannot be read, packets are not told, and the answer says
    why; zeros would be a lie.
    """

    def __init__(
        self,
        node: str,
        look: Look,
        counters: VipCounters | None,
        vips: VipState,
        sync_log: SyncLog,
        clock: Clock,
    ) -> None:
        self._node, self._look, self._counters = node, look, counters
        self._vips, self._sync_log, self._clock = vips, sync_log, clock
        self._reading = asyncio.Lock()
        self._last: Mapping[str, Any] = {}
        self._stale_at = 0.0

    async def read_page(self, frontend: ObjectKey | None = None) -> Mapping[str, object]:
        """Return the VIPs of a frontend, or all, in JSON's types; PageUnavailable without VPP."""
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if not self._last or now >= self._stale_at:
                self._last = await self._read_vips()
                self._stale_at = asyncio.get_running_loop().time() + FRESH
            page = self._last
        if frontend is None:
            return page
        return {**page, "vips": [one for one in page["vips"] if one["frontend"] == str(frontend)]}

    async def _read_vips(self) -> Mapping[str, Any]:
        try:
            observed, indexes = await self._look()
        except LoadBalancerGone as gone:
            raise PageUnavailable(f"VPP cannot be read: {gone}") from gone
        packets, trouble = await self._read_packets(indexes)
        owned = self._vips.owned_state.owned
        drift = self._sync_log.drift_repairs
        return _make_answer(self._node, self._clock.now(), drift, trouble) | {
            "vips": [
                _show_vip(vip, observed.table[vip], owned.get(vip), packets.get(vip))
                for vip in sorted(observed.table, key=lambda vip: vip.sort_key)
            ]
        }

    async def _read_packets(
        self, indexes: Mapping[VipId, int]
    ) -> tuple[Mapping[VipId, PacketTally], str]:
        if self._counters is None:
            return {}, "there is no stats socket"
        if not indexes:
            return {}, ""
        try:
            return await self._counters.read(indexes), ""
        except LoadBalancerGone as gone:
            return {}, str(gone)


def _make_answer(node: str, at: datetime, drift: DriftRepairs, trouble: str) -> dict[str, object]:
    last = drift.last.isoformat() if drift.last is not None else None
    repaired = {"repaired": drift.repaired, "last": last}
    answer: dict[str, object] = {"node": node, "at": at.isoformat(), "drift": repaired}
    return answer | ({"packetsUnknown": trouble} if trouble else {})


def _show_vip(
    vip: VipId, found: Vip, owner: ObjectKey | None, packets: PacketTally | None
) -> dict[str, object]:
    told: dict[str, object] = {
        "vip": str(vip),
        "frontend": str(owner) if owner else None,
        "encap": found.settings.encap.value,
        "flowTableLength": found.settings.table_length,
    }
    if packets is not None:
        told["packets"] = asdict(packets)
    told["servers"] = [
        {"address": str(address), "weight": server.weight, "buckets": server.buckets}
        for address, server in found.servers.items()
    ]
    return told
