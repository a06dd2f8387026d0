"""A VIP that can be connected to, though the VPP behind it is the simulator."""

import asyncio
from contextlib import suppress
from ipaddress import IPv4Address, ip_address
from typing import Self

from vpplb.simulator.flows import TCP, FiveTuple
from vpplb.simulator.lb import LoadBalancerState

_CHUNK = 65536


class VipRelay:
    """Hands each connection to `port` of the server to which VPP would send its first packet.

    It listens at `address`, of loopback, in place of the VIP, as `async with`. A server that
    refuses resets the client.
    """

    def __init__(
        self, lb: LoadBalancerState, vip: tuple[str, int], *, address: str, port: int
    ) -> None:
        self.address, self.port = address, port
        self._lb, self._vip = lb, (ip_address(vip[0]), vip[1])
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._relay, self.address, self.port, backlog=512)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _relay(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        host, port = back.get_extra_info("peername")
        flow = FiveTuple(IPv4Address(host), self._vip[0], TCP, port, self._vip[1])
        chosen = self._lb.forward_packet(flow)
        try:
            server, on = await asyncio.open_connection(str(chosen), self.port)
        except OSError:
            back.transport.abort()
            return
        await asyncio.gather(_pump(client, on), _pump(server, back))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
    sink.close()
    with suppress(OSError):
        await sink.wait_closed()
