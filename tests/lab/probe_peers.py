"""Where probers are measured: a network namespace each, a target in it, and their CPU time.

Each prober gets a namespace of its own, so that what the kernel counts there is its doing
alone, and no raw socket hears of another's packets.
"""

import csv
import io
import os
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from lab.nginx import Nginx, NginxTls
from lab.waiting import wait_for

PORT = 8080
TLS_PORT = 8443

_HAPROXY = """
global
    nbthread 1
    maxconn 4096
    stats socket {folder}/haproxy.sock
    spread-checks 10
defaults
    timeout connect 1s
    timeout check 1s
    timeout server 1s
backend targets
    mode tcp
    {option}
    default-server check inter {interval_ms}ms rise 2 fall 3
    {servers}
"""
_HAPROXY_HTTP = (
    "option httpchk\n"
    "    http-check send meth GET uri / ver HTTP/1.1 hdr Host 127.0.0.1"
    " hdr User-Agent haproxy hdr Accept */*"
)


def addresses(number: int) -> list[str]:
    """Return so many addresses of loopback."""
    return [f"127.{1 + n // 62500}.{n // 250 % 250}.{1 + n % 250}" for n in range(number)]


class Arena:
    """A network namespace with its loopback up, and the programs that run in it."""

    def __init__(self) -> None:
        self._cleanup = ExitStack()
        self._folder = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory()))
        script = "ip link set lo up && echo ready && exec sleep infinity"
        self._holder = self._keep(
            subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE)
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            raise RuntimeError("no network namespace can be made")
        self.namespace = Path(f"/proc/{self._holder.pid}/ns/net")
        self._inside = ("nsenter", f"--net={self.namespace}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def run(self, *command: str) -> int:
        """Run a program until the arena is left; return its process id."""
        return self._keep(
            subprocess.Popen(
                [*self._inside, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        ).pid

    def run_nginx(self, certificate: Path | None = None, *, resumption: bool = True) -> int:
        """Serve a short page on every address; return the process id of nginx."""
        tls = None
        if certificate is not None:
            tls = NginxTls(port=TLS_PORT, certificate=certificate, resumption=resumption)
        nginx = Nginx(self._folder / "nginx", port=PORT, tls=tls, inside=self._inside)
        return self._cleanup.enter_context(nginx).pid

    def run_haproxy(self, targets: Sequence[str], interval: float, *, http: bool) -> int:
        """Check the targets with HAProxy; return its process id once all of them are up."""
        servers = "\n    ".join(f"server s{n} {to}:{PORT}" for n, to in enumerate(targets))
        path = self._folder / "haproxy.cfg"
        path.write_text(
            _HAPROXY.format(
                folder=self._folder,
                option=_HAPROXY_HTTP if http else "option tcp-check",
                interval_ms=round(interval * 1000),
                servers=servers,
            )
        )
        pid = self.run("haproxy", "-f", str(path))
        passed = "L7OK" if http else "L4OK"
        wait_for(lambda: self._haproxy_statuses() == {passed}, "HAProxy has checked all")
        return pid

    def run_fping(self, targets: Sequence[str], interval: float, *, spread: bool) -> int:
        """Ping the targets with fping, spread over the interval or not; return its process id."""
        path = self._folder / "targets"
        path.write_text("\n".join(targets))
        period = f"-p{round(interval * 1000)}"
        # Half the time there is between two: it sleeps somewhat longer than it is told.
        gap = f"-i{interval * 1000 / len(targets) / 2:.3f}" if spread else "-i0"
        before = self.echoed()
        pid = self.run("fping", "-q", "-l", period, gap, "-f", str(path))
        wait_for(lambda: self.echoed() - before >= 2 * len(targets), "fping pings")
        return pid

    def connected(self) -> int:
        """Return how many connections were opened in the namespace so far."""
        return self._counter("Tcp", "ActiveOpens")

    def echoed(self) -> int:
        """Return how many echo requests left in the namespace so far."""
        return self._counter("Icmp", "OutEchos")

    def _counter(self, protocol: str, name: str) -> int:
        lines = Path(f"/proc/{self._holder.pid}/net/snmp").read_text().splitlines()
        names, values = (each.split() for each in lines if each.startswith(f"{protocol}:"))
        return int(values[names.index(name)])

    def _haproxy_statuses(self) -> set[str]:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(self._folder / "haproxy.sock"))
                client.sendall(b"show stat\n")
                text = client.makefile().read().removeprefix("# ")
        except OSError:
            return set()
        rows = csv.DictReader(io.StringIO(text))
        return {
            row["check_status"].removeprefix("* ") for row in rows if row["svname"].startswith("s")
        }

    def _keep(self, process: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
        def end() -> None:
            process.terminate()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

        self._cleanup.callback(end)
        return process


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far, all its threads, user and system."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9


def children(pid: int) -> list[int]:
    """Return the processes that this one started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def waited_seconds(pid: int) -> float:
    """Return how long a process has waited for a core so far, though it could have run."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text().split()[1]) for each in threads) / 1e9


def worker_of(pid: int) -> int | None:
    """Return the probing process that this one has started, None if none runs."""
    for child in children(pid):
        if b"vpplb.probers.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
            return child
    return None


def resident(pid: int) -> int:
    """Return the memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
