"""Faults on command: a socket that takes one JSON object a line, and answers each with one.

    {"do": "fault", "fault": "refuse", "message": "lb_add_del_as_v2", "times": 3, "retval": -81}
    {"do": "heal"}                   disarm all faults, and go on if hung
    {"do": "hang"}                   read and answer nothing, until healed
    {"do": "die"}                    end all connections as a killed process does
    {"do": "restart", "keep": true}  come up again: empty, or with `keep` with all VIPs and servers
    {"do": "forward", "source": "198.51.100.1", "destination": "192.0.2.1", "protocol": "tcp",
     "source_port": 40000, "destination_port": 80}

`fault` is a name of `faults.BY_NAME`; `message` left out: any message; `times` null: until healed
(1 by default); `delay` takes `seconds`, `refuse` takes `retval`. `restart` takes `shift_ids` and
`other_crcs`, a list of messages. `forward` sends a packet and answers with its `server`, or null.
An answer has `ok`; where that is false, `error` says why, and nothing was done.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from vpplb.simulator import faults
from vpplb.simulator.flows import TCP, UDP, FiveTuple, NotModelled
from vpplb.simulator.messages import ApiVersion
from vpplb.simulator.server import SocketInUse, VppSimulator, clear_socket_path

_REFUSALS = (ValueError, TypeError, KeyError, IndexError, OverflowError)
_PROTOCOLS = {"tcp": TCP, "udp": UDP}


class ControlSocket:
    """Serves commands for `simulator` at a Unix socket."""

    def __init__(self, simulator: VppSimulator, path: Path, mode: int = 0o660) -> None:
        self._simulator, self._path, self._mode = simulator, path, mode
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Begin to take commands; SocketInUse or OSError when the socket cannot be made."""
        clear_socket_path(self._path)
        self._server = await asyncio.start_unix_server(self._serve_client, self._path)
        self._path.chmod(self._mode)

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()
        self._server = None
        self._path.unlink(missing_ok=True)

    async def _serve_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self.run_command(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            return  # gone, or a line without end
        finally:
            self._writers.discard(writer)
            writer.close()

    async def run_command(self, line: bytes | str) -> dict[str, Any]:
        """Do one command; return its answer. Never raises."""
        try:
            command = json.loads(line)
            if not isinstance(command, dict):
                raise ValueError("a command is a JSON object")
            return {"ok": True, **await self._do_command(command)}
        except (*_REFUSALS, NotModelled, SocketInUse, OSError) as error:
            missing = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else ""
            return {"ok": False, "error": missing or str(error)}

    async def _do_command(self, command: dict[str, Any]) -> dict[str, Any]:
        simulator = self._simulator
        match command.pop("do"):
            case "fault":
                message, times = command.pop("message", None), command.pop("times", 1)
                simulator.faults.arm(_parse_fault(command), message, times)
            case "heal":
                simulator.faults.disarm()
                simulator.hang(False)
            case "hang":
                simulator.hang()
            case "die":
                simulator.die()
            case "restart":
                shift, crcs = command.pop("shift_ids", 0), command.pop("other_crcs", ())
                api_version = ApiVersion(shift=shift, other_crcs=frozenset(crcs))
                await simulator.restart(keep=command.pop("keep", False), api_version=api_version)
            case "forward":
                thread = command.pop("thread", 0)
                server = simulator.lb.forward_packet(_parse_flow(command), thread)
                return {"server": None if server is None else str(server)}
            case unknown:
                raise ValueError(f"there is no command {unknown!r}")
        return {}


def _parse_fault(command: dict[str, Any]) -> faults.Fault:
    name = command.pop("fault")
    kind = faults.BY_NAME.get(name)
    if kind is None:
        raise ValueError(f"there is no fault {name!r}, but {', '.join(faults.BY_NAME)}")
    wanted = () if isinstance(kind, faults.PlainFault) else [one.name for one in fields(kind)]
    if set(wanted) != command.keys():
        raise ValueError(f"{name} takes {' and '.join(wanted) or 'nothing more'}")
    return kind if isinstance(kind, faults.PlainFault) else kind(**command)


def _parse_flow(command: Mapping[str, Any]) -> FiveTuple:
    protocol = command["protocol"]
    flow = FiveTuple(
        ip_address(command["source"]),
        ip_address(command["destination"]),
        _PROTOCOLS.get(protocol, protocol),
        command.get("source_port", 0),
        command.get("destination_port", 0),
    )
    if flow.source.version != flow.destination.version:
        raise ValueError("source and destination are not of one family")
    return flow
