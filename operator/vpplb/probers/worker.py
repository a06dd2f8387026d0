"""The process that probes: `python -m vpplb.probers.worker --channel FD [--netns NAME]`.

It is told what to probe over an inherited socket and reports over the same; it ends when the
other end is closed, whatever became of who held it.
"""

import argparse
import gc
import logging
import resource
import select
import signal
import socket
import sys
import time

from vpplb.probers import netns
from vpplb.probers.loop import CheckLoop
from vpplb.probers.wire import Assign, Cancel, Message, Report, Unpacker, pack

REPORT_EVERY = 1.0
_CHUNK = 1 << 18


class Channel(logging.Handler):
    """The worker's end: messages in, reports out, and the log with them."""

    def __init__(self, sock: socket.socket, loop: CheckLoop) -> None:
        super().__init__()
        self.open = True
        self._socket = sock
        self._loop = loop
        self._unpacker = Unpacker()
        self._outbox = bytearray()
        self._blocked = False
        self._lines: list[tuple[int, str]] = []
        sock.setblocking(False)
        loop.poller.watch(sock.fileno(), select.EPOLLIN, self._happened)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a log record for the next report."""
        self._lines.append((record.levelno, self.format(record)))

    def report(self, *, with_statistics: bool) -> None:
        """Send what there is; a reader that is slow gets its statistics later, summed up."""
        verdicts, self._loop.verdicts = tuple(self._loop.verdicts), []
        turns, self._loop.turns = tuple(self._loop.turns), []
        lines, self._lines = tuple(self._lines), []
        stats = None
        if with_statistics and not self._outbox:
            stats = self._loop.statistics.take()
        if verdicts or turns or lines or with_statistics:  # an empty report says: still alive
            short = self._loop.short() if with_statistics else None
            self._outbox += pack(
                Report(verdicts=verdicts, turns=turns, stats=stats, short=short, log=lines)
            )
            self._flush()

    def _happened(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        if events & ~select.EPOLLOUT:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.open = False
            return
        for message in self._unpacker.feed(data):
            self._obey(message)

    def _obey(self, message: Message) -> None:
        match message:
            case Assign(assignments=assignments):
                self._loop.assign(assignments)
            case Cancel(backends=backends):
                self._loop.cancel(backends)
                gone = frozenset(backends)
                self._loop.verdicts = [v for v in self._loop.verdicts if v.backend not in gone]
            case Report():
                raise ValueError("a worker is not reported to")

    def _flush(self) -> None:
        try:
            while self._outbox:
                del self._outbox[: self._socket.send(self._outbox)]
        except BlockingIOError:
            pass
        except OSError:
            self.open = False
            return
        blocked = bool(self._outbox)
        if blocked is not self._blocked:
            self._blocked = blocked
            events = select.EPOLLIN | select.EPOLLOUT if blocked else select.EPOLLIN
            self._loop.poller.modify(self._socket.fileno(), events)


def serve(sock: socket.socket) -> None:
    """Probe until the other end is closed."""
    loop = CheckLoop()
    channel = Channel(sock, loop)
    root = logging.getLogger()
    root.addHandler(channel)
    root.setLevel(logging.INFO)
    report_at = time.monotonic() + REPORT_EVERY
    try:
        while channel.open:
            now = time.monotonic()
            due = now >= report_at
            if due:
                report_at = now + REPORT_EVERY
            if due or loop.verdicts or loop.turns:
                channel.report(with_statistics=due)
            loop.turn(report_at - now)
    finally:
        root.removeHandler(channel)
        loop.close()


def main(arguments: list[str]) -> int:
    """Run a worker; 1 when the network namespace cannot be entered."""
    parser = argparse.ArgumentParser(prog="vpplb.probers.worker")
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--netns", default="")
    options = parser.parse_args(arguments)
    # Ctrl-C reaches the whole process group; when to end is the parent's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # What is loaded stays; the collector need not walk it, and probes leave no cycles.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    with socket.socket(fileno=options.channel) as sock:
        if options.netns:
            try:
                netns.enter(options.netns)
            except OSError as error:
                text = f"network namespace {options.netns}: {error.strerror}"
                sock.sendall(pack(Report(log=((logging.ERROR, text),))))
                return 1
        serve(sock)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
