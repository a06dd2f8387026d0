"""What reaches one VPP, put together: its calls, its counters, and the lock that lets one in."""

import logging
from collections.abc import Callable
from pathlib import Path

from vpplb.sync.packet_meter import PacketMeter
from vpplb.vpp.lb import PapiLoadBalancer
from vpplb.vpp.lock import VppLock
from vpplb.vpp.stats import PapiVipCounters

log = logging.getLogger(__name__)

ALARMING = 8
"""As many that whoever runs the router has to act: half of what stops VPP."""


class StaleClients:
    """Connections of ours that VPP still has though nobody is at their other end.

    VPP quirk: clients that hang up. At sixteen of them it stops: no packet is forwarded, nobody is
    answered, and only a restart helps.

    `tell` is given each count. A second agent of this VPP counts among them, as does whoever
    looks at it in that moment (`vpplb plan`).
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self.count = 0

    def on_count(self, count: int) -> None:
        """Note how many connections of vpplb VPP has beside this one."""
        if count > self.count:
            log.log(
                logging.ERROR if count >= ALARMING else logging.WARNING,
                "VPP %s",
                _describe_count(count),
            )
        self.count = count
        self._tell(count)

    @property
    def alarm_text(self) -> str:
        """The sentence for `/readyz`; empty while the count is below ALARMING."""
        return f"VPP {_describe_count(self.count)}" if self.count >= ALARMING else ""


def _describe_count(count: int) -> str:
    return (
        f"has {count} more connections of vpplb than this one: what agents left behind that were "
        "killed, or a second agent. At 16 that were left behind it stops forwarding; restart it "
        "in time"
    )


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
        self.packet_meter = (
            PacketMeter(self.counters, self.lb.vip_indexes) if self.counters else None
        )
