"""A clean Debian with systemd as its first process, in which packages are installed and removed.

The root is made once, in the user's cache, by mmdebstrap from the machine's own package sources;
each container sees it through an overlay in memory, so that nothing lasts. What systemd-nspawn
does not have is a network: nothing in there reaches anything outside.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from cluster.binaries import cache
from lab.processes import Program
from lab.waiting import wait_for

SUITE = "bookworm"
# systemd, what the package depends on, and what it recommends; no Python.
PACKAGES = (
    "ca-certificates",
    "libbz2-1.0",
    "libexpat1",
    "libffi8",
    "liblzma5",
    "libssl3",
    "libstdc++6",
    "libuuid1",
    "systemd",
    "systemd-sysv",
    "zlib1g",
)
TOOLS = ("mmdebstrap", "systemd-nspawn", "dh")
_VOLATILE = (
    "dev",
    "proc",
    "run",
    "sys",
    "tmp",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/log",
    "var/tmp",
)


def base_root() -> Path:
    """Return the folder of the clean root, making it first where it is not in the cache."""
    key = hashlib.sha256(" ".join((SUITE, *PACKAGES)).encode()).hexdigest()[:12]
    root = cache() / "debian" / key
    if not root.exists():
        making = root.with_suffix(".new")
        shutil.rmtree(making, ignore_errors=True)
        making.parent.mkdir(parents=True, exist_ok=True)
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        subprocess.run([*command, SUITE, str(making)], check=True)
        making.rename(root)
    return root


class DebianContainer:
    """A running container; `run` runs commands in it as root."""

    def __init__(self, log: Path) -> None:
        name = f"vpplb-{os.getpid()}"
        self._nspawn = Program(
            [
                *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"),
                *("--private-network", "--volatile=overlay", "--console=pipe"),
                *(f"--machine={name}", f"--directory={base_root()}"),
            ],
            log=log,
        )
        self._init = 0

    def __enter__(self) -> Self:
        self._init = wait_for(self._find_init, "the container has a first process")
        wait_for(self._is_booted, "the container is booted")
        return self

    def __exit__(self, *_: object) -> None:
        self._nspawn.stop()

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command and return what it printed; CalledProcessError says that, too."""
        done = subprocess.run(
            [*self._enter("--all", "--root", "--wd"), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}: {done.stdout}")
        return done.stdout.strip()

    def run_outside(self, *command: str) -> None:
        """Run a command of this machine in the container's network."""
        subprocess.run([*self._enter("--net"), *command], check=True)

    def write(self, path: str, text: str) -> None:
        """Write a file, as an editor of root would."""
        target = self.outside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def read(self, path: str) -> str:
        return self.outside(path).read_text()

    def outside(self, path: str) -> Path:
        """Return the path by which this machine sees a file of the container."""
        return Path(f"/proc/{self._init}/root{path}")

    def show_unit(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit)

    def list_files(self) -> set[str]:
        """List all files and folders but those that any program changes."""
        pruned = [part for path in _VOLATILE for part in ("-path", f"/{path}", "-prune", "-o")]
        return set(self.run("find", "/", *pruned, "-print").splitlines())

    def _enter(self, *namespaces: str) -> Sequence[str]:
        return ("nsenter", f"--target={self._init}", *namespaces, "--")

    def _is_booted(self) -> bool:
        state = self.run("systemctl", "is-system-running", check=False)
        assert state in ("running", "degraded"), state
        return True

    def _find_init(self) -> int:
        """Find the process below systemd-nspawn that is the first of its namespace; 0: not yet."""
        assert self._nspawn.alive, self._nspawn.log.read_text()
        return next((pid for pid in _descendants(self._nspawn.pid) if _is_first(pid)), 0)


def _descendants(pid: int) -> Iterator[int]:
    for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        yield child
        yield from _descendants(child)


def _is_first(pid: int) -> bool:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return len(numbers := line.split()) > 2 and numbers[-1] == "1"
    return False
