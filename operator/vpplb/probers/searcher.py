"""Searches of bodies that may take long: in a process of their own, so that no other check waits.

RE2 takes up to 10 ns for each byte of the text and each instruction of the expression (decision
9): for 64 KiB and the largest expressions that is a minute. What is sure to be short is searched
at once by whoever asks; the rest is sent here, the cheapest first. A search that has not ended
when its probe has to is ended with the process, and its expression is put aside for a while.

The process: `python -m vpplb.probers.searcher --channel FD`.
"""

import argparse
import ctypes
import heapq
import logging
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import BinaryIO

import re2

from vpplb.probers.body_regexp import LARGE, BodyRegexp
from vpplb.probers.child_command import make_command
from vpplb.probers.conversation import BodySearch
from vpplb.probers.poller import EventPoller

_log = logging.getLogger(__name__)

AT_ONCE = 400_000
"""Bytes times instructions that are searched at once: 4 ms at worst, mostly a hundredth of it."""
ASIDE = 60.0
"""Seconds for which an expression that took too long is not searched for."""
_JOB = struct.Struct("!II?")  # sizes of the expression and of the body, and `whole`
_FOUND, _NOT_FOUND = b"\1", b"\0"
_KEPT = 16  # compiled expressions: each takes up to 16 MiB
_KILLED_WITH_PARENT = 1  # PR_SET_PDEATHSIG, linux/prctl.h


class SearchJob:
    """A search that was ordered. `runs`: it has begun."""

    __slots__ = ("cost", "number", "runs", "search", "told")

    def __init__(
        self, search: BodySearch, told: Callable[[bool | None], None], number: int
    ) -> None:
        self.search: BodySearch | None = search  # None: nobody wants it any more
        self.told = told
        self.cost = search_cost(search)
        self.number = number
        self.runs = False

    def __lt__(self, other: "SearchJob") -> bool:
        return (self.cost, self.number) < (other.cost, other.number)


def search_cost(search: BodySearch) -> int:
    """Return how much work a search is at most, in bytes times instructions."""
    return search.regexp.size * len(search.body)


class BodySearchProcess:
    """The process that searches, started when it is needed."""

    def __init__(self, poller: EventPoller, clock: Callable[[], float]) -> None:
        self._poller = poller
        self._clock = clock
        self._waiting: list[SearchJob] = []
        self._ordered = 0
        self._running: SearchJob | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._aside: dict[str, float] = {}

    def is_aside(self, regexp: BodyRegexp) -> bool:
        """Say whether this expression took too long a while ago."""
        until = self._aside.get(regexp.pattern)
        if until is None:
            return False
        if self._clock() < until:
            return True
        del self._aside[regexp.pattern]
        return False

    def order_search(self, search: BodySearch, told: Callable[[bool | None], None]) -> SearchJob:
        """Have a body searched; `told` hears whether it was found, None: the search crashed."""
        self._ordered += 1
        job = SearchJob(search, told, self._ordered)
        heapq.heappush(self._waiting, job)
        self._send_next()
        return job

    def cancel_search(self, job: SearchJob, *, too_long: bool = False) -> None:
        """Forget a search, `too_long`: and its expression for a while. Nobody is told."""
        search, job.search = job.search, None
        if too_long and search is not None:
            self._put_aside(search)
        if job is self._running:
            self._end_process()
            self._send_next()

    def close(self) -> None:
        self._waiting.clear()
        self._end_process()

    def _put_aside(self, search: BodySearch) -> None:
        self._aside[search.regexp.pattern] = self._clock() + ASIDE
        _log.warning(
            "the search for responseRegexp %.100r in %d bytes took longer than its probe may:"
            " put aside for %.0f s",
            search.regexp.pattern,
            len(search.body),
            ASIDE,
        )

    def _send_next(self) -> None:
        """Send the cheapest search, unless one is running."""
        while self._waiting and self._running is None:
            job = heapq.heappop(self._waiting)
            if job.search is None:
                continue
            try:
                self._send_job(job, job.search)
            except OSError as error:
                _log.warning("a body could not be searched: %s", error)
                self._end_process()
                job.told(None)

    def _send_job(self, job: SearchJob, search: BodySearch) -> None:
        if self._channel is None:
            self._channel = self._start_process()
            self._poller.add_descriptor(self._channel.fileno(), select.EPOLLIN, self._on_answer)
        self._running, job.runs = job, True
        pattern = search.regexp.pattern.encode()
        head = _JOB.pack(len(pattern), len(search.body), search.whole)
        # It is idle, and its buffer has room for the largest body: this does not wait.
        self._channel.sendall(head + pattern + search.body)

    def _start_process(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*make_command("vpplb.probers.searcher"), "--channel", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        return ours

    def _on_answer(self, events: int) -> None:
        assert self._channel is not None
        said = self._channel.recv(1)
        job, self._running = self._running, None
        search = job.search if job is not None else None
        if not said:
            self._end_process()
            if search is not None:
                self._put_aside(search)
        if job is not None and search is not None:
            job.search = None
            job.told(said == _FOUND if said else None)
        self._send_next()

    def _end_process(self) -> None:
        self._running = None
        if self._channel is not None:
            self._poller.clear_handler(self._channel.fileno())
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _serve_searches(orders: BinaryIO, answers: socket.socket) -> None:
    """Search until the other end is closed."""
    compiled: dict[str, BodyRegexp] = {}
    while len(head := orders.read(_JOB.size)) == _JOB.size:
        pattern_size, body_size, whole = _JOB.unpack(head)
        pattern, body = orders.read(pattern_size).decode(), orders.read(body_size)
        if pattern not in compiled:
            if len(compiled) >= _KEPT:
                compiled.clear()
                re2.purge()
            compiled[pattern] = BodyRegexp(pattern, max_memory=LARGE)
        found = compiled[pattern].found_in(body, whole=whole)
        answers.send(_FOUND if found else _NOT_FOUND)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="vpplb.probers.searcher")
    parser.add_argument("--channel", type=int, required=True)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_KILLED_WITH_PARENT, signal.SIGKILL)
    os.nice(5)
    with socket.socket(fileno=options.channel) as sock, sock.makefile("rb") as orders:
        _serve_searches(orders, sock)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
