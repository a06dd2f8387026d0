"""Reads the packets of each VIP now and then, for whoever wants to know them.

Not when somebody asks: a scrape must neither wait for VPP nor make it work.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from vpplb.model.vip import VipId
from vpplb.sync.ports import LoadBalancerGone, PacketTally, VipCounters

log = logging.getLogger(__name__)

METER_INTERVAL = 10.0
"""Seconds between two readings."""
_UNTIL_VIPS = 1.0
"""Seconds to look again while there are no VIPs, or no VPP."""


Indexes = Callable[[], Awaitable[Mapping[VipId, int]]]
"""Tells where each VIP's counters are (LoadBalancerGone)."""


class PacketMeter:
    """Keeps `packets`, the last reading; without VPP there is none.

    `indexes` tells where each VIP's counters are (LoadBalancerGone). A counter belongs to the
    place of a VIP in VPP: it starts from 0 when VPP starts and when the VIP is made, also when it
    is made anew for a change that VPP cannot make otherwise. What reckons rates (Prometheus)
    takes that for the reset it is. In between it only grows.
    """

    def __init__(self, counters: VipCounters, indexes: Indexes) -> None:
        self._counters, self._indexes = counters, indexes
        self._trouble = ""
        self.packets: Mapping[VipId, PacketTally] = {}

    async def run(self) -> None:
        while True:
            indexes = await self._find_indexes()
            await self._read(indexes)
            await asyncio.sleep(METER_INTERVAL if indexes else _UNTIL_VIPS)

    async def _find_indexes(self) -> Mapping[VipId, int]:
        try:
            return await self._indexes()
        except LoadBalancerGone:
            return {}  # whoever programs VPP says so

    async def _read(self, indexes: Mapping[VipId, int]) -> None:
        if not indexes:
            self.packets = {}
            return
        try:
            self.packets = await self._counters.read(indexes)
            self._trouble = ""
        except LoadBalancerGone as gone:
            self.packets = {}
            if str(gone) != self._trouble:
                self._trouble = str(gone)
                log.warning("packets of VIPs are not known: %s", gone)
