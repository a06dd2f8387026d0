"""What a real VPP forwards while it is programmed: packets of its own generator, counted."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address
from itertools import product
from pathlib import Path
from typing import NamedTuple

from vpp_calls import BareSocket
from vpplb.model.vip import Encap, VipId, VipProtocol, VipSettings
from vpplb.plan.ops import AddServer, AddVip, DelServer, Op, SetWeight
from vpplb.vpp.lb import PapiLoadBalancer
from vpplb.vpp.stats import PapiVipCounters

RATE = 200_000
"""Packets a second that are sent: VPP takes 256 of them on end, those that it is late for are not
sent at all."""
SERVERS = 10
SECONDS = 1.0
"""For which the rate of an undisturbed VPP is measured, before and after."""
CARRIER = VipId(IPv4Network("192.0.2.1/32"), VipProtocol.UDP, 53)
"""The VIP that the packets are to."""
CHANGED = VipId(IPv4Network("192.0.2.2/32"), VipProtocol.UDP, 53)
"""The VIP that is changed meanwhile."""

_COMMANDS = (
    "create packet-generator interface pg0",
    "set interface state pg0 up",
    "set interface ip address pg0 198.51.100.1/24",
    "ip route add 10.1.0.0/16 via 198.51.100.2 pg0",
    "set ip neighbor pg0 198.51.100.2 02:00:00:00:00:02",
    "packet-generator new {{ name p limit 0 rate {rate} size 64-64 node ip4-input interface pg0"
    " {worker} data {{ UDP: 10.9.0.1 -> 192.0.2.1 UDP: 2000+2199 -> 53 length 44 checksum 0"
    " incrementing 36 }} }}",
    "packet-generator enable",
)

Apply = Callable[[Sequence[Op]], Awaitable[object]]


class Forwarded(NamedTuple):
    """Calls a second, and the share of an undisturbed VPP's packets that came through meanwhile."""

    calls: float
    share: float


@dataclass(slots=True)
class Forwarding:
    """A VPP that forwards."""

    socket: Path
    lb: PapiLoadBalancer
    index: int

    async def measure(self, apply: Apply, ops: Sequence[Op]) -> Forwarded:
        """Apply these and see what is forwarded meanwhile."""
        before = await self._rate(SECONDS)
        packets, begin = await self._packets(), time.perf_counter()
        await apply(ops)
        seconds = time.perf_counter() - begin
        during = (await self._packets() - packets) / seconds
        after = await self._rate(SECONDS)
        return Forwarded(len(ops) / seconds, during / max(before, after))

    async def bare(self, ops: Sequence[Op], window: int) -> None:
        """Apply ops as fast as VPP does them, so many under way."""
        client = BareSocket(self.socket)
        await asyncio.to_thread(client.send, client.pack(ops), window)
        client.close()

    async def _rate(self, seconds: float) -> float:
        packets, begin = await self._packets(), time.perf_counter()
        await asyncio.sleep(seconds)
        return (await self._packets() - packets) / (time.perf_counter() - begin)

    async def _packets(self) -> int:
        counters = PapiVipCounters(self.socket.with_name("stats.sock"))
        counted = (await counters.read({CARRIER: self.index}))[CARRIER]
        return counted.existing + counted.first + counted.untracked


async def forwarding(socket: Path, length: int, *, workers: int) -> Forwarding:
    """Have the VPP at this socket forward, with a VIP beside that has a table of this length."""
    lb = PapiLoadBalancer(socket)
    await lb.connect()
    for command in _COMMANDS:
        worker = "worker 0" if workers else ""
        said = command.format(rate=RATE, worker=worker) if "{rate}" in command else command
        await lb._live_connection().call("cli_inband", {"cmd": said.encode()})
    ops: list[Op] = []
    for vip, servers, table in ((CARRIER, 1, 1024), (CHANGED, SERVERS, length)):
        ops.append(AddVip(vip=vip, settings=VipSettings(encap=Encap.GRE4, table_length=table)))
        ops += [AddServer(vip=vip, address=server(n), weight=100) for n in range(servers)]
    assert all(outcome.ok for outcome in await lb.apply_ops(ops))
    return Forwarding(socket, lb, (await lb.vip_indexes())[CARRIER])


def server(number: int) -> IPv4Address:
    address = ip_address("10.1.0.1") + number
    assert isinstance(address, IPv4Address)
    return address


def weights(count: int) -> list[Op]:
    """Changes of weights, one server after the other."""
    return [
        SetWeight(vip=CHANGED, address=server(n % SERVERS), weight=50 + n % 50)
        for n in range(count)
    ]


def comings_and_goings(count: int) -> list[Op]:
    """Servers that are added and removed."""
    return list(_comings_and_goings(count // 2))


def _comings_and_goings(count: int) -> Iterator[Op]:
    for n in range(count):
        address = server(SERVERS + n % 50)
        yield AddServer(vip=CHANGED, address=address, weight=100)
        yield DelServer(vip=CHANGED, address=address, flush=False)


async def side_by_side(
    start: Callable[[str, int], AbstractContextManager[Path]], window: int, calls: int
) -> AsyncIterator[str]:
    """Yield lines with speed and forwarding, paced and not."""
    for workers, length in product((0, 1), (1024, 16384)):
        with start(f"f{workers}-{length}", workers) as socket:
            vpp = await forwarding(socket, length, workers=workers)
            ways: dict[str, tuple[Apply, list[Op]]] = {
                f"unpaced, {window} under way": (_bare(vpp, window), weights(calls)),
                "unpaced, one at a time": (_bare(vpp, 1), weights(calls)),
                "weights (a failover)": (vpp.lb.apply_ops, weights(calls)),
                "bulk": (vpp.lb.apply_ops, comings_and_goings(calls)),
            }
            for way, (apply, ops) in ways.items():
                seen = await vpp.measure(apply, ops)
                yield (
                    f"  {workers} workers, table {length:5}, {way + ':':24} "
                    f"{seen.calls:6.0f} calls/s, {100 * seen.share:3.0f} % forwarded"
                )
            await vpp.lb.close()


def _bare(vpp: Forwarding, window: int) -> Apply:
    return lambda ops: vpp.bare(ops, window)
