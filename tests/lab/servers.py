"""Servers on loopback that tests steer: one thread each, no polling, ports kept over a restart."""

import selectors
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Self

BACKLOG = 1024


class CountingHttpServer:
    """An HTTP server that counts its requests by path and answers as it is told.

    `with CountingHttpServer() as server:` runs it. `port` 0 lets the kernel choose one, which
    `stop` and `start` then keep. Steered while it runs: `status` and `body` of the answers,
    `hang` (requests are counted, but answered only once it is false again). `requests` counts
    by path, `requests.total()` all; `connections` counts what was accepted; `waiting` is how many
    requests are there without an answer, one that was given up not counted.
    """

    def __init__(self, *, address: str = "127.0.0.1", port: int = 0) -> None:
        self.address = address
        self.port = port
        self.status = 200
        self.body = b"ok\n"
        self.requests: Counter[str] = Counter()
        self.connections = 0
        self.waiting = 0
        self._hang = False
        self._thread: threading.Thread | None = None
        self._wake: socket.socket | None = None

    @property
    def hang(self) -> bool:
        """Whether requests are left unanswered."""
        return self._hang

    @hang.setter
    def hang(self, value: bool) -> None:
        self._hang = value
        if self._wake is not None:
            self._wake.send(b"h")

    def start(self) -> None:
        """Listen, on the same port as before; nothing when it runs already."""
        if self._thread is not None:
            return
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.address, self.port))
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        self._wake, woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, args=(listener, woken), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection; nothing when it is stopped already."""
        thread, wake = self._thread, self._wake
        self._thread = self._wake = None
        if wake is not None:
            wake.close()
        if thread is not None:
            thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self, listener: socket.socket, woken: socket.socket) -> None:
        clients: dict[socket.socket, bytes] = {}
        with selectors.DefaultSelector() as selector, listener, woken:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if woken in ready and not woken.recv(64):
                    break
                for sock in ready:
                    if sock is listener:
                        self._accept(listener, clients, selector)
                    elif isinstance(sock, socket.socket) and sock in clients:
                        self._receive(sock, clients, selector)
                if not self._hang:
                    self._answer(clients, selector)
                self.waiting = sum(b"\r\n\r\n" in seen for seen in clients.values())
            for client in clients:
                client.close()

    def _accept(
        self,
        listener: socket.socket,
        clients: dict[socket.socket, bytes],
        selector: selectors.BaseSelector,
    ) -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            client.setblocking(False)
            self.connections += 1
            clients[client] = b""
            selector.register(client, selectors.EVENT_READ)

    def _receive(
        self,
        client: socket.socket,
        clients: dict[socket.socket, bytes],
        selector: selectors.BaseSelector,
    ) -> None:
        try:
            data = client.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._drop(client, clients, selector)
            return
        complete = b"\r\n\r\n" in clients[client]
        clients[client] += data
        if b"\r\n\r\n" in clients[client] and not complete:
            self.requests[clients[client].split(b" ", 2)[1].decode()] += 1

    def _answer(
        self, clients: dict[socket.socket, bytes], selector: selectors.BaseSelector
    ) -> None:
        head = (
            f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, 'Status')}\r\n"
            f"Content-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        ).encode()
        for client in [each for each, seen in clients.items() if b"\r\n\r\n" in seen]:
            body = b"" if clients[client].startswith(b"HEAD ") else self.body
            with suppress(OSError):
                client.sendall(head + body)
            self._drop(client, clients, selector)

    @staticmethod
    def _drop(
        client: socket.socket,
        clients: dict[socket.socket, bytes],
        selector: selectors.BaseSelector,
    ) -> None:
        del clients[client]
        selector.unregister(client)
        client.close()


_PHRASES = {
    200: "OK",
    204: "No Content",
    302: "Found",
    404: "Not Found",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


Script = Callable[[socket.socket], None]
"""What a server does with one connection; closing it is not its affair."""


def answering(answer: bytes) -> Script:
    """Read a request, or some of it, send the answer, and hang up."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    return script


def hanging_up(connection: socket.socket) -> None:
    """Read some of the request and close without an answer."""
    connection.recv(65536)


def silent(connection: socket.socket) -> None:
    """Take everything, say nothing, until the client leaves."""
    while connection.recv(65536):
        pass


def resetting(connection: socket.socket) -> None:
    """Read some of the request and break the connection."""
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def half_closing(answer: bytes) -> Script:
    """Answer, close the sending side only, and listen on until the client leaves."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        silent(connection)

    return script


def endless(begin: bytes, more: bytes) -> Script:
    """Answer without end, until the client leaves."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(begin)
        while True:
            connection.sendall(more)

    return script


def trickling(begin: bytes, more: bytes, pause: float) -> Script:
    """Answer without end, but slowly: a piece, a pause of so many seconds, and so on."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(begin)
        while True:
            connection.sendall(more)
            time.sleep(pause)

    return script


def dripping(answer: bytes) -> Script:
    """Send the answer byte by byte, then nothing more until the client leaves."""

    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in answer:
            connection.sendall(bytes([byte]))
        silent(connection)

    return script


class ScriptedServer:
    """A server that runs a script on each connection, one after the other.

    `with ScriptedServer(answering(b"…")) as server:`; with `tls`, after a handshake. `peers`
    lists the addresses that connected, `ports` theirs.
    """

    def __init__(
        self, script: Script, *, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self.peers: list[str] = []
        self.ports: list[int] = []
        self._script = script
        self._tls = tls
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.bind((address, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._listener.listen(BACKLOG)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            self.peers.append(peer[0])
            self.ports.append(peer[1])
            with suppress(OSError), connection:
                if self._tls is None:
                    self._script(connection)
                else:
                    with self._tls.wrap_socket(connection, server_side=True) as wrapped:
                        self._script(wrapped)


@contextmanager
def black_hole() -> Iterator[int]:
    """Yield a port on 127.0.0.1 that answers no connection attempt: its backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as clients:
        port: int = listener.getsockname()[1]
        for _ in range(3):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        yield port
