"""ICMP probes: one socket a family and source address, shared by all checks.

Whoever translates addresses on the way tells echoes apart by target and identifier alone, and
keeps what it learnt of a flow for as long as requests go on. So identifiers are random, and a
check that fails and fails takes another: as a new ping, it is a new flow (decision 22). On a
raw socket a check chooses; a ping socket has the one it is bound to, so that means another
socket, which all who need one share.
"""

import errno
import logging
import socket
import time
from collections.abc import Callable
from math import inf

from vpplb.model.check import CheckSpec
from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.model.vip import IPAddress
from vpplb.probers.errors import NO_SOURCE, SHORTAGE, describe_errno, shortage_error
from vpplb.probers.icmp_socket import REPLY, IcmpSocket
from vpplb.probers.poller import EventPoller

_log = logging.getLogger(__name__)

_SILENCE = ProbeResult(code=ProbeCode.L3TOUT, detail="no echo reply in time")

RENEW_AFTER = 3
"""Failures in a row after which a check takes another identifier."""
RENEW_EVERY = 10.0
"""Seconds that an identifier is tried at least: each is an entry in tables of connections."""


class IcmpSockets:
    """The ICMP sockets of a process. The log says once which kind they are.

    `clock` gives the seconds of a clock that never goes back.
    """

    def __init__(self, poller: EventPoller, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._poller = poller
        # The newest of each kind, and when it was opened; older ping sockets have users.
        self._sockets: dict[tuple[int, IPAddress | None], tuple[IcmpSocket, float]] = {}
        self._older: set[IcmpSocket] = set()
        self._told: set[str] = set()

    def join_socket(self, version: int, source: IPAddress | None) -> IcmpSocket | ProbeResult:
        """Return the newest socket, opened if need be, or why there is none.

        `leave_socket` it in the end. ProberShortage as it says.
        """
        found = self._sockets.get((version, source))
        joined = found[0] if found is not None else self._add_socket(version, source)
        if isinstance(joined, IcmpSocket):
            joined.users += 1
        return joined

    def leave_socket(self, left: IcmpSocket) -> None:
        """Close a socket that nobody uses any more, unless it is the newest of its kind."""
        left.users -= 1
        if not left.users and left in self._older:
            self._older.discard(left)
            left.close()

    def renew_socket(self, version: int, source: IPAddress | None, old: IcmpSocket) -> None:
        """See to it that the newest socket is another than this ping socket, if it is time."""
        newest, opened = self._sockets[version, source]
        due = newest is old and self.clock() - opened >= RENEW_EVERY
        if due and isinstance(self._add_socket(version, source), IcmpSocket):
            self._older.add(old)

    def close(self) -> None:
        for each in (*self._older, *(newest for newest, _ in self._sockets.values())):
            each.close()
        self._older.clear()
        self._sockets.clear()

    def _add_socket(self, version: int, source: IPAddress | None) -> IcmpSocket | ProbeResult:
        try:
            opened = self._open_socket(version, source)
        except PermissionError:
            self._log_once("ICMP: neither raw sockets nor ping sockets are permitted")
            return ProbeResult(
                code=ProbeCode.L3UNR, detail="ICMP sockets are not permitted to the prober"
            )
        except OSError as error:
            code = error.errno or 0
            if code in SHORTAGE:
                raise shortage_error(code) from error
            detail = NO_SOURCE if code == errno.EADDRNOTAVAIL else describe_errno(code)
            return ProbeResult(code=ProbeCode.L3UNR, detail=detail)
        kind = "raw" if opened.raw else "unprivileged ping"
        self._log_once(f"ICMP over IPv{version}: {kind} sockets")
        self._sockets[version, source] = opened, self.clock()
        return opened

    def _open_socket(self, version: int, source: IPAddress | None) -> IcmpSocket:
        return IcmpSocket(version, source, self._poller)

    def _log_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            _log.info(text)


class IcmpAttempt:
    """ICMP probes of one check. `done` is told each result that `begin_probe` did not return."""

    def __init__(
        self, spec: CheckSpec, sockets: IcmpSockets, done: Callable[[ProbeResult], None]
    ) -> None:
        self._version = spec.address.version
        self._source = spec.source
        family = socket.AF_INET if self._version == 4 else socket.AF_INET6
        # As the kernel's library writes it, which recvfrom's sender is compared with.
        self._target = socket.inet_ntop(family, spec.address.packed)
        self._sockets = sockets
        self._done = done
        self._socket: IcmpSocket | None = None
        self._identifier = self._tag = 0
        self._identified = -inf  # when it took its identifier
        self._failures = 0  # in a row, with this identifier

    def begin_probe(self) -> ProbeResult | None:
        """Send a request; the result if that failed at once. ProberShortage as it says."""
        if self._failures >= RENEW_AFTER:
            self._renew_identifier()
        found = self._socket
        if found is None:
            joined = self._sockets.join_socket(self._version, self._source)
            if isinstance(joined, ProbeResult):
                return joined
            self._socket = found = joined
            self._identifier = found.new_identifier()
            self._identified = self._sockets.clock()
        sent = found.send_request(self._identifier, self._target, self._on_result)
        if isinstance(sent, ProbeResult):
            return sent
        self._tag = sent
        return None

    def expire_probe(self) -> ProbeResult:
        self._failures += 1
        if self._socket is not None:
            self._socket.forget_request(self._tag)
        return _SILENCE

    def abort_probe(self) -> None:
        if self._socket is not None:
            self._socket.forget_request(self._tag)
            self._leave_socket(self._socket)

    def _on_result(self, result: ProbeResult) -> None:
        self._failures = 0 if result is REPLY else self._failures + 1
        self._done(result)

    def _renew_identifier(self) -> None:
        """Take another identifier from the next request on."""
        old = self._socket
        if old is None or self._sockets.clock() - self._identified < RENEW_EVERY:
            return
        self._failures = 0
        if not old.raw:
            self._sockets.renew_socket(self._version, self._source, old)
        self._leave_socket(old)

    def _leave_socket(self, left: IcmpSocket) -> None:
        self._socket = None
        self._sockets.leave_socket(left)
