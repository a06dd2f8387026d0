"""The process that probes.

`python -m vpplb.probers.worker --channel FD --in-hand FD [--netns NAME]`: it is told what to probe
over an inherited socket and reports over the same; it ends when the other end is closed, whatever
became of who held it.
"""

import argparse
import ctypes
import gc
import logging
import os
import resource
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from vpplb.probers.check_loop import CheckLoop
from vpplb.probers.worker_messages import (
    REPORT_EVERY,
    AssignChecks,
    CancelChecks,
    FollowProbes,
    MessageUnpacker,
    WorkerCondition,
    WorkerMessage,
    WorkerReport,
    map_note,
    pack_message,
)
from vpplb.reconcile.ports import ProbeRecord, VerdictReason

_log = logging.getLogger(__name__)

NAMED = Path("/var/run/netns")
"""Where ip-netns(8) keeps the named ones."""

_CLONE_NEWNET = 0x40000000


def namespace_path(name: str) -> Path:
    """Return the file of a namespace: `name` is a path when it has a slash, else a name."""
    return Path(name) if "/" in name else NAMED / name


class NetworkNamespace:
    """A network namespace by its name. One that is made anew under that name is another."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._path = namespace_path(name)
        self._entered: tuple[int, int] | None = None  # its device and inode

    def enter_namespace(self) -> None:
        """Move this thread into the namespace; sockets opened from now on belong to it.

        OSError when it does not exist or that is not permitted (CAP_SYS_ADMIN).
        """
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # os.setns came with Python 3.12.
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(descriptor, _CLONE_NEWNET) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), str(self._path))
            self._entered = _identity_of(os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def describe_loss(self) -> str | None:
        """Say that the name no longer stands for what was entered; None: it does.

        Costs a system call. What cannot be looked at is taken for unchanged.
        """
        try:
            found = _identity_of(self._path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return "is gone"
        except OSError:
            return None
        return None if found == self._entered else "was made anew"


def _identity_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


_CHUNK = 1 << 18
_ENTER_EVERY = 0.5  # a namespace that is not there
_SETTLING = 1.0  # whoever makes a namespace puts its links and addresses there next


class ReportChannel(logging.Handler):
    """The worker's end: messages in, reports out, and the log with them."""

    def __init__(self, sock: socket.socket, loop: CheckLoop) -> None:
        super().__init__()
        self.open = True
        self._socket = sock
        self._loop = loop
        self._unpacker = MessageUnpacker()
        self._outbox = bytearray()
        self._blocked = False
        self._lines: list[tuple[int, str]] = []
        sock.setblocking(False)
        loop.poller.add_descriptor(sock.fileno(), select.EPOLLIN, self._on_events)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append((record.levelno, self.format(record)))

    def send_report(self, *, with_statistics: bool) -> None:
        """Send what there is; a reader that is slow gets its statistics later, summed up."""
        verdicts, self._loop.verdicts = tuple(self._loop.verdicts), []
        changes, self._loop.changes = tuple(self._loop.changes), []
        lines, self._lines = tuple(self._lines), []
        stats, reasons, records = None, tuple[VerdictReason, ...](), tuple[ProbeRecord, ...]()
        late = self._loop.statistics.lateness.worst
        if with_statistics and not self._outbox:
            stats = self._loop.statistics.take_counts()
            reasons, self._loop.reasons = tuple(self._loop.reasons), []
            records = self._loop.take_records()
        if verdicts or changes or lines or with_statistics:  # an empty report says: still alive
            condition = (
                WorkerCondition(short=self._loop.count_short_checks(), lateness=late)
                if with_statistics
                else None
            )
            self._outbox += pack_message(
                WorkerReport(
                    verdicts=verdicts,
                    changes=changes,
                    reasons=reasons,
                    records=records,
                    stats=stats,
                    condition=condition,
                    log=lines,
                )
            )
            self._flush_outbox()

    def _on_events(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush_outbox()
        if events & ~select.EPOLLOUT:
            self._receive_messages()

    def _receive_messages(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.open = False
            return
        for message in self._unpacker.feed_bytes(data):
            self._obey_message(message)

    def _obey_message(self, message: WorkerMessage) -> None:
        match message:
            case AssignChecks(assignments=assignments):
                self._loop.assign_checks(assignments)
            case CancelChecks(backends=backends):
                self._loop.cancel_checks(backends)
                gone = frozenset(backends)
                self._loop.verdicts = [v for v in self._loop.verdicts if v.backend not in gone]
            case FollowProbes(backends=backends):
                self._loop.follow_probes(backends)
            case WorkerReport():
                raise ValueError("a worker is not reported to")

    def _flush_outbox(self) -> None:
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
            self._loop.poller.set_events(self._socket.fileno(), events)


def serve_checks(
    sock: socket.socket,
    namespace: NetworkNamespace | None = None,
    in_hand: memoryview | None = None,
) -> None:
    """Probe until the other end is closed, or the namespace is no longer the one of its name.

    What was found since then, in the old one, is not told.
    """
    loop = CheckLoop(in_hand=in_hand)
    channel = ReportChannel(sock, loop)
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
            if due or loop.verdicts or loop.changes:
                if namespace is not None and (lost := namespace.describe_loss()):
                    loop.verdicts, loop.changes, loop.reasons = [], [], []
                    _log.warning("network namespace %s %s", namespace.name, lost)
                    channel.send_report(with_statistics=False)
                    return
                channel.send_report(with_statistics=due)
            loop.run_once(report_at - now)
    finally:
        root.removeHandler(channel)
        loop.close()


def enter_when_there(namespace: NetworkNamespace, sock: socket.socket) -> bool:
    """Enter a namespace, as soon as it is there; False when the other end is closed instead."""
    told = ""
    while True:
        try:
            namespace.enter_namespace()
        except OSError as error:
            text = f"network namespace {namespace.name}: {error.strerror}"
            log = () if text == told else ((logging.ERROR, text),)
            told = text
            sock.sendall(
                pack_message(WorkerReport(condition=WorkerCondition(obstacle=text), log=log))
            )
            if ended_within(_ENTER_EVERY, sock):
                return False
        else:
            return not (told and ended_within(_SETTLING, sock))


def ended_within(seconds: float, sock: socket.socket) -> bool:
    """Wait; return whether the other end is closed."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(1000 * seconds))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="vpplb.probers.worker")
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--in-hand", type=int, required=True)
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
        namespace = NetworkNamespace(options.netns) if options.netns else None
        with suppress(ConnectionError):  # the other end is closed
            if namespace is None or enter_when_there(namespace, sock):
                serve_checks(sock, namespace, map_note(options.in_hand))
                ended_within(_SETTLING, sock)  # a successor enters the new one
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
