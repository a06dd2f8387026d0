import ssl
from collections.abc import Callable
from ipaddress import ip_address

import pytest

from fuzz.conversations import settled
from lab.authority import Authority, self_signed_server, server_context
from vpplb.model.check import HttpProbe, TcpProbe, TlsSettings
from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.probers.conversation import ProbeConversation, ProbeLayer, Step
from vpplb.probers.stream_probe import conversation_factory
from vpplb.probers.tls import LIMIT, RESUMED, UnusableTls, client_context

ADDRESS = ip_address("192.0.2.7")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


class SocketlessServer:
    """A TLS server without a socket; answers the first request with ANSWER, then says goodbye."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self.resumed = False
        self.shaken = False
        self.request = b""

    def feed(self, data: bytes) -> bytes:
        """Take what the client sent; return what it is to receive."""
        self._in.write(data)
        try:
            if not self.shaken:
                self._tls.do_handshake()
                self.shaken = True
                self.resumed = bool(self._tls.session_reused)
            while not self.request.endswith(b"\r\n\r\n"):
                self.request += self._tls.read(65536)
            self._tls.write(ANSWER)
        except ssl.SSLError:
            pass  # it wants more, or the client gave up
        return self._out.read()


def talk(conversation: ProbeConversation, server: SocketlessServer, *, size: int = 65536) -> Step:
    """Let them talk until the client ends or both wait; the client hears `size` bytes at a time."""
    step = settled(conversation.on_connected())
    while not isinstance(step, ProbeResult) and step:
        heard = server.feed(step)
        step = b""
        for at in range(0, len(heard), size):
            said = settled(conversation.on_data(heard[at : at + size]))
            if isinstance(said, ProbeResult):
                server.feed(conversation.parting)
                return said
            step += said
    return step


def handshake(tls: TlsSettings) -> Callable[[], ProbeConversation]:
    return conversation_factory(TcpProbe(port=443, tls=tls), ADDRESS)


def trusting(authority: Authority, name: str = "") -> TlsSettings:
    return TlsSettings(server_name=name, ca_bundle=authority.pem)


@pytest.mark.parametrize("size", [1, 65536])
def test_a_handshake_alone_passes_and_is_completed_for_the_server_too(
    authority: Authority, size: int
) -> None:
    server = SocketlessServer(authority.server("a.example"))
    conversation = handshake(trusting(authority, "a.example"))()
    assert talk(conversation, server, size=size) == ProbeResult(
        code=ProbeCode.L6OK, detail="TLS handshake done"
    )
    assert server.shaken


@pytest.mark.parametrize("size", [1, 65536])
def test_http_goes_on_inside(authority: Authority, size: int) -> None:
    probe = HttpProbe(port=443, tls=trusting(authority), response_regexp="^ok$")
    server = SocketlessServer(authority.server("192.0.2.7"))
    conversation = conversation_factory(probe, ADDRESS)()
    assert talk(conversation, server, size=size) == ProbeResult(
        code=ProbeCode.L7OK, detail="200 OK"
    )
    assert server.request.startswith(b"GET / HTTP/1.1\r\nHost: 192.0.2.7\r\n")
    assert conversation.layer is ProbeLayer.ANSWER


def test_without_a_name_the_address_is_verified(authority: Authority) -> None:
    conversation = handshake(trusting(authority))()
    assert talk(conversation, SocketlessServer(authority.server("192.0.2.8"))) == ProbeResult(
        code=ProbeCode.L6RSP, detail="certificate is not valid for '192.0.2.7'"
    )


def test_a_certificate_of_another_name_fails(authority: Authority) -> None:
    conversation = handshake(trusting(authority, "a.example"))()
    assert talk(conversation, SocketlessServer(authority.server("b.example"))) == ProbeResult(
        code=ProbeCode.L6RSP, detail="certificate is not valid for 'a.example'"
    )


def test_an_expired_certificate_fails(authority: Authority) -> None:
    conversation = handshake(trusting(authority, "a.example"))()
    assert talk(
        conversation, SocketlessServer(authority.server("a.example", days=-1))
    ) == ProbeResult(code=ProbeCode.L6RSP, detail="certificate has expired")


def test_a_self_signed_certificate_fails(authority: Authority) -> None:
    conversation = handshake(trusting(authority, "a.example"))()
    assert talk(conversation, SocketlessServer(self_signed_server("a.example"))) == ProbeResult(
        code=ProbeCode.L6RSP, detail="self-signed certificate"
    )


def test_an_unknown_authority_fails(authority: Authority) -> None:
    conversation = handshake(TlsSettings(server_name="a.example"))()
    assert talk(conversation, SocketlessServer(authority.server("a.example"))) == ProbeResult(
        code=ProbeCode.L6RSP, detail="unable to get local issuer certificate"
    )


@pytest.mark.parametrize("name", ["", "a.example"])
def test_insecure_skip_verify_takes_any_certificate(name: str) -> None:
    conversation = handshake(TlsSettings(server_name=name, insecure_skip_verify=True))()
    step = talk(conversation, SocketlessServer(self_signed_server("other.example")))
    assert isinstance(step, ProbeResult)
    assert step.code is ProbeCode.L6OK


def test_the_server_name_is_sent(authority: Authority) -> None:
    names: list[str | None] = []
    context = authority.server("a.example")
    context.sni_callback = lambda _tls, name, _context: names.append(name)
    talk(handshake(trusting(authority, "a.example"))(), SocketlessServer(context))
    assert names == ["a.example"]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the answer is not TLS"),
        (b"", "connection closed during the TLS handshake"),
    ],
)
def test_what_is_not_tls_fails(answer: bytes, detail: str) -> None:
    conversation = handshake(TlsSettings(insecure_skip_verify=True))()
    conversation.on_connected()
    assert conversation.layer is ProbeLayer.TLS
    assert conversation.on_data(answer) == ProbeResult(code=ProbeCode.L6RSP, detail=detail)


def test_a_full_name_is_asked_for_and_verified_without_its_dot(authority: Authority) -> None:
    names: list[str | None] = []
    context = authority.server("a.example")
    context.sni_callback = lambda _tls, name, _context: names.append(name)
    step = talk(handshake(trusting(authority, "a.example."))(), SocketlessServer(context))
    assert step == ProbeResult(code=ProbeCode.L6OK, detail="TLS handshake done")
    assert names == ["a.example"]


@pytest.mark.parametrize("ciphers", ["AES256-GCM-SHA384", "AES128-SHA", "ECDHE-RSA-AES256-SHA"])
def test_servers_of_some_years_ago_are_reached(ciphers: str) -> None:
    context = self_signed_server("a.example", rsa=True)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    step = talk(handshake(TlsSettings(insecure_skip_verify=True))(), SocketlessServer(context))
    assert step == ProbeResult(code=ProbeCode.L6OK, detail="TLS handshake done")


def test_the_certificate_of_the_server_can_be_what_is_trusted(authority: Authority) -> None:
    pem = authority.server_pem("a.example")
    tls = TlsSettings(server_name="a.example", ca_bundle=pem.decode().partition("-----BEGIN P")[0])
    step = talk(handshake(tls)(), SocketlessServer(server_context(pem)))
    assert step == ProbeResult(code=ProbeCode.L6OK, detail="TLS handshake done")


class TestClientCertificate:
    """The server asks for one, and there is none."""

    @staticmethod
    def asking(authority: Authority, *, required: bool, tickets: int = 2) -> SocketlessServer:
        context = authority.server("192.0.2.7")
        context.num_tickets = tickets
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        return SocketlessServer(context)

    @pytest.mark.parametrize("size", [1, 65536])
    def test_a_server_that_insists_fails(self, authority: Authority, size: int) -> None:
        conversation = handshake(trusting(authority))()
        step = talk(conversation, self.asking(authority, required=True), size=size)
        assert step == ProbeResult(code=ProbeCode.L6RSP, detail="tlsv13 alert certificate required")

    @pytest.mark.parametrize("size", [1, 65536])
    def test_a_server_that_does_not_passes(self, authority: Authority, size: int) -> None:
        conversation = handshake(trusting(authority))()
        step = talk(conversation, self.asking(authority, required=False), size=size)
        assert step == ProbeResult(code=ProbeCode.L6OK, detail="TLS handshake done")

    def test_a_server_that_says_nothing_passes_in_the_end(self, authority: Authority) -> None:
        server = self.asking(authority, required=False, tickets=0)
        conversation = handshake(trusting(authority))()
        assert talk(conversation, server) == b""
        assert conversation.layer.timeout.code is ProbeCode.L6OK


def test_a_server_without_end_is_cut_off(authority: Authority) -> None:
    conversation = handshake(trusting(authority))()
    conversation.on_connected()
    data = bytes([22, 3, 3, 0, 0]) * 3000
    step: Step = b""
    for _ in range(LIMIT // len(data) + 1):
        step = conversation.on_data(data)
        if isinstance(step, ProbeResult):
            break
    assert isinstance(step, ProbeResult)


def test_checks_that_differ_in_name_alone_share_a_context(authority: Authority) -> None:
    one, other = trusting(authority, "a.example"), trusting(authority, "b.example")
    assert client_context(one) is client_context(other)


@pytest.mark.parametrize("bundle", ["nonsense", "-----BEGIN CERTIFICATE-----\n-----"])
def test_a_bundle_without_certificates_is_said_by_every_probe(bundle: str) -> None:
    tls = TlsSettings(ca_bundle=bundle)
    with pytest.raises(UnusableTls, match="caBundle holds no certificates in PEM"):
        client_context(tls)
    assert handshake(tls)().on_connected() == ProbeResult(
        code=ProbeCode.L6RSP, detail="caBundle holds no certificates in PEM"
    )


def test_a_name_that_is_none_is_said_by_every_probe(authority: Authority) -> None:
    step = handshake(trusting(authority, ".example"))().on_connected()
    assert step == ProbeResult(code=ProbeCode.L6RSP, detail="serverName '.example' cannot be used")


class TestResumption:
    @staticmethod
    def resumed(context: ssl.SSLContext, make: Callable[[], ProbeConversation], number: int) -> str:
        """Probe so many times; return for each whether it resumed a session (r) or not (f)."""
        seen = ""
        for _ in range(number):
            server = SocketlessServer(context)
            step = talk(make(), server)
            assert isinstance(step, ProbeResult)
            assert step.code.is_pass
            seen += "r" if server.resumed else "f"
        return seen

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_a_full_handshake_is_resumed_so_often_and_no_oftener(
        self, authority: Authority, version: ssl.TLSVersion
    ) -> None:
        context = authority.server("192.0.2.7")
        context.maximum_version = version
        make = conversation_factory(HttpProbe(port=443, tls=trusting(authority)), ADDRESS)
        once = "f" + "r" * RESUMED
        assert self.resumed(context, make, 2 * len(once)) == 2 * once

    def test_a_server_that_offers_none_is_shaken_hands_with_fully(
        self, authority: Authority
    ) -> None:
        context = authority.server("192.0.2.7")
        context.num_tickets = 0
        make = conversation_factory(HttpProbe(port=443, tls=trusting(authority)), ADDRESS)
        assert self.resumed(context, make, 3) == "fff"

    def test_after_a_failure_the_certificate_is_seen_again(self, authority: Authority) -> None:
        context = authority.server("192.0.2.7")
        make = conversation_factory(HttpProbe(port=443, tls=trusting(authority)), ADDRESS)
        assert self.resumed(context, make, 2) == "fr"
        talk(make(), SocketlessServer(self_signed_server("192.0.2.7")))
        assert self.resumed(context, make, 2) == "fr"
