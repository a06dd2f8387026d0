from ipaddress import ip_address

import pytest

from fuzz.conversations import settled
from vpplb.model.check import HttpProbe, TlsSettings
from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.probers.conversation import BodySearch, ProbeLayer, Step
from vpplb.probers.http import (
    EARLY_SEARCHES,
    HEAD_LIMIT,
    HttpCheck,
    HttpConversation,
    build_request,
)
from vpplb.probers.http_body import LIMIT

V4 = ip_address("192.0.2.7")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def fed(recipe: HttpCheck, answer: bytes, *, size: int, closed: bool) -> Step:
    """Feed an answer in pieces of `size` to a new conversation, then close; return its end."""
    conversation = HttpConversation(recipe)
    step = conversation.on_connected()
    assert step == recipe.request
    for at in range(0, len(answer), size):
        step = settled(conversation.on_data(answer[at : at + size]))
        if isinstance(step, ProbeResult):
            return step
        assert step == b""
    return settled(conversation.on_data(b"")) if closed else step


def judged(answer: bytes, probe: HttpProbe | None = None, *, closed: bool = False) -> Step:
    """Return how an answer ends; the same whole, byte by byte, and after an equal one."""
    probe = probe or HttpProbe(port=80)
    whole = fed(HttpCheck(probe, V4), answer, size=len(answer) or 1, closed=closed)
    bytewise = HttpCheck(probe, V4)
    assert fed(bytewise, answer, size=1, closed=closed) == whole
    assert fed(bytewise, answer, size=len(answer) or 1, closed=closed) == whole
    return whole


def ended(code: ProbeCode, detail: str) -> ProbeResult:
    return ProbeResult(code=code, detail=detail)


@pytest.mark.parametrize(
    ("answer", "code", "detail"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ProbeCode.L7OK, "200 OK"),
        (b"HTTP/1.0 200 OK\r\n\r\n", ProbeCode.L7OK, "200 OK"),
        (b"HTTP/1.1 200\r\n\r\n", ProbeCode.L7OK, "200"),
        (b"HTTP/1.1 200 \r\n\r\n", ProbeCode.L7OK, "200"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", ProbeCode.L7OK, "302 Found"),
        (b"HTTP/1.1 200 OK\nServer: lax\n\n", ProbeCode.L7OK, "200 OK"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", ProbeCode.L7STS, "404 Not Found"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", ProbeCode.L7STS, "503 Service Unavailable"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", ProbeCode.L7STS, "101 Switching Protocols"),
        (b"HTTP/1.1 600 X\r\n\r\n", ProbeCode.L7STS, "600 X"),
        (b"HTTP/1.1 099 X\r\n\r\n", ProbeCode.L7STS, "99 X"),
        (b"HTTP/2.0 200 OK\r\n\r\n", ProbeCode.L7OK, "200 OK"),
        (b"HTTP/1.1  200 \t OK \t\r\n\r\n", ProbeCode.L7OK, "200 OK"),
        (b"HTTP/1.1\t200\tOK\r\n\r\n", ProbeCode.L7OK, "200 OK"),
        (b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", ProbeCode.L7OK, "200 OK"),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\t\r\nY:\xff\0\r\n\r\n", ProbeCode.L7OK, "200 OK"),
    ],
)
def test_the_status_decides(answer: bytes, code: ProbeCode, detail: str) -> None:
    assert judged(answer) == ended(code, detail)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (399, ProbeCode.L7STS),
        (400, ProbeCode.L7OK),
        (404, ProbeCode.L7OK),
        (405, ProbeCode.L7STS),
    ],
)
def test_both_ends_of_the_range_pass(status: int, code: ProbeCode) -> None:
    probe = HttpProbe(port=80, status_min=400, status_max=404)
    assert judged(b"HTTP/1.1 %d X\r\n\r\n" % status, probe) == ended(code, f"{status} X")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\0\x02",
        b"HTTP/2 200\r\n",
        b"HTTP/1.10 200\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 200OK\r\n",
        b" HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 O\rK\r\n",
        b"HTTP/1.1 200 OK\r\n X: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ngarbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX Y: z\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 8\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
    ],
)
def test_what_is_not_http_is_known_before_it_ends(answer: bytes) -> None:
    assert judged(answer) == ended(ProbeCode.L7RSP, "the answer is not HTTP/1.1")


def test_interim_answers_are_skipped() -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    assert judged(answer) == b""
    assert judged(answer + b"HTTP/1.1 200 OK\r\n\r\n") == ended(ProbeCode.L7OK, "200 OK")


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"", "connection closed without an answer"),
        (b"HTTP/1.1 2", "connection closed amid the head"),
        (b"HTTP/1.1 200 OK\r\nServer: x\r\n", "connection closed amid the head"),
    ],
)
def test_an_early_hang_up_fails(answer: bytes, detail: str) -> None:
    assert judged(answer, closed=True) == ended(ProbeCode.L7RSP, detail)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X-Filler: 123456789\r\n" * (HEAD_LIMIT // 20),
        b"HTTP/1.1 100 Continue\r\n\r\n" * (HEAD_LIMIT // 24),
    ],
    ids=["one head", "interim answers without end"],
)
def test_a_head_is_bounded(answer: bytes) -> None:
    step = fed(HttpCheck(HttpProbe(port=80), V4), answer, size=1000, closed=False)
    assert step == ended(ProbeCode.L7RSP, "the answer's head exceeds 65536 bytes")


@pytest.mark.parametrize(
    ("answer", "closed"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall fine", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length:8\r\n\r\nall fine, and more", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 8\r\n\r\nall fine", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nContent-Length: 08\r\n\r\nall fine", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 8 , 8\r\n\r\nall fine", False),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nX: y\r\n Content-Length: 3\r\n\r\nall fine",
            False,
        ),
        (CHUNKED + b"3\r\nall\r\n5;ext=1\r\n fine\r\n0\r\n\r\n", False),
        (CHUNKED + b"%03d\r\nall\r\n%020d \t\r\n fine\r\n0\r\n\r\n" % (3, 5), False),
        (CHUNKED + b'8 ; a="x;y"\nall fine\n0\n\n', False),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding:\r\n\tChunked\r\n\r\n"
            b"8\r\nall fine\r\n0\r\n\r\n",
            False,
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nall fine", True),
    ],
    ids=[
        "length",
        "longer than its length",
        "length, folded",
        "length twice",
        "length as a list",
        "what looks like a length is folded",
        "chunks",
        "chunks with padded sizes",
        "chunks by bare line feeds",
        "chunks beat a length",
        "until closed",
    ],
)
def test_the_regexp_is_searched_in_the_whole_body_however_it_is_framed(
    answer: bytes, closed: bool
) -> None:
    found = HttpProbe(port=80, response_regexp=r"l{2} f.ne")
    assert judged(answer, found, closed=closed) == ended(ProbeCode.L7OK, "200 OK")
    missing = HttpProbe(port=80, response_regexp=r"^fine")
    assert judged(answer, missing, closed=closed) == ended(
        ProbeCode.L7RSP, "regexp not found in the body"
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall",
        CHUNKED + b"8\r\nall",
        CHUNKED + b"3\r\nall",
    ],
)
@pytest.mark.parametrize("regexp", ["fine", "all$", r"all\b", r"all\z"])
def test_a_body_cut_short_fails_unless_what_is_looked_for_is_there(
    answer: bytes, regexp: str
) -> None:
    probe = HttpProbe(port=80, response_regexp=regexp)
    assert judged(answer, probe) == b""
    assert judged(answer, probe, closed=True) == ended(
        ProbeCode.L7RSP, "connection closed amid the body"
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\nstatus=ready",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nstatus=ready",
        CHUNKED + b"c\r\nstatus=ready\r\n",
        CHUNKED + b"c\r\nstatus=ready, and no more",
    ],
    ids=["until closed", "length", "chunks", "a chunk that is longer than it says"],
)
def test_text_that_is_there_decides_though_the_body_goes_on(answer: bytes) -> None:
    probe = HttpProbe(port=80, response_regexp=r"status=ready")
    assert judged(answer, probe) == ended(ProbeCode.L7OK, "200 OK")


def test_a_body_that_trickles_is_searched_only_so_often() -> None:
    recipe = HttpCheck(HttpProbe(port=80, response_regexp="never"), V4)
    conversation = HttpConversation(recipe)
    conversation.on_connected()
    conversation.on_data(b"HTTP/1.1 200 OK\r\n\r\n")
    searched = 0
    for _ in range(20000):
        step = conversation.on_data(b"x")
        while isinstance(step, BodySearch):
            searched += len(step.body)
            step = step.then(False)
    assert searched <= EARLY_SEARCHES + 2 * LIMIT


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "Content-Length is not a number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "Content-Length is not a number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +8\r\n\r\n", "Content-Length is not a number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 8,\r\n\r\n", "Content-Length is not a number"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nContent-Length: 3\r\n\r\n",
            "Content-Length is given twice, and differs",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 8, 3\r\n\r\n",
            "Content-Length is given twice, and differs",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n 8\r\n\r\n",
            "Content-Length is not a number",
        ),
        *(
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n" % coding,
                "the answer has a Transfer-Encoding other than chunked",
            )
            for coding in (b"gzip, chunked", b"chunked, chunked", b"identity", b'"chunked"')
        ),
        (CHUNKED + b"zz\r\n", "a chunk has no size"),
        (CHUNKED + b"0x1\r\n", "a chunk has no size"),
        (CHUNKED + b" 1\r\n", "a chunk has no size"),
        (CHUNKED + b"1\ra\r\n", "a chunk has no size"),
        (CHUNKED + b"1\r\nab\r\n", "a chunk is longer than it says"),
    ],
)
def test_broken_framing_is_not_http(answer: bytes, detail: str) -> None:
    probe = HttpProbe(port=80, response_regexp="x")
    assert judged(answer, probe) == ended(ProbeCode.L7RSP, detail)


def test_what_lies_between_chunks_is_bounded() -> None:
    answer = CHUNKED + b"1;%s\r\na\r\n" % (b"e" * 4000) * 140
    recipe = HttpCheck(HttpProbe(port=80, response_regexp="x"), V4)
    assert fed(recipe, answer, size=1000, closed=False) == ended(
        ProbeCode.L7RSP, "more than 524288 bytes lie between the chunks"
    )


def test_a_head_with_broken_framing_fails_without_a_regexp_too() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nContent-Length: 3\r\n\r\nall fine"
    assert judged(answer) == ended(ProbeCode.L7RSP, "Content-Length is given twice, and differs")


def test_only_the_first_64_kib_of_a_body_are_searched() -> None:
    probe = HttpProbe(port=80, response_regexp="needle")
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    inside = head + b"." * (65536 - 6) + b"needle"
    beyond = head + b"." * (65536 - 5) + b"needle"
    recipe = HttpCheck(probe, V4)
    assert fed(recipe, inside, size=9000, closed=False) == ended(ProbeCode.L7OK, "200 OK")
    assert fed(recipe, beyond, size=9000, closed=False) == ended(
        ProbeCode.L7RSP, "regexp not found in the body"
    )


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
def test_an_answer_without_a_body_is_not_waited_for(method: str, answer: bytes) -> None:
    probe = HttpProbe(port=80, method=method, response_regexp="x")
    assert judged(answer, probe) == ended(ProbeCode.L7RSP, "regexp not found in the body")


def test_the_status_is_judged_before_the_body() -> None:
    probe = HttpProbe(port=80, response_regexp="down")
    answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\ndown"
    assert judged(answer, probe) == ended(ProbeCode.L7STS, "500 Oops")


def test_an_answer_unlike_the_last_one_is_judged_by_itself() -> None:
    recipe = HttpCheck(HttpProbe(port=80), V4)
    for answer, code in [
        (b"HTTP/1.1 200 OK\r\n\r\n", ProbeCode.L7OK),
        (b"HTTP/1.1 500 Oops\r\n\r\n", ProbeCode.L7STS),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n", ProbeCode.L7OK),
    ]:
        step = fed(recipe, answer, size=4096, closed=False)
        assert isinstance(step, ProbeResult)
        assert step.code is code
    assert fed(recipe, b"HTTP/1.1 200 OK\r\nX: y\r\n", size=4096, closed=False) == b""


def test_details_are_bounded_and_printable() -> None:
    step = judged(b"HTTP/1.1 500 " + b"x" * 500 + b"\r\n\r\n")
    assert isinstance(step, ProbeResult)
    assert len(step.detail) == 120
    step = judged(b"HTTP/1.1 500 \xff\x00\x1b[31m\r\n\r\n")
    assert isinstance(step, ProbeResult)
    assert step.detail.isprintable()


@pytest.mark.parametrize(
    ("probe", "address", "request_"),
    [
        (
            HttpProbe(port=8080),
            "192.0.2.7",
            b"GET / HTTP/1.1\r\nHost: 192.0.2.7:8080\r\nUser-Agent: vpplb\r\nAccept: */*\r\n"
            b"Connection: close\r\n\r\n",
        ),
        (
            HttpProbe(port=80, path="/x?y", method="HEAD", headers=(("X-A", "1"), ("X-A", "2"))),
            "2001:db8::7",
            b"HEAD /x?y HTTP/1.1\r\nHost: [2001:db8::7]\r\nUser-Agent: vpplb\r\nAccept: */*\r\n"
            b"Connection: close\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
        ),
        (
            HttpProbe(port=80, host="a.example", headers=(("user-agent", "me"), ("HOST", "b"))),
            "192.0.2.7",
            b"GET / HTTP/1.1\r\nAccept: */*\r\nConnection: close\r\n"
            b"user-agent: me\r\nHOST: b\r\n\r\n",
        ),
        (
            HttpProbe(port=8443, tls=TlsSettings()),
            "2001:db8::7",
            b"GET / HTTP/1.1\r\nHost: [2001:db8::7]:8443\r\nUser-Agent: vpplb\r\nAccept: */*\r\n"
            b"Connection: close\r\n\r\n",
        ),
        (
            HttpProbe(port=443, tls=TlsSettings()),
            "192.0.2.7",
            b"GET / HTTP/1.1\r\nHost: 192.0.2.7\r\nUser-Agent: vpplb\r\nAccept: */*\r\n"
            b"Connection: close\r\n\r\n",
        ),
        (
            HttpProbe(port=8080, host="a.example"),
            "192.0.2.7",
            b"GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: vpplb\r\nAccept: */*\r\n"
            b"Connection: close\r\n\r\n",
        ),
    ],
)
def test_the_request(probe: HttpProbe, address: str, request_: bytes) -> None:
    assert build_request(probe, ip_address(address)) == request_


def test_the_layer_moves_on_with_the_connection() -> None:
    conversation = HttpConversation(HttpCheck(HttpProbe(port=80), V4))
    layers = [conversation.layer]
    conversation.on_connected()
    layers.append(conversation.layer)
    assert layers == [ProbeLayer.CONNECT, ProbeLayer.ANSWER]


def head_of(date: str, status: str = "200 OK", server: str = "nginx") -> bytes:
    lines = (
        f"HTTP/1.1 {status}",
        f"Server: {server}",
        f"Date: {date}",
        "Connection: close",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


NOON = "Sat, 28 Nov 2026 12:00:00 GMT"


def test_the_same_head_at_another_time_is_known_and_gives_the_same_object() -> None:
    recipe = HttpCheck(HttpProbe(port=80), V4)
    first = fed(recipe, head_of(NOON), size=1000, closed=False)
    assert recipe.knows_head(head_of("Sat, 28 Nov 2026 12:00:01 GMT"))
    assert fed(recipe, head_of("Sat, 28 Nov 2026 12:00:01 GMT"), size=1000, closed=False) is first


@pytest.mark.parametrize(
    "answer",
    [
        head_of(NOON, status="503 Service Unavailable"),
        head_of(NOON, server="apache"),
        head_of("Sat, 28 Nov 2026 12:00\r\n:0 GMT"),
        head_of("Sat, 28 Nov 2026 12:00:00\0GMT"),
        head_of("today"),
        head_of(NOON).replace(b"\r\nConnection", b"\r\nTransfer-Encoding: chunked\r\nConnection"),
        head_of(NOON)[:-2],
        head_of(NOON)[:60],
    ],
)
def test_a_head_that_differs_in_more_than_its_date_is_judged_anew(answer: bytes) -> None:
    recipe = HttpCheck(HttpProbe(port=80), V4)
    fed(recipe, head_of(NOON), size=1000, closed=False)
    assert not recipe.knows_head(answer)
    unaided = HttpCheck(HttpProbe(port=80), V4)
    size = len(answer)
    assert fed(recipe, answer, size=size, closed=True) == fed(
        unaided, answer, size=size, closed=True
    )


def test_an_equal_result_of_another_head_is_the_same_object() -> None:
    recipe = HttpCheck(HttpProbe(port=80), V4)
    first = fed(recipe, head_of(NOON), size=1000, closed=False)
    assert fed(recipe, head_of(NOON, server="apache"), size=1000, closed=False) is first
