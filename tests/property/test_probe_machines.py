"""What holds of every probe's machine, whatever comes from the network, and however it is cut."""

import ssl

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.conversations import HTTP_CODES, LARGEST_PIECE, PROBES, cut, ended, http, settled, tls
from lab.authority import self_signed_server
from vpplb.model.check import HttpProbe
from vpplb.model.health import ProbeCode
from vpplb.probers.icmp_packets import EchoCodec, ipv4_header_size

FRAGMENTS = (
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 204 No Content\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.0 404 \xff\r\n",
    b"HTTP/1.1 ",
    b"HTTP/",
    b"200 ",
    b"Content-Length: 4\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Content-Length: 4, 4\r\n",
    b"X:\r\n\t",
    b"HTTP/2.0  200\tfine \r\n",
    b"\xe9\xc3",
    b"\r\n",
    b"\n",
    b"\r",
    b"4\r\nfine\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"FFF;x=y\r\n",
    b"aaab",
    b"fine",
    b"x" * 5000,
    b"a" * 70000,
)
answers = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=40))).map(b"".join)
cuts = st.lists(st.integers(1, LARGEST_PIECE), max_size=30)
probes = st.sampled_from(PROBES)


@given(probes, answers, cuts)
def test_every_http_answer_ends_in_a_code_of_http(
    probe: HttpProbe, answer: bytes, sizes: list[int]
) -> None:
    pieces = cut(answer, [*sizes, *[LARGEST_PIECE] * (len(answer) // LARGEST_PIECE)])
    assert ended(http(probe), pieces).code in HTTP_CODES


@example(PROBES[0], b"\0HTTP/1.1 100 Continue\r\n\r\n", [])
@given(probes, answers.filter(lambda answer: len(answer) < LARGEST_PIECE), cuts)
def test_how_an_http_answer_is_cut_makes_no_difference(
    probe: HttpProbe, answer: bytes, sizes: list[int]
) -> None:
    make = http(probe)
    whole = ended(make, [answer] if answer else [])
    assert ended(make, cut(answer, sizes)) == whole
    assert ended(make, cut(answer, [1] * len(answer))) == whole


@given(st.booleans(), st.binary(max_size=2000), cuts)
def test_what_is_no_tls_ends_in_a_code_of_tls(
    inside: bool, answer: bytes, sizes: list[int]
) -> None:
    assert ended(tls(inside=inside), cut(answer, sizes)).code is ProbeCode.L6RSP


@pytest.fixture(scope="module")
def server() -> ssl.SSLContext:
    return self_signed_server("a.example")


@given(st.booleans(), st.integers(0, 2000), st.integers(1, 255), st.booleans(), cuts)
def test_a_damaged_handshake_ends_in_some_result(
    server: ssl.SSLContext, inside: bool, at: int, change: int, short: bool, sizes: list[int]
) -> None:
    conversation = tls(inside=inside)()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    far = server.wrap_bio(incoming, outgoing, server_side=True)
    hello = conversation.on_connected()
    assert isinstance(hello, bytes)
    incoming.write(hello)
    with pytest.raises(ssl.SSLWantReadError):
        far.do_handshake()
    flight = bytearray(outgoing.read())
    at %= len(flight)
    flight[at] ^= change
    if short:
        del flight[at:]
    for piece in [*cut(bytes(flight), sizes), b""]:
        step = settled(conversation.on_data(piece))
        if not isinstance(step, bytes):
            assert step.code in (ProbeCode.L6RSP, ProbeCode.L7RSP if inside else ProbeCode.L6OK)
            break
    else:
        pytest.fail("it waits for more though the peer has closed")


@given(st.sampled_from([4, 6]), st.binary(max_size=200))
def test_no_packet_that_is_not_ours_is_an_answer(version: int, packet: bytes) -> None:
    codec = EchoCodec(version=version, payload=b"secret" * 9)
    assert codec.match_reply(packet, ipv4_header_size(packet)) is None
    assert codec.match_reply(packet) is None
    assert codec.match_quoted(packet) is None or packet[0] in (8, 128)


@given(st.integers(0, 0xFFFFFFFF), st.binary(max_size=60))
def test_every_reply_to_a_request_is_known(tag: int, payload: bytes) -> None:
    codec = EchoCodec(version=4, payload=payload)
    reply = b"\0" + codec.build_request(tag)[1:]
    assert codec.match_reply(reply) == tag
