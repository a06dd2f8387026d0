"""What must hold of every conversation, whatever the peer sends."""

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address

from vpplb.model.check import HttpProbe, TcpProbe, TlsSettings
from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.probers.conversation import BodySearch, ProbeConversation, Step
from vpplb.probers.http import DETAIL_LIMIT, HEAD_LIMIT, HttpConversation
from vpplb.probers.http_body import LIMIT
from vpplb.probers.stream_probe import conversation_factory

ADDRESS = ip_address("192.0.2.7")
HTTP_CODES = frozenset({ProbeCode.L7OK, ProbeCode.L7STS, ProbeCode.L7RSP})
PROBES = (
    HttpProbe(port=80),
    HttpProbe(port=80, response_regexp="a+b|fine$"),
    HttpProbe(port=80, response_regexp="a.b|f[^x]ne"),
    HttpProbe(port=80, method="HEAD", response_regexp="fine"),
    HttpProbe(port=80, status_min=100, status_max=599, response_regexp="(a*)*b"),
)
LARGEST_PIECE = 16384


def http(probe: HttpProbe) -> Callable[[], ProbeConversation]:
    """Return what makes an exchange of this probe."""
    return conversation_factory(probe, ADDRESS)


def tls(*, inside: bool) -> Callable[[], ProbeConversation]:
    """Return what makes a handshake, with HTTP inside or alone."""
    settings = TlsSettings(insecure_skip_verify=True)
    if inside:
        return conversation_factory(HttpProbe(port=443, tls=settings), ADDRESS)
    return conversation_factory(TcpProbe(port=443, tls=settings), ADDRESS)


def cut(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    """Cut data into pieces of these sizes, and what is left."""
    pieces: list[bytes] = []
    at = 0
    for size in sizes:
        if at < len(data):
            pieces.append(data[at : at + size])
            at += size
    return [*pieces, data[at:]] if at < len(data) else pieces


def settled(step: Step) -> bytes | ProbeResult:
    """Search what is to be searched, as the driver does, until something else is to be done."""
    while isinstance(step, BodySearch):
        step = step.then(step.regexp.found_in(step.body, whole=step.whole))
    return step


def ended(make: Callable[[], ProbeConversation], pieces: Sequence[bytes]) -> ProbeResult:
    """Feed the pieces, then the end; return the result. Asserts what must hold on the way."""
    conversation = make()
    step = settled(conversation.on_connected())
    for piece in [*pieces, b""]:
        if isinstance(step, ProbeResult):
            break
        step = settled(conversation.on_data(piece))
        assert held(conversation) <= HEAD_LIMIT + LIMIT + 2 * LARGEST_PIECE
    assert isinstance(step, ProbeResult), "it waits for more though the peer has closed"
    assert len(step.detail) <= DETAIL_LIMIT
    assert step.detail.isprintable()
    return step


def held(conversation: ProbeConversation) -> int:
    """Return how many bytes of the peer's a conversation keeps."""
    if not isinstance(conversation, HttpConversation):
        return 0
    kept = len(conversation._buffer)
    if conversation._reading is not None:
        body = conversation._reading._body
        kept += len(body.content) + len(getattr(body, "_pending", b""))
    return kept
