"""The shared ICMP socket on loopback; what else is on the network: tests/integration."""

import logging
import struct
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.probers.echo import EchoSocket, EchoSockets
from vpplb.probers.icmp import Echo
from vpplb.probers.poller import Poller

pytestmark = pytest.mark.privileged


class Stage:
    """An ICMP socket, and the results that came."""

    def __init__(self) -> None:
        self.poller = Poller()
        self.socket = EchoSocket(4, None, self.poller)
        self.results: list[ProbeResult] = []

    def send(self, target: str = "127.0.0.1") -> int:
        sent = self.socket.send(target, self.results.append)
        assert isinstance(sent, int)
        return sent

    def forged(self, sequence: int, sender: str) -> None:
        """Let a reply come that only its sender tells from the right one."""
        request = self.socket._codec.request(sequence)
        reply = struct.pack("!B", Echo.V4_REPLY) + request[1:]
        header = b"\x45" + b"\0" * 19 if self.socket.raw else b""
        self.socket._answered(header + reply, sender)

    def run(self) -> list[ProbeCode]:
        """Let the kernel's own replies come; take the results."""
        self.poller.dispatch(self.poller.wait(0))
        results, self.results = self.results, []
        return [result.code for result in results]


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.socket.close()
    stage.poller.close()


def test_each_request_gets_its_reply(stage: Stage) -> None:
    for n in range(1, 6):
        stage.send(f"127.0.0.{n}")
    assert stage.run() == [ProbeCode.L3OK] * 5


def test_a_reply_from_another_address_is_none(stage: Stage) -> None:
    sequence = stage.send()
    stage.forged(sequence, "127.0.0.2")
    assert stage.results == []
    assert stage.run() == [ProbeCode.L3OK]


def test_a_reply_that_comes_twice_counts_once(stage: Stage) -> None:
    sequence = stage.send()
    assert stage.run() == [ProbeCode.L3OK]
    stage.forged(sequence, "127.0.0.1")
    assert stage.results == []


def test_a_reply_that_is_awaited_no_longer_is_none(stage: Stage) -> None:
    stage.socket.forget(stage.send())
    assert stage.run() == []


def test_numbers_that_are_still_awaited_are_not_given_again(stage: Stage) -> None:
    first = stage.send()
    stage.socket._sequence = first - 1
    assert stage.send() == first + 1


def test_which_kind_of_socket_it_is_is_said_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    sockets = EchoSockets(stage.poller)
    with caplog.at_level(logging.INFO):
        for source in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
            assert isinstance(sockets.get(4, ip_address(source)), EchoSocket)
    sockets.close()
    kind = "raw" if stage.socket.raw else "unprivileged ping"
    assert [record.message for record in caplog.records] == [f"ICMP over IPv4: {kind} sockets"]
