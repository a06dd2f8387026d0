"""A small Ethernet of network namespaces: hosts on one bridge, nothing of it outside them.

A namespace lives as long as a process that holds it, so that whatever ends the test run ends
the whole network too.
"""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self, TypeVar

from lab.processes import Program
from lab.waiting import wait_for
from vpplb.probers.worker import NetworkNamespace

T = TypeVar("T")

PREFIX_LENGTH = 24
PREFIX_LENGTH6 = 64
_PORT = "eth0"


class Namespace:
    """A network namespace with its loopback up."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self._directory = directory
        self._holder = Program(
            ["unshare", "--net", "sleep", "infinity"], log=directory / f"{name}-ns.log"
        )
        self.pid = self._holder.pid
        self.path = Path(f"/proc/{self.pid}/ns/net")
        wait_for(self._is_own, f"a network namespace ({self._holder.log})")
        self.run("ip", "link", "set", "lo", "up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.kill()

    @property
    def prefix(self) -> tuple[str, ...]:
        """Return what goes before a command that shall run in here."""
        return ("nsenter", f"--net={self.path}")

    def run(self, *command: str) -> str:
        """Run a command to its end and return what it printed; RuntimeError when it fails."""
        done = subprocess.run(
            [*self.prefix, *command], capture_output=True, text=True, timeout=30, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def start(self, *argv: str | Path) -> Program:
        """Start a program in here; its output goes to a log of the namespace's name."""
        return Program([*self.prefix, *argv], log=self._directory / f"{self.name}.log")

    def inside(self, work: Callable[[], T]) -> T:
        """Return what `work` returns in a thread in here: sockets it opens belong to here."""
        with ThreadPoolExecutor(
            1, initializer=NetworkNamespace(str(self.path)).enter_namespace
        ) as thread:
            return thread.submit(work).result()

    def _is_own(self) -> bool:
        return self.path.readlink() != Path("/proc/self/ns/net").readlink()


class Lan:
    """An Ethernet: `attach` adds hosts to its bridge."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._bridge = stack.enter_context(Namespace("lan", directory))
        self._bridge.run("ip", "link", "add", "name", "lan", "type", "bridge")
        self._bridge.run("ip", "link", "set", "lan", "up")

    def attach(self, name: str, addresses: Sequence[str] = ()) -> Namespace:
        """Make a host with the interface `eth0` and these addresses of the LAN's prefix.

        Checksums are computed in full: a veth leaves them to hardware that it does not have,
        and VPP, reading a veth as a packet socket, passes on what it finds.
        """
        host = self._stack.enter_context(Namespace(name, self._directory))
        port = f"to-{name}"
        self._bridge.run(
            *("ip", "link", "add", "name", port, "type", "veth"),
            *("peer", "name", _PORT, "netns", str(host.pid)),
        )
        self._bridge.run("ip", "link", "set", port, "master", "lan", "up")
        for end, device in ((self._bridge, port), (host, _PORT)):
            end.run("ethtool", "-K", device, "tx", "off", "rx", "off")
        for address in addresses:
            add_address(host, with_length(address), _PORT)
        host.run("ip", "link", "set", _PORT, "up")
        return host

    @contextmanager
    def down(self, host: Namespace) -> Iterator[None]:
        """Keep a host's interface down: it has no route to anywhere."""
        host.run("ip", "link", "set", _PORT, "down")
        yield
        host.run("ip", "link", "set", _PORT, "up")

    @contextmanager
    def unplugged(self, name: str) -> Iterator[None]:
        """Keep a host apart: its interface stays up, but what it sends goes nowhere."""
        port = f"to-{name}"
        self._bridge.run("ip", "link", "set", port, "nomaster")
        yield
        self._bridge.run("ip", "link", "set", port, "master", "lan")


def with_length(address: str) -> str:
    """Return an address of the LAN with the length of its prefix there."""
    return f"{address}/{PREFIX_LENGTH6 if ':' in address else PREFIX_LENGTH}"


def add_address(host: Namespace, address: str, device: str) -> None:
    """Add an address that can be used at once: nobody else in the LAN has it."""
    host.run("ip", "address", "add", address, "dev", device, *["nodad"] * (":" in address))


@contextmanager
def lan(directory: Path) -> Iterator[Lan]:
    """Give an Ethernet; afterwards its namespaces are gone, with all that is in them."""
    with ExitStack() as stack:
        yield Lan(directory, stack)
