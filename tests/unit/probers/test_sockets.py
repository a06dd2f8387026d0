import errno
import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from vpplb.probers.poller import Poller
from vpplb.probers.sockets import Socket, Sockets


class Stage:
    """A pool, the events that were told by whom, and a port that accepts."""

    def __init__(self) -> None:
        self.poller = Poller()
        self.pool = Sockets(self.poller)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.told: list[str] = []

    def connected(self, name: str, source: str = "") -> tuple[Socket, socket.socket]:
        """Take a socket and connect it; return both ends."""
        bound = ip_address(source) if source else None
        sock = self.pool.take(4, bound, lambda _: self.told.append(name))
        assert sock.connect_ex(self.listener.getsockname()) in (0, errno.EINPROGRESS)
        far, _ = self.listener.accept()
        return sock, far

    def dispatch(self) -> list[str]:
        """Let happen what has happened; return who was told."""
        self.poller.dispatch(self.poller.wait(0))
        told, self.told = self.told, []
        return told


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    with stage.listener:
        yield stage
    stage.pool.close()
    stage.poller.close()


def test_a_socket_given_back_resets_its_connection(stage: Stage) -> None:
    sock, far = stage.connected("a")
    with far:
        stage.pool.give_back(sock, 4, None)
        with pytest.raises(ConnectionResetError):
            far.recv(1)


def test_a_socket_given_back_serves_the_next_from_another_port(stage: Stage) -> None:
    first, far = stage.connected("a")
    far.sendall(b"for the first one")
    stage.pool.give_back(first, 4, None)
    second, other = stage.connected("b")
    with far, other:
        assert second is first
        assert other.getpeername() != far.getsockname()
        other.sendall(b"hello")
        assert second.recv(100) == b"hello"
        stage.pool.drop(second)


def test_events_are_told_to_the_present_user_only(stage: Stage) -> None:
    sock, far = stage.connected("a")
    with far:
        assert stage.dispatch() == ["a"]
        stage.pool.give_back(sock, 4, None)
        assert stage.dispatch() == []
    sock, far = stage.connected("b")
    with far:
        assert stage.dispatch() == ["b"]
        far.sendall(b"x")
        assert stage.dispatch() == ["b"]
        stage.pool.drop(sock)


def test_a_source_address_stays_with_its_sockets(stage: Stage) -> None:
    for _ in range(2):
        sock, far = stage.connected("a", "127.0.0.9")
        with far:
            assert far.getpeername()[0] == "127.0.0.9"
            stage.pool.give_back(sock, 4, ip_address("127.0.0.9"))
    sock, far = stage.connected("b")
    with far:
        assert far.getpeername()[0] == "127.0.0.1"
        stage.pool.drop(sock)


def test_a_socket_dropped_gently_lets_what_was_sent_arrive(stage: Stage) -> None:
    sock, far = stage.connected("a")
    with far:
        sock.send(b"goodbye")
        stage.pool.drop(sock, gently=True)
        assert far.recv(100) == b"goodbye"
        assert far.recv(100) == b""


def test_an_address_that_is_not_ours_is_an_error(stage: Stage) -> None:
    with pytest.raises(OSError, match="Cannot assign requested address"):
        stage.pool.take(4, ip_address("203.0.113.9"), lambda _: None)
