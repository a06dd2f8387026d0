"""Flows held open by a client, hundreds at once, each from a port of its own choice."""

import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping

from lab.namespaces import Namespace

CUT = "cut"
"""In place of a server's name: the flow was reset or closed."""
SILENT = "silent"
"""In place of a server's name: nothing came back in time."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_QUESTION = b"who are you?\n"

Answers = dict[int, str]
"""Who answered, or CUT or SILENT, by the client's port."""


class Flows:
    """Flows from ports of `host` to one address: TCP connections, or datagrams.

    A flow of datagrams cannot be cut: that it has moved shows in who answers.
    """

    def __init__(
        self,
        host: Namespace,
        source: str,
        to: tuple[str, int],
        kind: socket.SocketKind = socket.SOCK_STREAM,
    ) -> None:
        self._host, self._source, self._to = host, source, to
        self._family = socket.AF_INET6 if ":" in source else socket.AF_INET
        self._kind = kind
        self._sockets: dict[int, socket.socket] = {}

    def open(self, ports: Iterable[int], patience: float = 5.0) -> Answers:
        """Connect from these ports, at once, and say who answers on each.

        A flow that was there is dropped without a word to its server, so that the same 5-tuple
        can start anew.
        """
        wanted = list(ports)
        self.drop(wanted)
        self._sockets |= self._host.inside(lambda: {port: self._connect(port) for port in wanted})
        return self.ask(wanted, patience)

    def ask(self, ports: Iterable[int] | None = None, patience: float = 5.0) -> Answers:
        """Send a request over each open flow and say who answers. A cut flow stays cut."""
        asked = {port: self._sockets[port] for port in (self._sockets if ports is None else ports)}
        unsent = _when_ready(asked, select.POLLOUT, _send, patience)
        sent = {port: asked[port] for port, outcome in unsent.items() if outcome == ""}
        answers = _when_ready(sent, select.POLLIN, _receive, patience)
        return {port: answers.get(port, outcome) for port, outcome in sorted(unsent.items())}

    def drop(self, ports: Iterable[int] | None = None) -> None:
        """Forget flows; their servers get a reset."""
        for port in list(self._sockets) if ports is None else ports:
            if flow := self._sockets.pop(port, None):
                flow.close()

    def _connect(self, port: int) -> socket.socket:
        flow = socket.socket(self._family, self._kind)
        flow.setblocking(False)
        flow.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        flow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        flow.bind((self._source, port))
        flow.connect_ex(self._to)
        return flow


def _send(flow: socket.socket) -> str:
    flow.send(_QUESTION)
    return ""


def _receive(flow: socket.socket) -> str:
    answers = flow.recv(4096).decode().split()  # several, after questions that had no answer
    return answers[-1] if answers else CUT


def _when_ready(
    flows: Mapping[int, socket.socket],
    event: int,
    act: Callable[[socket.socket], str],
    patience: float,
) -> dict[int, str]:
    """Act on each flow as soon as it is ready; SILENT for those that are not in `patience` s."""
    poller = select.poll()
    ports = {flow.fileno(): port for port, flow in flows.items()}
    for descriptor in ports:
        poller.register(descriptor, event)
    outcomes = dict.fromkeys(flows, SILENT)
    deadline = time.monotonic() + patience
    while ports and (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poller.poll(left * 1000):
            poller.unregister(descriptor)
            port = ports.pop(descriptor)
            try:
                outcomes[port] = act(flows[port])
            except OSError:  # reset, refused, unreachable
                outcomes[port] = CUT
    return outcomes
