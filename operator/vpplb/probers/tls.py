"""TLS around a conversation, or a handshake alone.

By memory BIOs, not by an SSL socket: the handshake is then a conversation like the others,
driven by the same code and tested without a socket, and it can wrap the HTTP exchange. What
the copies cost is lost in the price of the handshake itself.
"""

import ssl
from dataclasses import replace
from functools import lru_cache

from vpplb.model.check import TlsSettings
from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.probers.conversation import BodySearch, ProbeConversation, ProbeLayer, Step
from vpplb.resources.pem import read_certificates

HANDSHAKE_DONE = "TLS handshake done"
CHUNK = 65536
LIMIT = 1 << 22
"""Bytes of a connection, whatever is in them: tickets, empty records, new keys, the answer."""
RESUMED = 15
"""Handshakes that resume the session of a full one."""

_DONE = ProbeResult(code=ProbeCode.L6OK, detail=HANDSHAKE_DONE)
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})


def _fail_handshake(detail: str) -> ProbeResult:
    return ProbeResult(code=ProbeCode.L6RSP, detail=detail)


class UnusableTls(Exception):
    """These settings make no context; the text says why, for people."""


@lru_cache(maxsize=1024)
def _make_context(insecure_skip_verify: bool, ca_bundle: str) -> ssl.SSLContext:
    # The server's name belongs to the connection, so checks that differ in it alone share a context
    # (the system's CA certificates take half a megabyte and 20 ms each time).
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # OpenSSL's own, as for HAProxy and curl: Python's leave out RSA key exchange and CBC.
    context.set_ciphers("DEFAULT")
    if insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if not ca_bundle:
        context.load_default_certs()
        return context
    # Who names an intermediate or the server's own certificate means that one.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=read_certificates(ca_bundle))
    except ValueError as error:
        raise UnusableTls("caBundle holds no certificates in PEM") from error
    return context


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return the context of these settings; built once. UnusableTls when they make none."""
    return _make_context(settings.insecure_skip_verify, settings.ca_bundle)


class SessionResumption:
    """The session that a check's next handshakes resume, if its server offers that.

    A resumed handshake shows no certificate. So only `RESUMED` of them follow a full one, and
    none a failure: an expired or exchanged certificate is seen that many probes later at most.
    """

    __slots__ = ("_left", "_session")

    def __init__(self) -> None:
        self._session: ssl.SSLSession | None = None
        self._left = 0

    def take_session(self) -> ssl.SSLSession | None:
        """Return what to resume in the next handshake; None: nothing."""
        if self._left == 0:
            return None
        self._left -= 1
        return self._session

    def on_probe_end(self, tls: ssl.SSLObject, *, passed: bool) -> None:
        """Take note of how a probe over this connection ended."""
        if not passed:
            self._left = 0
        elif not tls.session_reused:
            session = tls.session
            # TLS 1.3 sends its tickets after the handshake: there may be none yet.
            if session is not None and (session.has_ticket or tls.version() != "TLSv1.3"):
                self._session, self._left = session, RESUMED


class TlsConversation:
    """A handshake; then `inner` if there is one, else the probe has passed (L6OK).

    `name` is sent as SNI and verified, unless it is an address: that is only verified. Empty:
    neither, which the context must allow.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        name: str,
        resumption: SessionResumption,
        inner: ProbeConversation | None,
    ) -> None:
        self.layer = ProbeLayer.CONNECT
        self.parting = b""
        self._inner = inner
        self._shaken = False
        self._received = 0
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._resumption = resumption
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_hostname=name or None,
            session=resumption.take_session(),
        )

    def on_connected(self) -> Step:
        self.layer = ProbeLayer.TLS
        return self._continue_handshake()

    def on_data(self, data: bytes) -> Step:
        """Go on with the handshake, or with what is inside it."""
        self._received += len(data)
        if self._received > LIMIT:
            return ProbeResult(code=self.layer.broken, detail=f"more than {LIMIT} bytes of TLS")
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        if not self._shaken:
            return self._note_result(self._continue_handshake())
        return self._note_result(
            self._await_judgement() if self._inner is None else self._exchange_data()
        )

    def _note_result(self, step: Step) -> Step:
        if isinstance(step, ProbeResult):
            self._resumption.on_probe_end(self._tls, passed=step.code.is_pass)
        return step

    def _continue_handshake(self) -> Step:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return self._outgoing.read()
        except ssl.SSLError as error:
            return _fail_handshake(describe_tls_error(error))
        self._shaken = True
        if self._inner is not None:
            return self._pass_on(self._inner, self._inner.on_connected())
        flight = self._outgoing.read()
        if self._tls.version() == "TLSv1.3" and not self._tls.session_reused and _has_two(flight):
            self.layer = ProbeLayer.JUDGED
            return flight
        self.parting = flight  # or the server would log a broken handshake
        return _DONE

    def _await_judgement(self) -> Step:
        """Hear what the server says to a client without a certificate; a ticket is a yes."""
        try:
            self._tls.read(CHUNK)
        except ssl.SSLWantReadError:
            session = self._tls.session
            return _DONE if session is not None and session.has_ticket else b""
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return _fail_handshake("connection closed for want of a client certificate")
        except ssl.SSLError as error:
            return _fail_handshake(describe_tls_error(error))
        return _DONE

    def _exchange_data(self) -> Step:
        assert self._inner is not None
        while True:
            try:
                data = self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                return self._outgoing.read()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                data = b""
            except ssl.SSLError as error:
                return ProbeResult(code=self.layer.broken, detail=describe_tls_error(error))
            step = self._inner.on_data(data)
            if not isinstance(step, bytes):
                return step if isinstance(step, ProbeResult) else self._wrap_search(step)
            if not data:
                return self._outgoing.read()  # it was told, and says the rest itself
            self._pass_on(self._inner, step)

    def _wrap_search(self, search: BodySearch) -> BodySearch:
        """Go on with what has come meanwhile when the search has ended."""

        def then(found: bool) -> Step:
            step = search.then(found)
            if isinstance(step, BodySearch):
                return self._wrap_search(step)
            return (
                self._note_result(step) if isinstance(step, ProbeResult) else self._exchange_data()
            )

        return replace(search, then=then)

    def _pass_on(self, inner: ProbeConversation, step: Step) -> Step:
        self.layer = inner.layer
        if not isinstance(step, bytes):
            return step
        if step:
            self._tls.write(step)
        return self._outgoing.read()


def _has_two(flight: bytes) -> bool:
    """Say whether the client's last flight of TLS 1.3 has more than its Finished message.

    It is then preceded by a Certificate, an empty one: the server has asked for ours. What it
    thinks of that it says after the handshake only (RFC 8446, 4.4.2.4). A record's header: type
    (23), version, length.
    """
    records = at = 0
    while at + 5 <= len(flight):
        records += flight[at] == 23
        at += 5 + int.from_bytes(flight[at + 3 : at + 5], "big")
    return records > 1


def describe_tls_error(error: ssl.SSLError) -> str:
    """Say what went wrong as people would: `certificate has expired`, `not TLS`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        message = error.verify_message.removesuffix(".").replace("self signed", "self-signed")
        return message.removeprefix("Hostname mismatch, ").removeprefix("IP address mismatch, ")
    if isinstance(error, ssl.SSLEOFError):
        return "connection closed during the TLS handshake"
    reason = error.reason or "TLS failed"
    if reason in _NOT_TLS:
        return "the answer is not TLS"
    return reason.lower().replace("_", " ")
