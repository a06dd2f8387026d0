"""Servers on loopback that tests steer: one thread each, no polling, ports kept over a restart."""

import selectors
import socket
import threading
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Self

BACKLOG = 1024


class CountingHttpServer:
    """An HTTP server that counts its requests by path and answers as it is told.

    `with CountingHttpServer() as server:` runs it. `port` 0 lets the kernel choose one, which
    `stop` and `start` then keep. Steered while it runs: `status` and `body` of the answers,
    `hang` (requests are counted, but answered only once it is false again). `requests` counts
    by path, `requests.total()` all; `connections` counts what was accepted.
    """

    def __init__(self, *, address: str = "127.0.0.1", port: int = 0) -> None:
        self.address = address
        self.port = port
        self.status = 200
        self.body = b"ok\n"
        self.requests: Counter[str] = Counter()
        self.connections = 0
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
