"""A server behind a load balancer that tunnels by GRE, with nothing but sockets.

Run by itself in a network namespace that has a TUN device and the VIPs on `lo`. What arrives in
GRE from the load balancer (a raw socket of protocol 47) goes into the TUN device, so that kernels
without GRE devices will do. Answers leave directly, from the VIP.

Every line and every datagram sent to a VIP is answered by the server's name. The server's own
address has a health page: 200, or 503 as long as the file SICK exists. With several families
each has its address, peer and VIP; the health page is on the first.
"""

import argparse
import asyncio
import contextlib
import fcntl
import os
import socket
import struct
from pathlib import Path

_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_GRE_HEADER = 4  # VPP sets none of the optional fields


def open_tun(device: str) -> int:
    """Return the descriptor of an existing TUN device, without packet information."""
    tun = os.open("/dev/net/tun", os.O_RDWR)
    request = struct.pack("16sH22x", device.encode(), _IFF_TUN | _IFF_NO_PI)
    fcntl.ioctl(tun, _TUNSETIFF, request)
    return tun


def open_gre(address: str, peer: str) -> socket.socket:
    """Return a raw socket on which all GRE from `peer` to this address arrives, and no other."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    gre = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_GRE)
    gre.bind((address, 0))
    gre.connect((peer, 0))
    gre.setblocking(False)
    return gre


def decapsulate(gre: socket.socket, tun: int) -> None:
    """Move a packet from the tunnel into the kernel."""
    packet = gre.recv(65535)
    # Of IPv6, a raw socket gets no header (RFC 3542).
    outer = (packet[0] & 0x0F) * 4 if gre.family == socket.AF_INET else 0
    os.write(tun, packet[outer + _GRE_HEADER :])


class Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram with a name."""

    def __init__(self, name: str) -> None:
        self._answer = f"{name}\n".encode()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # as asyncio calls it
        self._transport = transport

    def datagram_received(self, _data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(self._answer, addr)


async def serve(args: argparse.Namespace) -> None:
    """Serve until killed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # No half-closed connection may outlive the process: it would answer its 5-tuple's next.
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        with contextlib.suppress(ConnectionError):
            while await reader.readline():
                writer.write(f"{args.name}\n".encode())
                await writer.drain()
        writer.close()

    async def health(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            status = "503 Service Unavailable" if args.sick.exists() else "200 OK"
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    loop, tun = asyncio.get_running_loop(), open_tun(args.tun)
    for address, peer in zip(args.address, args.peer, strict=True):
        gre = open_gre(address, peer)
        loop.add_reader(gre, decapsulate, gre, tun)
    for vip in args.vip:
        at = (vip, args.port)
        await loop.create_datagram_endpoint(lambda: Datagrams(args.name), local_addr=at)
    async with (
        await asyncio.start_server(answer, args.vip, args.port, backlog=4096) as service,
        await asyncio.start_server(health, args.address[0], args.health_port),
    ):
        await service.serve_forever()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--address", action="append", required=True)
    parser.add_argument("--peer", action="append", required=True)
    parser.add_argument("--vip", action="append", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--health-port", type=int, required=True)
    parser.add_argument("--sick", type=Path, required=True)
    parser.add_argument("--tun", default="tun0")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(serve(_arguments()))
