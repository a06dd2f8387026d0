"""The hosts around a VIP: servers, and a real VPP as the router to them."""

import sys
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from lab import gre_server
from lab.namespaces import Lan, Namespace, add_address, with_length
from lab.real_vpp import start_vpp, vppctl

VIP, PORT = "192.0.2.1", 80
CLIENT, ROUTER, PROBER = "10.10.0.2", "10.10.0.1", "10.10.0.3"
SERVERS = {"s1": "10.10.0.11", "s2": "10.10.0.12", "s3": "10.10.0.13"}
VIP6, CLIENT6, ROUTER6 = "2001:db8::1", "fd00:10::2", "fd00:10::1"
SERVERS6 = {"s1": "fd00:10::11", "s2": "fd00:10::12", "s3": "fd00:10::13"}
HEALTH_PORT = 8080
STICKY_BUCKETS = 65536
"""Room for the flows of all tests, which VPP remembers for a while: four flows a bucket."""

_VPP_COMMANDS = {
    "create host-interface name eth0": "host-eth0",
    f"set interface ip address host-eth0 {with_length(ROUTER)}": "",
    f"set interface ip address host-eth0 {with_length(ROUTER6)}": "",
    "set interface state host-eth0 up": "",
    # A wrong source address: the agent has to set the right one, and the servers take packets
    # from no other.
    f"lb conf ip4-src-address 10.10.0.99 buckets {STICKY_BUCKETS}": "",
}


class TrafficServer:
    """A server behind the VIP, in a namespace of its own."""

    def __init__(self, name: str, network: Lan, directory: Path, stack: ExitStack) -> None:
        self._sick = directory / f"{name}.sick"
        addresses = SERVERS[name], SERVERS6[name]
        host = network.attach(name, addresses)
        add_address(host, VIP, "lo")
        add_address(host, VIP6, "lo")
        host.run("ip", "tuntap", "add", "mode", "tun", "name", "tun0")
        host.run("ip", "link", "set", "tun0", "up")
        _set(host, rp_filter=0, arp_announce=2)
        self._program = host.start(
            *(sys.executable, gre_server.__file__, f"--name={name}", f"--sick={self._sick}"),
            *(f"--address={address}" for address in addresses),
            *(f"--peer={ROUTER}", f"--peer={ROUTER6}", f"--vip={VIP}", f"--vip={VIP6}"),
            *(f"--port={PORT}", f"--health-port={HEALTH_PORT}"),
        )
        stack.callback(self._program.kill)

    def sicken(self) -> None:
        """Fail health checks; everything else goes on."""
        self._sick.touch()

    def kill(self) -> None:
        """Crash."""
        self._program.kill()

    def recover(self) -> None:
        """Run and be healthy."""
        self._sick.unlink(missing_ok=True)
        if not self._program.alive:
            self._program.start()


class Router:
    """The real VPP, with its one interface, in a namespace of its own.

    `socket` leads to its API socket, but only once VPP is configured: no agent comes before.
    """

    def __init__(self, binary: Path, directory: Path, host: Namespace) -> None:
        self._binary, self._directory, self._host = binary, directory, host
        self._running: AbstractContextManager[Path] | None = None
        self.socket = directory / "configured.sock"
        self.start()

    def start(self) -> None:
        """Start it without a VIP."""
        self._running = start_vpp(
            self._binary,
            self._directory,
            plugins=["af_packet", "ping"],
            prefix=self._host.prefix,
        )
        api_socket = self._running.__enter__()
        for command, answer in _VPP_COMMANDS.items():
            assert vppctl(self._binary, api_socket, command) == answer, command
        self.socket.symlink_to(api_socket)

    def stop(self) -> None:
        """End it, if it runs."""
        self.socket.unlink(missing_ok=True)
        if self._running is not None:
            self._running.__exit__(None, None, None)
            self._running = None


def _set(host: Namespace, **settings: int) -> None:
    """Set IPv4 settings of all the host's interfaces."""
    for name, value in settings.items():
        files = f"/proc/sys/net/ipv4/conf/*/{name}"
        host.run("sh", "-c", f"for file in {files}; do echo {value} > $file; done")
