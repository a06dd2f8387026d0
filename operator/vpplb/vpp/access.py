"""What reaches one VPP, put together: its calls, its counters, and the lock that lets one in."""

from collections.abc import Callable
from pathlib import Path

from vpplb.sync.packet_meter import PacketMeter
from vpplb.vpp.lb import PapiLoadBalancer
from vpplb.vpp.lock import VppLock
from vpplb.vpp.stale_clients import StaleClients
from vpplb.vpp.stats import PapiVipCounters


class VppAccess:
    """The VPP behind an API socket. `stats_socket` None: packets are not counted.

    `on_call` is told the name and the return value of each call, `on_stale_clients` how many
    connections VPP has beside this one.
    """

    def __init__(
        self,
        api_socket: Path,
        stats_socket: Path | None,
        *,
        on_call: Callable[[str, int], None],
        on_stale_clients: Callable[[int], None],
    ) -> None:
        self.stale_clients = StaleClients(on_stale_clients)
        self.lock = VppLock(api_socket)
        self.lb = PapiLoadBalancer(
            api_socket,
            on_call=on_call,
            lock=self.lock,
            on_stale_clients=self.stale_clients.on_count,
        )
        self.counters = PapiVipCounters(stats_socket) if stats_socket is not None else None
        self.meter = PacketMeter(self.counters, self.lb.vip_indexes) if self.counters else None
