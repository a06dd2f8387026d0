"""The shared ICMP socket on loopback; what else is on the network: tests/integration."""

import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest

from vpplb.model.check import CheckSpec, IcmpProbe, ProbeCadence
from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.probers.icmp_packets import EchoType
from vpplb.probers.icmp_probe import IcmpAttempt, IcmpSockets
from vpplb.probers.icmp_socket import REPLY, IcmpSocket
from vpplb.probers.poller import EventPoller

pytestmark = pytest.mark.privileged


class IcmpStage:
    """An ICMP socket, and the results that came."""

    def __init__(self) -> None:
        self.poller = EventPoller()
        self.socket = IcmpSocket(4, None, self.poller)
        self.identifier = self.socket.new_identifier()
        self.results: list[ProbeResult] = []

    def send(self, target: str = "127.0.0.1") -> int:
        sent = self.socket.send_request(self.identifier, target, self.results.append)
        assert isinstance(sent, int)
        return sent

    def forged(self, tag: int, sender: str) -> None:
        """Let a reply come that only its sender tells from the right one."""
        request = self.socket._codec.build_request(tag)
        reply = struct.pack("!B", EchoType.V4_REPLY) + request[1:]
        header = b"\x45" + b"\0" * 19 if self.socket.raw else b""
        self.socket._on_reply(header + reply, sender)

    def run(self) -> list[ProbeCode]:
        """Let the kernel's own replies come; take the results."""
        self.poller.dispatch_events(self.poller.wait_for_events(0))
        results, self.results = self.results, []
        return [result.code for result in results]


@pytest.fixture
def stage() -> Iterator[IcmpStage]:
    stage = IcmpStage()
    yield stage
    stage.socket.close()
    stage.poller.close()


def test_each_request_gets_its_reply(stage: IcmpStage) -> None:
    for n in range(1, 6):
        stage.send(f"127.0.0.{n}")
    assert stage.run() == [ProbeCode.L3OK] * 5


def test_a_reply_from_another_address_is_none(stage: IcmpStage) -> None:
    tag = stage.send()
    stage.forged(tag, "127.0.0.2")
    assert stage.results == []
    assert stage.run() == [ProbeCode.L3OK]


def test_a_reply_that_comes_twice_counts_once(stage: IcmpStage) -> None:
    tag = stage.send()
    assert stage.run() == [ProbeCode.L3OK]
    stage.forged(tag, "127.0.0.1")
    assert stage.results == []


def test_a_reply_that_is_awaited_no_longer_is_none(stage: IcmpStage) -> None:
    stage.socket.forget_request(stage.send())
    assert stage.run() == []


def test_numbers_that_are_still_awaited_are_not_given_again(stage: IcmpStage) -> None:
    stage.socket._sequence = 6
    first = stage.send()
    stage.socket._sequence = 6
    assert stage.send() == first + 1


class FailingSocket:
    """A socket whose next attempts to send fail."""

    def __init__(self, sock: socket.SocketType, *failures: int) -> None:
        self._socket = sock
        self._failures = list(failures)

    def sendto(self, packet: bytes, target: tuple[str, int]) -> int:
        if self._failures:
            raise OSError(self._failures.pop(), "")
        return self._socket.sendto(packet, target)

    def __getattr__(self, name: str) -> object:
        return getattr(self._socket, name)


@pytest.mark.parametrize(
    ("failures", "waiting", "result"),
    [
        ([errno.EHOSTUNREACH] * 4, 1, "sent"),  # an error for each, about others
        ([errno.EHOSTUNREACH], 0, "sent"),
        ([errno.ENETUNREACH] * 2, 0, "network is unreachable"),
        ([errno.EHOSTUNREACH] * 99, 1, "no route to host"),  # not without end
    ],
)
def test_errors_about_others_fail_no_request(
    stage: IcmpStage,
    monkeypatch: pytest.MonkeyPatch,
    failures: list[int],
    waiting: int,
    result: str,
) -> None:
    monkeypatch.setattr(stage.socket, "_socket", FailingSocket(stage.socket._socket, *failures))
    monkeypatch.setattr(stage.socket, "_drain_errors", lambda: waiting)
    sent = stage.socket.send_request(stage.identifier, "127.0.0.1", stage.results.append)
    assert (sent.detail if isinstance(sent, ProbeResult) else "sent") == result


def test_which_kind_of_socket_it_is_is_said_once(
    stage: IcmpStage, caplog: pytest.LogCaptureFixture
) -> None:
    sockets = IcmpSockets(stage.poller)
    with caplog.at_level(logging.INFO):
        for source in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
            assert isinstance(sockets.join_socket(4, ip_address(source)), IcmpSocket)
    sockets.close()
    kind = "raw" if stage.socket.raw else "unprivileged ping"
    assert [record.message for record in caplog.records] == [f"ICMP over IPv4: {kind} sockets"]


class StandIn(IcmpSocket):
    """Nothing is sent, and whoever waits can be answered."""

    def __init__(self, number: int, *, raw: bool) -> None:
        self.number = number
        self.raw = raw
        self.users = 0
        self.closed = False
        self._identifiers = 0
        self.sent: list[int] = []
        self.done: Callable[[ProbeResult], None] = lambda _: None

    def new_identifier(self) -> int:
        self._identifiers += self.raw
        return 100 * self.number + self._identifiers

    def send_request(
        self, identifier: int, target: str, done: Callable[[ProbeResult], None]
    ) -> int:
        self.sent.append(identifier)
        self.done = done
        return 1

    def forget_request(self, tag: int) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        self.closed = True


class EchoFlows:
    """Checks that probe each second of virtual time, over sockets that are none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, raw: bool) -> None:
        self.sockets: list[StandIn] = []
        self.time = 1000.0

        def opened(*_: object) -> StandIn:
            self.sockets.append(StandIn(len(self.sockets) + 1, raw=raw))
            return self.sockets[-1]

        monkeypatch.setattr(IcmpSockets, "_open_socket", opened)
        self._shared = IcmpSockets(EventPoller(), lambda: self.time)

    def check(self) -> IcmpAttempt:
        spec = CheckSpec(address=ip_address("192.0.2.7"), probe=IcmpProbe(), cadence=ProbeCadence())
        return IcmpAttempt(spec, self._shared, lambda _: None)

    def probe(self, check: IcmpAttempt, *, answered: bool) -> int:
        """Probe once; return the identifier used."""
        self.time += 1.0
        check.begin_probe()
        used = check._socket
        assert isinstance(used, StandIn)
        if answered:
            used.done(REPLY)
        else:
            check.expire_probe()
        return used.sent[-1]


@pytest.fixture(params=[True, False], ids=["raw", "ping"])
def flows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> EchoFlows:
    return EchoFlows(monkeypatch, raw=request.param)


def test_identifiers_and_numbers_are_of_nobody_elses_making(stage: IcmpStage) -> None:
    """A process id, or a first number of 1, is the same in all containers."""
    other = IcmpSocket(4, None, stage.poller)
    used = {(each.new_identifier(), each._sequence) for each in (stage.socket, other)}
    other.close()
    assert len(used) == 2


def test_a_check_that_fails_and_fails_becomes_a_new_flow_every_ten_seconds(
    flows: EchoFlows,
) -> None:
    check = flows.check()
    used = [flows.probe(check, answered=False) for _ in range(30)]
    assert used == sorted(used)
    assert [used.count(each) for each in sorted(set(used))] == [10, 10, 10]


def test_a_check_that_is_answered_stays_the_flow_that_it_is(flows: EchoFlows) -> None:
    check = flows.check()
    assert len({flows.probe(check, answered=n % 3 == 0) for n in range(60)}) == 1


def test_a_check_that_has_failed_long_is_answered_by_its_new_flow(flows: EchoFlows) -> None:
    check = flows.check()
    first = flows.probe(check, answered=False)
    while (now := flows.probe(check, answered=False)) == first:
        pass
    assert {flows.probe(check, answered=True) for _ in range(30)} == {now}


def test_ping_sockets_are_shared_by_whoever_needs_a_new_one_and_closed_when_unused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flows = EchoFlows(monkeypatch, raw=False)
    good, *bad = [flows.check() for _ in range(4)]
    for _ in range(50):
        flows.probe(good, answered=True)
        for each in bad:
            flows.probe(each, answered=False)
    assert [each.closed for each in flows.sockets[1:-1]] == [True] * (len(flows.sockets) - 2)
    assert not flows.sockets[0].closed
    good.abort_probe()
    assert [each.closed for each in flows.sockets[:-1]] == [True] * (len(flows.sockets) - 1)
    assert {each._socket for each in bad} == {flows.sockets[-1]}
