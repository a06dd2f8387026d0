"""Drives conversations over TCP sockets: one attempt after the other of one check."""

import errno
import select
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import assert_never

from vpplb.model.check import CheckSpec, HttpProbe, TcpProbe, TlsSettings
from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.model.vip import IPAddress
from vpplb.probers.body_regexp import UnusableRegexp
from vpplb.probers.conversation import (
    BodySearch,
    ProbeConversation,
    RefusedConversation,
    Step,
    TcpConversation,
)
from vpplb.probers.errors import (
    NO_ADDRESS,
    NO_PORT,
    NO_SOURCE,
    NOBODY_LISTENS,
    SHORTAGE,
    UNANSWERED,
    ProberShortage,
    ShortageKind,
    describe_errno,
    shortage_error,
)
from vpplb.probers.http import HttpCheck, HttpConversation
from vpplb.probers.probe_resources import ProbeResources
from vpplb.probers.searcher import AT_ONCE, SearchJob, search_cost
from vpplb.probers.socket_pool import Socket, has_address_for
from vpplb.probers.tls import SessionResumption, TlsConversation, UnusableTls, client_context

_IN_PROGRESS = (0, errno.EINPROGRESS)
_NO_PORT = (errno.EADDRNOTAVAIL, errno.EAGAIN)  # connect(2)
_AT_CONNECT = {errno.EADDRNOTAVAIL: NO_ADDRESS}
# The source was there when the socket was bound, and is no longer.
_AT_CONNECT_BOUND = {errno.EINVAL: NO_SOURCE}
_FAILED = select.EPOLLERR | select.EPOLLHUP
_ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_CHUNK = 16384
_READS_A_TURN = 2
"""A server that always has more to say does not keep the others waiting."""
_NONE = TcpConversation()
_TOO_LONG = ProbeResult(
    code=ProbeCode.L7TOUT, detail="the search for responseRegexp takes too long: simplify it"
)
_CRASHED = ProbeResult(code=ProbeCode.L7RSP, detail="the search for responseRegexp crashed")

Exchange = Callable[[HttpCheck], ProbeConversation]


class StreamAttempt:
    """TCP, TLS or HTTP probes of one check.

    `done` is told each result that `begin_probe` or `expire_probe` did not return. `generation`
    is the check's. `exchange` makes the conversation of HTTP.
    """

    def __init__(
        self,
        spec: CheckSpec,
        probe: TcpProbe | HttpProbe,
        resources: ProbeResources,
        done: Callable[[ProbeResult], None],
        generation: int,
        exchange: Exchange = HttpConversation,
    ) -> None:
        self._version = spec.address.version
        self._source = spec.source
        self._target = (str(spec.address), probe.port)
        # After a bare TLS handshake a reset could overtake the end of it, and the server would
        # count a failure.
        self._gentle = isinstance(probe, TcpProbe) and probe.tls is not None
        self._make_conversation = conversation_factory(probe, spec.address, exchange)
        self._pool = resources.sockets.get_pool(self._version, spec.source)
        self._searcher = resources.searcher
        self._in_hand = resources.in_hand
        self._generation = generation
        self._job: SearchJob | None = None
        self._may_meet_itself = resources.sockets.may_choose_port(probe.port)
        self._done = done
        self._socket: Socket | None = None
        self._conversation: ProbeConversation = _NONE
        self._connected = False
        self._outbox = b""

    def begin_probe(self) -> ProbeResult | None:
        """Start to connect; the result if that ended at once. ProberShortage as it says."""
        self._conversation = self._make_conversation()
        self._connected = False
        self._outbox = b""
        try:
            sock = self._pool.take_socket(self._on_events)
        except OSError as error:
            return self._refuse_connection(error.errno or 0, {errno.EADDRNOTAVAIL: NO_SOURCE})
        self._socket = sock
        code = sock.connect_ex(self._target)
        if code in _IN_PROGRESS:
            return None
        if code in _NO_PORT and (self._source or has_address_for(self._version, self._target)):
            self._close_socket()
            raise ProberShortage(ShortageKind.PORTS, NO_PORT)
        return self._refuse_connection(
            code, _AT_CONNECT if self._source is None else _AT_CONNECT_BOUND
        )

    def expire_probe(self) -> ProbeResult:
        """Give up for lack of time; the result says how far it came. ProberShortage as it says."""
        job, self._job = self._job, None
        if job is None:
            return self._end_probe(self._conversation.layer.timeout)
        self._searcher.cancel_search(job, too_long=job.runs)
        self._close_socket()
        if not job.runs:
            raise ProberShortage(
                ShortageKind.CPU, "searches for other expressions took all the time"
            )
        return _TOO_LONG

    def abort_probe(self) -> None:
        self._close_socket()

    def _refuse_connection(self, code: int, meanings: Mapping[int, str]) -> ProbeResult:
        if code in SHORTAGE:
            self._close_socket()
            raise shortage_error(code)
        return self._break_probe(code, meanings.get(code))

    def _on_events(self, events: int) -> None:
        sock = self._socket
        assert sock is not None
        if self._job is not None:
            return  # what has come is being searched; the rest is asked for again
        self._in_hand[0] = self._generation
        if not self._connected:
            if events & _FAILED:
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    self._done(self._break_probe(code))
                    return
            self._connected = True
            if self._may_meet_itself and sock.getsockname()[:2] == self._target:
                self._done(self._break_probe(errno.ECONNREFUSED, NOBODY_LISTENS))
                return
            if self._take_step(self._conversation.on_connected()):
                return
        elif self._outbox and events & select.EPOLLOUT and self._flush_outbox(sock):
            return
        if events & (select.EPOLLIN | _ENDED):
            self._receive_data(sock, ended=bool(events & _ENDED))

    def _receive_data(self, sock: Socket, *, ended: bool) -> None:
        """Read until nothing is left, or a turn's share: the edge is told once, then asked for.

        Less than was asked for means nothing is left (epoll(7)), unless the peer has closed.
        """
        for _ in range(_READS_A_TURN):
            try:
                data = sock.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError as error:
                self._done(self._break_probe(error.errno or 0))
                return
            if self._take_step(self._conversation.on_data(data)):
                return
            if not data or (len(data) < _CHUNK and not ended):
                return
        self._pool.repeat_events(sock)

    def _take_step(self, step: Step) -> bool:
        """Do what the conversation says; return whether nothing is to be read for now."""
        while not isinstance(step, bytes):
            if isinstance(step, ProbeResult):
                self._done(self._end_probe(step))
                return True
            if search_cost(step) > AT_ONCE:
                return self._order_search(step)
            step = step.then(step.regexp.found_in(step.body, whole=step.whole))
        if not step:
            return False
        self._outbox += step
        sock = self._socket
        return sock is None or self._flush_outbox(sock)

    def _order_search(self, search: BodySearch) -> bool:
        """Have another process search."""
        if self._searcher.is_aside(search.regexp):
            self._done(self._end_probe(_TOO_LONG))
        else:
            self._job = self._searcher.order_search(search, partial(self._on_searched, search))
        return True

    def _on_searched(self, search: BodySearch, found: bool | None) -> None:
        self._in_hand[0] = self._generation
        self._job = None
        sock = self._socket
        if found is None:
            self._done(self._end_probe(_CRASHED))
        elif not self._take_step(search.then(found)) and sock is not None:
            self._pool.repeat_events(sock)

    def _flush_outbox(self, sock: Socket) -> bool:
        """Send what can be sent; return whether the attempt has ended."""
        try:
            self._outbox = self._outbox[sock.send(self._outbox) :]
        except BlockingIOError:
            return False
        except OSError as error:
            # The answer may be there already: a server may answer and close without reading on.
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                self._done(self._break_probe(error.errno or 0))
                return True
            self._outbox = b""
            self._receive_data(sock, ended=True)
            return self._socket is None
        return False

    def _break_probe(self, code: int, meaning: str | None = None) -> ProbeResult:
        result = ProbeResult(
            code=self._conversation.layer.broken,
            detail=meaning or describe_errno(code),
            unanswered=code in UNANSWERED,
        )
        return self._end_probe(result)

    def _end_probe(self, result: ProbeResult) -> ProbeResult:
        if self._gentle and self._socket is not None and self._conversation.parting:
            with suppress(OSError):  # the probe has its result; this is courtesy
                self._socket.send(self._conversation.parting)
        self._close_socket()
        return result

    def _close_socket(self) -> None:
        self._conversation = _NONE  # that of TLS is large
        if self._job is not None:
            self._searcher.cancel_search(self._job)
            self._job = None
        sock, self._socket = self._socket, None
        if sock is None:
            return
        if self._connected and not self._gentle:
            self._pool.return_socket(sock)
        else:
            self._pool.drop_socket(sock, gently=self._gentle)


def conversation_factory(
    probe: TcpProbe | HttpProbe, address: IPAddress, exchange: Exchange = HttpConversation
) -> Callable[[], ProbeConversation]:
    """Return what makes a new conversation for each probe of one check.

    Settings that cannot be used (which validation should have refused) give conversations that
    say so, rather than errors: one check never holds up another.
    """
    try:
        return _make_factory(probe, address, exchange)
    except UnusableRegexp as error:
        result = ProbeResult(code=ProbeCode.L7RSP, detail=str(error))
    except UnusableTls as error:
        result = ProbeResult(code=ProbeCode.L6RSP, detail=str(error))
    return lambda: RefusedConversation(result)


def _make_factory(
    probe: TcpProbe | HttpProbe, address: IPAddress, exchange: Exchange
) -> Callable[[], ProbeConversation]:
    tls = probe.tls
    match probe:
        case TcpProbe():
            return TcpConversation if tls is None else _in_tls(tls, address, None)
        case HttpProbe():
            make = partial(exchange, HttpCheck(probe, address))
            return make if tls is None else _in_tls(tls, address, make)
        case _:
            assert_never(probe)


def _in_tls(
    tls: TlsSettings, address: IPAddress, inner: Callable[[], ProbeConversation] | None
) -> Callable[[], ProbeConversation]:
    context = client_context(tls)
    # Without a name the address is verified; when nothing is verified none is needed.
    # The dot of a full name is none of SNI's (RFC 6066, 3), nor of a certificate's.
    name = tls.server_name.removesuffix(".")
    name = name or ("" if tls.insecure_skip_verify else str(address))
    resumption = SessionResumption()

    def make() -> ProbeConversation:
        return TlsConversation(context, name, resumption, inner() if inner is not None else None)

    try:
        make()
    except ValueError as error:
        raise UnusableTls(f"serverName {name!r} cannot be used") from error
    return make
