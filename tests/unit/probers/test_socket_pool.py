import errno
import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from vpplb.probers.poller import EventPoller
from vpplb.probers.socket_pool import Socket, SocketPools


class PoolStage:
    """Pools, the events that were told by whom, and a port that accepts."""

    def __init__(self) -> None:
        self.poller = EventPoller()
        self.pools = SocketPools(self.poller)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.told: list[str] = []

    def connected(self, name: str, source: str = "") -> tuple[Socket, socket.socket]:
        """Take a socket and connect it; return both ends."""
        bound = ip_address(source) if source else None
        sock = self.pools.get_pool(4, bound).take_socket(lambda _: self.told.append(name))
        assert sock.connect_ex(self.listener.getsockname()) in (0, errno.EINPROGRESS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # ends the handshake
        far, _ = self.listener.accept()
        return sock, far

    def dispatch(self) -> list[str]:
        """Let happen what has happened; return who was told."""
        self.poller.dispatch_events(self.poller.wait_for_events(0))
        told, self.told = self.told, []
        return told


@pytest.fixture
def stage() -> Iterator[PoolStage]:
    stage = PoolStage()
    with stage.listener:
        yield stage
    stage.pools.close()
    stage.poller.close()


def test_a_socket_given_back_resets_its_connection(stage: PoolStage) -> None:
    sock, far = stage.connected("a")
    with far:
        stage.pools.get_pool(4, None).return_socket(sock)
        with pytest.raises(ConnectionResetError):
            far.recv(1)


def test_a_server_accepts_no_connection_on_which_nothing_is_said(stage: PoolStage) -> None:
    stage.listener.settimeout(0)
    pool = stage.pools.get_pool(4, None)
    for _ in range(3):
        sock = pool.take_socket(lambda _: None)
        assert sock.connect_ex(stage.listener.getsockname()) in (0, errno.EINPROGRESS)
        pool.return_socket(sock)
        with pytest.raises(BlockingIOError):
            stage.listener.accept()


def test_a_socket_given_back_serves_the_next_from_another_port(stage: PoolStage) -> None:
    first, far = stage.connected("a")
    far.sendall(b"for the first one")
    stage.pools.get_pool(4, None).return_socket(first)
    second, other = stage.connected("b")
    with far, other:
        assert second is first
        assert other.getpeername() != far.getsockname()
        other.sendall(b"hello")
        assert second.recv(100) == b"hello"
        stage.pools.get_pool(4, None).drop_socket(second)


def test_events_are_told_to_the_present_user_only(stage: PoolStage) -> None:
    sock, far = stage.connected("a")
    with far:
        assert stage.dispatch() == ["a"]
        stage.pools.get_pool(4, None).return_socket(sock)
        assert stage.dispatch() == []
    sock, far = stage.connected("b")
    with far:
        assert stage.dispatch() == ["b"]
        far.sendall(b"x")
        assert stage.dispatch() == ["b"]
        stage.pools.get_pool(4, None).drop_socket(sock)


def test_a_source_address_stays_with_its_sockets(stage: PoolStage) -> None:
    for _ in range(2):
        sock, far = stage.connected("a", "127.0.0.9")
        with far:
            assert far.getpeername()[0] == "127.0.0.9"
            stage.pools.get_pool(4, ip_address("127.0.0.9")).return_socket(sock)
    sock, far = stage.connected("b")
    with far:
        assert far.getpeername()[0] == "127.0.0.1"
        stage.pools.get_pool(4, None).drop_socket(sock)


def test_a_socket_dropped_gently_lets_what_was_sent_arrive(stage: PoolStage) -> None:
    sock, far = stage.connected("a")
    with far:
        sock.send(b"goodbye")
        stage.pools.get_pool(4, None).drop_socket(sock, gently=True)
        assert far.recv(100) == b"goodbye"
        assert far.recv(100) == b""


def test_an_address_that_is_not_ours_is_an_error(stage: PoolStage) -> None:
    with pytest.raises(OSError, match="Cannot assign requested address"):
        stage.pools.get_pool(4, ip_address("203.0.113.9")).take_socket(lambda _: None)
