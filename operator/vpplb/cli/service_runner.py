"""What the commands that run for long have in common: logs, signals, an exit that is clean."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from vpplb.cli.terminal import CommandError
from vpplb.kube.agent_lease import HolderReplaced
from vpplb.kube.api_types import ConfigError
from vpplb.kube.leader_election import LeadershipLost
from vpplb.telemetry.http import CannotListen


def run_service(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a program until it ends or SIGINT or SIGTERM asks it to stop.

    A second signal ends it at once. What a user can mend, and what a new start mends, is said in
    one line, with exit 1.
    """

    async def run_until_asked() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _on_signal, stop)
        await main(stop)

    try:
        asyncio.run(run_until_asked())
    except (ConfigError, CannotListen, LeadershipLost, HolderReplaced) as error:
        raise CommandError(str(error)) from error


def _on_signal(stop: asyncio.Event) -> None:
    if stop.is_set():
        raise SystemExit(130)
    stop.set()
