"""What the commands that run for long have in common: logs, signals, an exit that is clean."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

import click

from vpplb.kube.errors import ConfigError


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a program until it ends or SIGINT or SIGTERM asks it to stop.

    A second signal ends it at once. What a user can mend is said in one line, with exit 1.
    """

    async def supervised() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _asked, stop)
        await main(stop)

    try:
        asyncio.run(supervised())
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def start_logging(level: str, log_format: str | None) -> None:
    """Log to standard error."""
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )


def _asked(stop: asyncio.Event) -> None:
    if stop.is_set():
        raise SystemExit(130)
    stop.set()
