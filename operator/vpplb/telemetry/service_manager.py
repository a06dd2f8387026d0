"""What has started this program, systemd as a rule, is told how it fares.

The protocol is that of sd_notify(3): a datagram of `NAME=value` lines to the socket in
NOTIFY_SOCKET. It is so small that its manual gives it to be copied instead of a library. Without
that variable nothing is said.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from vpplb.model.printable import make_printable
from vpplb.telemetry.http import Check

log = logging.getLogger(__name__)

BEAT = 5.0
"""Seconds between two messages, at most."""
MOST_STATUS = 1024
"""Bytes of a status: systemd drops a message of more than 4096, and what else it says with it."""
BEATS_IN_TIME = 3
"""Signs of life within the time that a watchdog leaves: one or two may come late."""


@dataclass(slots=True, kw_only=True)
class ServiceManager:
    """The service manager's end at `address`; empty: there is none.

    `watchdog` is within how many seconds a sign of life is due, 0 for never. Each message repeats
    what holds, so one that is lost does no harm.
    """

    address: str = ""
    watchdog: float = 0.0
    _ready: bool = False

    @classmethod
    def from_environment(cls, variables: MutableMapping[str, str] = os.environ) -> Self:
        """Take what the service manager left, and remove it: no child shall speak in our name."""
        address = variables.pop("NOTIFY_SOCKET", "")
        pause, pid = variables.pop("WATCHDOG_USEC", ""), variables.pop("WATCHDOG_PID", "")
        if address and address[0] not in "/@":  # such as vsock:, out of a virtual machine
            log.warning("the service manager at %s cannot be told anything", address)
            address = ""
        ours = pause.isdecimal() and pid in ("", str(os.getpid()))
        return cls(address=address, watchdog=int(pause) / 1e6 if ours else 0.0)

    async def run(self, status: Callable[[], str], alive: Check) -> None:
        """Say that the program is ready, and go on saying how it fares, until cancelled.

        A sign of life is given only while `alive` finds nothing wrong: a loop that hangs, and what
        else only a new process mends, brings one.
        """
        self._ready = True
        pause = min(BEAT, self.watchdog / BEATS_IN_TIME or BEAT)
        while True:
            if self.watchdog and alive() is None:
                self._send("WATCHDOG=1")  # apart: no status shall ever cost a sign of life
            self._send("STATUS=" + _shorten(make_printable(status())))
            await asyncio.sleep(pause)

    @contextmanager
    def announce_reload(self) -> Iterator[None]:
        """Say that the configuration is read again, and afterwards that this is done.

        It is done, too, when it was refused: else the service would be reloading for ever.
        """
        was_ready, self._ready = self._ready, False
        # By its time a reload is told from one before; systemd 253 and later wait for it.
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")
        try:
            yield
        finally:
            self._ready = was_ready
            self._send()

    def announce_stop(self) -> None:
        self._ready = False
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> None:
        """Send a message; one that does not get through is as good as sent a moment later."""
        if self._ready:
            lines = ("READY=1", *lines)
        if not self.address or not lines:
            return
        name = "\0" + self.address[1:] if self.address[0] == "@" else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), name)
        except OSError as error:
            log.debug("the service manager was not told: %s", error)


def _shorten(text: str) -> str:
    content = text.encode()
    if len(content) <= MOST_STATUS:
        return text
    return content[: MOST_STATUS - 3].decode(errors="ignore") + "…"
