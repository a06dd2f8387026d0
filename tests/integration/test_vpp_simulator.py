"""`vpplb vpp-simulator` as a process."""

import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vpp_papi.vpp_stats import VPPStats

from lab.processes import Program
from lab.waiting import wait_for
from vpplb.simulator import wire
from vpplb.simulator.messages import MESSAGE_IDS

VPPLB = Path(sys.executable).with_name("vpplb")

Run = Callable[..., Program]

pytestmark = pytest.mark.slow


@pytest.fixture
def api_socket(tmp_path: Path) -> Path:
    return tmp_path / "api.sock"


@pytest.fixture
def run(tmp_path: Path, api_socket: Path) -> Iterator[Run]:
    """Give what starts a simulator with some more options."""
    running: list[Program] = []

    def start(*options: str | Path) -> Program:
        argv = [VPPLB, "vpp-simulator", "--api-socket", api_socket, *options]
        running.append(Program(argv, log=tmp_path / f"log{len(running)}"))
        return running[-1]

    yield start
    for program in running:
        program.stop()


def up(program: Program) -> None:
    wait_for(lambda: "listens on" in program.tail(), "the simulator listens")


def say_hello(api_socket: Path) -> bytes:
    """Connect as a client does and return the first bytes of the answer."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(api_socket))
        client.sendall(
            wire.frame_message(wire.LAYOUTS["sockclnt_create"].pack({"context": 0, "name": "test"}))
        )
        return client.recv(18)[wire.FRAME.size :]


def test_every_message_received_is_a_line_of_the_log(
    run: Run, api_socket: Path, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    up(run("--log-calls", calls))
    answer = say_hello(api_socket)
    assert answer == MESSAGE_IDS["sockclnt_create_reply"].to_bytes(2, "big")
    assert [json.loads(line) for line in calls.read_text().splitlines()] == [
        {"message": "sockclnt_create", "args": {"name": "test"}, "retval": 0}
    ]


def command_of(path: Path, **fields: object) -> dict[str, object]:
    """Give a command to the control socket; return the answer."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(10)
        control.connect(str(path))
        control.sendall(json.dumps(fields).encode() + b"\n")
        answer: dict[str, object] = json.loads(control.makefile().readline())
        return answer


def test_it_dies_and_comes_back_on_command(run: Run, api_socket: Path, tmp_path: Path) -> None:
    control = tmp_path / "control.sock"
    program = run("--control", control)
    up(program)
    assert command_of(control, do="die") == {"ok": True}
    with pytest.raises(ConnectionRefusedError):
        say_hello(api_socket)
    assert command_of(control, do="restart") == {"ok": True}
    assert say_hello(api_socket)
    assert command_of(control, do="explode")["ok"] is False
    assert program.stop() == 0
    assert not control.exists()


def test_it_hands_out_its_counters(run: Run, tmp_path: Path) -> None:
    stats = tmp_path / "stats.sock"
    program = run("--stats-socket", stats, "--socket-mode", "600")
    up(program)
    assert stats.stat().st_mode & 0o777 == 0o600
    client = VPPStats(str(stats))
    client.connect()
    assert client.version == 2
    client.disconnect()
    assert program.stop() == 0
    assert not stats.exists()


def test_it_ends_on_sigterm_and_removes_its_socket(run: Run, api_socket: Path) -> None:
    program = run("--socket-mode", "600")
    up(program)
    assert api_socket.stat().st_mode & 0o777 == 0o600
    assert program.stop() == 0
    assert not api_socket.exists()


def test_a_second_one_says_in_a_line_that_the_socket_is_in_use(run: Run, api_socket: Path) -> None:
    up(run())
    second = run()
    wait_for(lambda: not second.alive, "the second one ends")
    assert (second.stop(), second.tail()) == (1, f"Error: another process listens on {api_socket}")
    assert say_hello(api_socket)


def test_one_that_was_killed_is_replaced(run: Run, api_socket: Path) -> None:
    first = run()
    up(first)
    first.kill()
    up(run())
    assert say_hello(api_socket)
