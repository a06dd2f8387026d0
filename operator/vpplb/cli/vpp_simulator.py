"""`vpplb vpp-simulator`: an in-memory VPP behind a socket, until it is told to stop."""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from vpplb.cli.options import env_option
from vpplb.cli.terminal import CommandError, print_line

if TYPE_CHECKING:
    from vpplb.simulator.server import RecordedCall, VppSimulator


def _read_mode(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise click.BadParameter(f"not permissions in octal, such as 660: {text!r}")
    return mode


@click.command("vpp-simulator")
@env_option(
    "--api-socket",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Unix socket to serve. A stale one is replaced; folders are made.",
)
@env_option(
    "--stats-socket",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Unix socket to hand out the stats segment with the VIPs' counters; none by default.",
)
@env_option(
    "--control",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Unix socket to take faults and packets from, as below; none by default.",
)
@env_option(
    "--socket-mode",
    default="660",
    type=_read_mode,
    metavar="MODE",
    help="Permissions of the sockets, in octal.",
)
@env_option(
    "--log-calls",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help='Append one JSON line for each message received: {"message", "args", "retval"}.',
)
def vpp_simulator_command(
    api_socket: Path,
    stats_socket: Path | None,
    control: Path | None,
    socket_mode: int,
    log_calls: Path | None,
) -> None:
    """Run an in-memory VPP that speaks the binary API for the lb plugin.

    Any client of VPP's binary API can connect to the socket and program VIPs and application
    servers: the agent, `vpplb standalone`, or vpp_papi. It answers as VPP 26.10 does, errors,
    order of dumps and shares of the new-flow table included, but has no interfaces and forgets
    everything when it ends. What it does not model, it refuses.

    It ends on SIGTERM or SIGINT and removes its sockets.

    \b
    Try it:
      vpplb vpp-simulator --api-socket /tmp/vpp/api.sock --control /tmp/vpp/control.sock &
      vpplb standalone --vpp-api-socket /tmp/vpp/api.sock --allow-loopback examples/

    The control socket takes one JSON object a line and answers each with one, {"ok": true} or
    {"ok": false, "error": "why"}:

    \b
      {"do": "forward", "source": "198.51.100.1", "destination": "192.0.2.1",
       "protocol": "tcp", "source_port": 40000, "destination_port": 80}
          send a packet: {"ok": true, "server": "10.0.0.1"}
      {"do": "fault", "fault": "refuse", "message": "lb_as_set_weight", "retval": -1}
          refuse the next such message; "times": 3 for the next three, null for all
      {"do": "fault", "fault": "delay", "seconds": 2}
          answer the next message, whatever it is, two seconds later
      {"do": "fault", "fault": "drop"}
          likewise: do not answer; or "late" (after the next answer), "cut" (close in
          the middle), "wrong-context", "wrong-id", "oversize", "die"
      {"do": "hang"}     read and answer nothing any more
      {"do": "heal"}     disarm all faults, and go on if hung
      {"do": "die"}      close all connections, as a killed process does
      {"do": "restart"}  come back, empty; "keep": true with all VIPs and servers,
          "shift_ids": 100 with other message ids, "other_crcs": ["lb_conf"] with
          other CRCs

    \b
    So, with Debian's netcat-openbsd:
      echo '{"do": "die"}' | nc -NU /tmp/vpp/control.sock
    """
    from vpplb.simulator.server import SocketInUse, VppSimulator

    try:
        with _open_log(log_calls) as file:
            simulator = VppSimulator(
                api_socket, stats_socket=stats_socket, mode=socket_mode, on_call=_call_writer(file)
            )
            asyncio.run(_run_simulator(simulator, control, socket_mode))
    except (SocketInUse, OSError) as error:
        raise CommandError(str(error)) from error


async def _run_simulator(simulator: "VppSimulator", control: Path | None, mode: int) -> None:
    from vpplb.simulator.control import ControlSocket

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    commands = ControlSocket(simulator, control, mode) if control else None
    try:
        await simulator.start()
        if commands is not None:
            await commands.start()
        print_line(f"A simulated VPP listens on {simulator.api_socket}.")
        await stop.wait()
    finally:
        if commands is not None:
            await commands.stop()
        await simulator.stop()


def _open_log(log_calls: Path | None) -> TextIO:
    return (log_calls or Path("/dev/null")).open("a", encoding="utf-8", buffering=1)


def _call_writer(file: TextIO) -> "Callable[[RecordedCall], None]":
    """Return what writes a call as one line; lines are flushed by the file's buffering."""

    def write_call(call: "RecordedCall") -> None:
        line = {"message": call.message, "args": call.args, "retval": call.retval}
        file.write(json.dumps(line) + "\n")

    return write_call
