"""What a VPP really has, seen through an unmodified vpp_papi client.

The reading is a program of its own, for vpp_papi's types are cached in its process, which must
not outlive a VPP; it also runs inside a pod (`python3 -c` with this file as text). It needs
nothing but vpp_papi: `vpp_witness.py SOCKET` prints one line of JSON for each line it reads.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_PROTOCOLS = {6: "tcp", 17: "udp", 255: "any"}


@dataclass(frozen=True, slots=True)
class SeenVip:
    """A VIP as VPP has it: live servers only, weights and buckets by their address."""

    encap: str
    table_length: int
    weights: dict[str, int]
    buckets: dict[str, int]


Seen = Mapping[str, SeenVip]
"""VIPs by `prefix protocol/port`, such as `192.0.2.1/32 tcp/80`."""


class VppWitness:
    """Reads the VPP behind a socket, as often as asked."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._reader = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def see(self) -> Seen:
        """Return what VPP has; AssertionError when there is no VPP at the moment."""
        try:
            return self._ask()
        except (BrokenPipeError, json.JSONDecodeError):
            self._stop()
            self._reader = self._start()  # it ended with the VPP it was connected to
            try:
                return self._ask()
            except (BrokenPipeError, json.JSONDecodeError) as error:
                raise AssertionError(f"no VPP answers at {self._socket}") from error

    def _ask(self) -> Seen:
        assert self._reader.stdin is not None
        assert self._reader.stdout is not None
        self._reader.stdin.write("\n")
        self._reader.stdin.flush()
        return parse_seen(self._reader.stdout.readline())

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, __file__, str(self._socket)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def _stop(self) -> None:
        """End the reader by the end of its input, so that it takes leave of VPP.

        VPP quirk: of a client that loaded the definitions and goes without `sockclnt_delete`,
        VPP keeps the socket and reads its end again and again (it looks at an errno that its
        large answer left behind); after sixteen such clients it answers nobody (26.10-rc0).
        """
        try:
            self._reader.communicate(timeout=5)
        except BrokenPipeError:  # it has ended already
            self._reader.wait()
        except subprocess.TimeoutExpired:
            self._reader.kill()
            self._reader.communicate()


def parse_seen(line: str) -> Seen:
    """Read a line that the program below printed."""
    return {key: SeenVip(**vip) for key, vip in json.loads(line).items()}


def _read(client: Any) -> dict[str, dict[str, Any]]:
    vips: dict[str, dict[str, Any]] = {}
    for vip in client.api.lb_vip_dump():
        vips[_name(vip.vip)] = {
            "encap": vip.encap.name.removeprefix("LB_API_ENCAP_TYPE_"),
            "table_length": vip.flow_table_length or 65536,  # read back as u16
            "weights": {},
            "buckets": {},
        }
    for server in client.api.lb_as_v2_dump():
        if server.flags & 1 and _name(server.vip) in vips:  # others only linger
            vips[_name(server.vip)]["weights"][str(server.app_srv)] = server.weight
            vips[_name(server.vip)]["buckets"][str(server.app_srv)] = server.num_buckets
    return vips


def _name(vip: Any) -> str:
    return f"{vip.pfx} {_PROTOCOLS[int(vip.protocol)]}/{vip.port}"


def _main(socket: str) -> None:
    from vpp_papi import VPPApiClient

    client = VPPApiClient(use_socket=True, server_address=socket, bootstrapapi=True)
    client.connect("vpplb-witness")
    for _ in sys.stdin:
        print(json.dumps(_read(client)), flush=True)  # noqa: T201  # its output
    client.disconnect()


if __name__ == "__main__":
    _main(sys.argv[1])
