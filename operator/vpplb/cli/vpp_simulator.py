"""`vpplb vpp-simulator`: an in-memory VPP behind a socket, until it is told to stop."""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from vpplb.cli.options import option

if TYPE_CHECKING:
    from vpplb.simulator.server import Call


def _mode(text: str) -> int:
    """Read permissions as chmod takes them."""
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise click.BadParameter(f"not permissions in octal, such as 660: {text!r}")
    return mode


@click.command("vpp-simulator")
@option(
    "--api-socket",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Unix socket to serve. A stale one is replaced; folders are made.",
)
@option(
    "--socket-mode",
    default="660",
    type=_mode,
    metavar="MODE",
    help="Permissions of the socket, in octal.",
)
@option(
    "--log-calls",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help='Append one JSON line for each message received: {"message", "args", "retval"}.',
)
def command(api_socket: Path, socket_mode: int, log_calls: Path | None) -> None:
    """Run an in-memory VPP that speaks the binary API for the lb plugin.

    Any client of VPP's binary API can connect to the socket and program VIPs and application
    servers: the agent, `vpplb standalone`, or vpp_papi. It answers as VPP 26.10 does, errors,
    order of dumps and shares of the new-flow table included, but forwards no packets and forgets
    everything when it ends. What it does not model, it refuses.

    It ends on SIGTERM or SIGINT and removes its socket.

    \b
    Try it:
      vpplb vpp-simulator --api-socket /tmp/vpp/api.sock &
      vpplb standalone --vpp-api-socket /tmp/vpp/api.sock examples/
    """
    from vpplb.simulator.server import SocketInUse

    try:
        with _open(log_calls) as file:
            asyncio.run(_run(api_socket, socket_mode, file))
    except (SocketInUse, OSError) as error:
        raise click.ClickException(str(error)) from error


async def _run(api_socket: Path, mode: int, file: TextIO) -> None:
    from vpplb.simulator.server import VppSimulator

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    simulator = VppSimulator(api_socket, mode=mode, on_call=_writer(file))
    await simulator.start()
    click.echo(f"A simulated VPP listens on {api_socket}.")
    try:
        await stop.wait()
    finally:
        await simulator.stop()


def _open(log_calls: Path | None) -> TextIO:
    return (log_calls or Path("/dev/null")).open("a", encoding="utf-8", buffering=1)


def _writer(file: TextIO) -> "Callable[[Call], None]":
    """Return what writes a call as one line; lines are flushed by the file's buffering."""

    def write(call: "Call") -> None:
        line = {"message": call.message, "args": call.args, "retval": call.retval}
        file.write(json.dumps(line) + "\n")

    return write
