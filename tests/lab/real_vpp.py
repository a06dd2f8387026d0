"""Starts a real VPP with the lb plugin, for the tests that compare with it or send through it."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.processes import Program

_CONFIGURATION = """
unix {{ nodaemon cli-listen {directory}/cli.sock runtime-dir {directory} log {directory}/cli.log }}
api-segment {{ prefix {name} }}
socksvr {{ socket-name {directory}/api.sock }}
statseg {{ socket-name {directory}/stats.sock size 16m }}
memory {{ main-heap-size 256m }}
buffers {{ buffers-per-numa 4096 }}
{cpu}
plugins {{
  path {plugins}
  plugin default {{ disable }}
  {enabled}
}}
"""

PATIENCE = 60.0
"""Seconds for which a VPP may take to answer on its socket."""


@contextmanager
def start_vpp(
    binary: Path,
    directory: Path,
    *,
    plugins: Sequence[str] = (),
    prefix: Sequence[str] = (),
    workers: int = 0,
) -> Iterator[Path]:
    """Run a VPP and give the path of its API socket (`stats.sock` and `cli.sock` are beside it).

    `directory` is made, and has to be short: a socket's path has room for 107 bytes. `plugins`
    are those wanted besides lb (such as `af_packet`), `prefix` goes before its command line
    (such as a network namespace's), `workers` is the number of its threads besides the main one.
    AssertionError with VPP's last words when it does not come up.
    """
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "startup.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            directory=directory,
            name=f"vpplb-{os.getpid()}-{directory.name}",
            cpu=f"cpu {{ workers {workers} }}" if workers else "",
            plugins=_plugins(binary),
            enabled="\n  ".join(
                f"plugin {name}_plugin.so {{ enable }}" for name in ("lb", *plugins)
            ),
        )
    )
    api_socket = directory / "api.sock"
    with Program([*prefix, binary, "-c", configuration], log=directory / "vpp.log") as vpp:
        _await(vpp, api_socket)
        yield api_socket


def vppctl(binary: Path, api_socket: Path, command: str) -> str:
    """Return what the command line of the VPP behind `api_socket` answers; errors too are text."""
    client = binary.with_name("vppctl")
    answer = subprocess.run(
        [client, "-s", api_socket.with_name("cli.sock"), command],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return answer.stdout.strip()


def _plugins(binary: Path) -> Path:
    """Return the folder of plugins that belongs to a binary, installed or in a build tree."""
    for library in ("lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"):
        folder = binary.resolve().parents[1] / library / "vpp_plugins"
        if (folder / "lb_plugin.so").exists():
            return folder
    raise AssertionError(f"no vpp_plugins/lb_plugin.so beside {binary}")


def _await(vpp: Program, api_socket: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and vpp.alive:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(api_socket))
            except OSError:
                time.sleep(0.05)
            else:
                return
    raise AssertionError(f"VPP does not answer on {api_socket}:\n{vpp.tail()}")
