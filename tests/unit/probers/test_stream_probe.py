import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from ipaddress import ip_address

import pytest

from lab.servers import Script, ScriptedServer
from vpplb.model.check import CheckSpec, HttpProbe, ProbeCadence, TcpProbe
from vpplb.model.health import ProbeResult
from vpplb.model.vip import IPAddress
from vpplb.probers.conversation import Step
from vpplb.probers.errors import ProberShortage
from vpplb.probers.http import HttpCheck, HttpConversation
from vpplb.probers.poller import EventPoller
from vpplb.probers.probe_resources import ProbeResources
from vpplb.probers.searcher import BodySearchProcess
from vpplb.probers.socket_pool import Socket, SocketPool, SocketPools
from vpplb.probers.stream_probe import StreamAttempt
from vpplb.probers.worker_messages import map_note

OK = b"HTTP/1.1 200 OK\r\n\r\n"


class Driver:
    """What StreamAttempt needs around it."""

    def __init__(self) -> None:
        self.poller = EventPoller()
        self.sockets = SocketPools(self.poller)
        self.searcher = BodySearchProcess(self.poller, time.monotonic)

    def attempt(self, spec: CheckSpec, probe: HttpProbe, ended: list[ProbeResult]) -> StreamAttempt:
        return StreamAttempt(spec, probe, self.means(), ended.append, 1)

    def means(self, sockets: SocketPools | None = None) -> ProbeResources:
        return ProbeResources(
            sockets=sockets or self.sockets, searcher=self.searcher, in_hand=map_note()
        )

    def run(self, at_most: float) -> bool:
        """Let happen what happens next, at most so many seconds on; return whether it did."""
        happened = self.poller.wait_for_events(at_most)
        self.poller.dispatch_events(happened)
        return bool(happened)


@pytest.fixture
def driver() -> Iterator[Driver]:
    driver = Driver()
    yield driver
    driver.sockets.close()
    driver.searcher.close()
    driver.poller.close()


def outcome(driver: Driver, script: Script, probe: Callable[[int], HttpProbe]) -> tuple[str, str]:
    """Probe a server that follows the script; return the code and the detail."""
    ended: list[ProbeResult] = []
    with ScriptedServer(script) as server:
        spec = CheckSpec(
            address=ip_address("127.0.0.1"),
            probe=probe(server.port),
            cadence=ProbeCadence(timeout=timedelta(seconds=5)),
        )
        attempt = driver.attempt(spec, probe(server.port), ended)
        assert attempt.begin_probe() is None
        while not ended:
            assert driver.run(5.0), "nothing happens any more"
    return ended[0].code.value, ended[0].detail


def plain(port: int) -> HttpProbe:
    return HttpProbe(port=port)


def test_a_request_larger_than_the_sockets_buffers_is_sent_in_portions(driver: Driver) -> None:
    size = 8_000_000
    received = 0

    def script(connection: socket.socket) -> None:
        nonlocal received
        while received < size:
            received += len(connection.recv(65536))
        connection.sendall(OK)

    large = (("X-Large", "x" * size),)
    assert outcome(driver, script, lambda port: HttpProbe(port=port, headers=large)) == (
        "L7OK",
        "200 OK",
    )


def test_an_answer_given_before_the_request_was_read_counts(driver: Driver) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(OK)  # closing with the request unread resets the connection

    assert outcome(driver, script, plain) == ("L7OK", "200 OK")


@pytest.mark.parametrize("size", [16384, 16384 * 3 + 1])
def test_an_answer_larger_than_one_read_is_read_to_its_end(driver: Driver, size: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\nX: " + b"x" * (size - 23) + b"\r\n\r\n"

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    assert outcome(driver, script, plain) == ("L7OK", "200 OK")


def test_a_reset_instead_of_an_answer_is_named(driver: Driver) -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        reset = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)

    assert outcome(driver, script, plain) == ("L7RSP", "connection reset by peer")


def test_giving_up_closes_the_connection_and_tells_nobody(driver: Driver) -> None:
    left = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        left.set()

    ended: list[ProbeResult] = []
    with ScriptedServer(script) as server:
        spec = CheckSpec(
            address=ip_address("127.0.0.1"), probe=plain(server.port), cadence=ProbeCadence()
        )
        attempt = driver.attempt(spec, plain(server.port), ended)
        attempt.begin_probe()
        driver.run(5.0)
        assert left.wait(5.0)
        attempt.abort_probe()
        driver.run(0)
    assert ended == []


def test_a_connection_to_itself_is_no_success(driver: Driver) -> None:
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        port = finder.getsockname()[1]

    class UnluckyPool(SocketPool):
        """The kernel happens to choose the very port that is probed."""

        def take_socket(self, handler: Callable[[int], None]) -> Socket:
            sock = super().take_socket(handler)
            sock.bind(("127.0.0.1", port))
            return sock

    pool = UnluckyPool(driver.poller, 4, None)

    class UnluckyPools(SocketPools):
        def get_pool(self, version: int, source: IPAddress | None) -> SocketPool:
            return pool

    ended: list[ProbeResult] = []
    spec = CheckSpec(
        address=ip_address("127.0.0.1"), probe=TcpProbe(port=port), cadence=ProbeCadence()
    )
    sockets = UnluckyPools(driver.poller)
    attempt = StreamAttempt(spec, TcpProbe(port=port), driver.means(sockets), ended.append, 1)
    assert attempt.begin_probe() is None
    while not ended:
        assert driver.run(5.0), "nothing happens any more"
    assert (ended[0].code.value, ended[0].detail) == (
        "L4CON",
        "nobody listens there: the connection was to itself",
    )
    pool.close()


def test_a_server_that_always_has_more_does_not_keep_the_others_waiting(driver: Driver) -> None:
    chunks = (b"1;" + b"e" * 4000 + b"\r\nx\r\n") * 16

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with suppress(OSError):
            while True:
                connection.sendall(chunks)

    received: list[int] = []

    class Counting(HttpConversation):
        def on_data(self, data: bytes) -> Step:
            received[-1] += len(data)
            return super().on_data(data)

    ended: list[ProbeResult] = []
    with ScriptedServer(script) as server:
        probe = HttpProbe(port=server.port, response_regexp="never")
        spec = CheckSpec(address=ip_address("127.0.0.1"), probe=probe, cadence=ProbeCadence())
        attempt = driver.attempt(spec, probe, ended)
        attempt._make_conversation = partial(Counting, HttpCheck(probe, spec.address))
        assert attempt.begin_probe() is None
        while not ended:
            received.append(0)
            assert driver.run(5.0), "nothing happens any more"
    assert max(received) <= 32768
    assert ended[0].detail == "more than 524288 bytes lie between the chunks"


class TestSearching:
    """A page of 64 KiB is searched by another process."""

    PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + b"ab" * 32768

    def page(self, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(self.PAGE)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("regexp", "said"),
        [
            ("(ab){99}$", ("L7OK", "200 OK")),
            ("abc|^b", ("L7RSP", "regexp not found in the body")),
        ],
    )
    def test_what_it_finds_decides_though_the_server_has_closed(
        self, driver: Driver, regexp: str, said: tuple[str, str]
    ) -> None:
        assert (
            outcome(driver, self.page, lambda port: HttpProbe(port=port, response_regexp=regexp))
            == said
        )

    def begun(self, driver: Driver, port: int, regexp: str) -> StreamAttempt:
        probe = HttpProbe(port=port, response_regexp=regexp)
        spec = CheckSpec(address=ip_address("127.0.0.1"), probe=probe, cadence=ProbeCadence())
        attempt = driver.attempt(spec, probe, self.ended)
        assert attempt.begin_probe() is None
        while attempt._job is None and not self.ended:
            assert driver.run(5.0)
        return attempt

    @pytest.mark.slow
    def test_one_that_does_not_end_is_put_aside_and_hinders_nobody(self, driver: Driver) -> None:
        self.ended: list[ProbeResult] = []
        with ScriptedServer(self.page) as server:
            hog = self.begun(driver, server.port, "a.{990}c$")
            other = self.begun(driver, server.port, "a.{991}c$")
            with pytest.raises(ProberShortage, match="searches for other expressions"):
                other.expire_probe()
            said = hog.expire_probe()
            self.begun(driver, server.port, "a.{990}c$")
        assert (said.code.value, said.detail) == (
            "L7TOUT",
            "the search for responseRegexp takes too long: simplify it",
        )
        assert self.ended == [said]
