"""Programs started by tests: each in a session of its own, with a log, never outliving the run."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


class Program:
    """A running program. Its output goes to `log`, appended over restarts.

    The kernel kills it when the thread that started it ends (`setpriv --pdeathsig`), so that an
    interrupted test run leaves nothing behind; its own children go with its process group.
    """

    def __init__(
        self, argv: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = Path(argv[0]).name
        self.log = log
        self.argv = ["setpriv", "--pdeathsig", "KILL", *map(str, argv)]
        # Servers of tests and benchmarks are on this machine.
        self._env = {"VPPLB_ALLOW_LOOPBACK": "true", **os.environ, **(env or {})}
        self._process = self._launch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of the present incarnation."""
        return self._process.pid

    @property
    def started(self) -> float:
        """When the present incarnation was started (`time.time()`)."""
        return self._started

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def start(self) -> None:
        """Start it again, as the first time; it must not run."""
        assert not self.alive, f"{self.name} runs already"
        self._process = self._launch()

    def stop(self, timeout: float = 20.0) -> int:
        """Ask it to end (SIGTERM), kill it after `timeout` seconds, return its exit code."""
        if self.alive:
            self._process.terminate()
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        self._kill_group()
        return self._process.returncode

    def kill(self) -> None:
        """Kill it without warning, as a crash does."""
        self._kill_group()
        self._process.wait()

    def tail(self, lines: int = 30) -> str:
        """Return the last lines of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _launch(self) -> subprocess.Popen[bytes]:
        self._started = time.time()
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            )

    def _kill_group(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
