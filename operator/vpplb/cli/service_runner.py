"""What the commands that run for long have in common: logs, signals, an exit that is clean."""

import asyncio
import errno
import faulthandler
import logging
import math
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

from vpplb.cli.terminal import CommandError
from vpplb.files.state_lock import StateInUse
from vpplb.kube.api_types import ConfigError
from vpplb.kube.leases.agent_lease import HolderReplaced
from vpplb.kube.leases.leader_election import LeadershipLost
from vpplb.resources.base import build_models
from vpplb.telemetry.http import CannotListen

log = logging.getLogger(__name__)

SHORTAGE_EVERY = 60.0
"""Seconds from one line to the next that says that no connection can be accepted."""
_SHORTAGES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
SWITCH_INTERVAL = 0.0005
"""Seconds for which a thread keeps the interpreter while another wants it. With Python's own 5 ms
the program's loop waits so long after each system call as long as kopf's thread has events to
read: with 10,000 objects it answered no request for seconds (docs/scale.md)."""

IMPORTED_LATE = (
    "re2", "vpplb.plan.probe_reach", "vpplb.resources.convert_check", "vpplb.resources.dataplane",
    "vpplb.resources.secret",
)  # fmt: skip
"""What commands import when they need it. Programs that stay have all of it when they start: later
the files may be another version's, whose modules do not fit those that run (cpython#124170)."""


def run_service(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a program until it ends or SIGINT or SIGTERM asks it to stop.

    A second signal ends it at once. What a user can mend, and what a new start mends, is said in
    one line, with exit 1.
    """
    for name in IMPORTED_LATE:
        import_module(name)
    build_models()

    async def run_until_asked() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(LoopErrors())
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _on_signal, stop)
        await main(stop)

    sys.setswitchinterval(SWITCH_INTERVAL)
    with suppress(ValueError, OSError):  # no standard error to write to
        faulthandler.enable()  # so that a watchdog's SIGABRT tells where it hung
    try:
        asyncio.run(run_until_asked())
    except (ConfigError, StateInUse, CannotListen, LeadershipLost, HolderReplaced) as error:
        raise CommandError(str(error)) from error


class LoopErrors:
    """Says what an event loop meets that is nobody's error, as asyncio does, but shortages rarely.

    asyncio tells of a connection that cannot be accepted for want of descriptors by a traceback,
    and goes on trying (`_accept_connection`): a thousand times a second.
    """

    def __init__(self) -> None:
        self._silent_until = -math.inf

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _SHORTAGES and "socket" in context):
            loop.default_exception_handler(context)
        elif loop.time() >= self._silent_until:
            self._silent_until = loop.time() + SHORTAGE_EVERY
            log.error("no connection can be accepted: %s", error)


def _on_signal(stop: asyncio.Event) -> None:
    if stop.is_set():
        raise SystemExit(130)
    stop.set()
