"""How backends behave, each by a real server, and what the probe says of it: code and detail.

What is in no table here needs a network of its own: tests/integration/test_prober_processes.py.
"""

import gzip
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from lab.authority import Authority, outdated, self_signed_server
from lab.probing import probed
from lab.servers import (
    Script,
    ScriptedServer,
    answering,
    black_hole,
    endless,
    half_closing,
    hanging_up,
    resetting,
    silent,
    trickling,
)
from vpplb.model.check import HttpProbe, ProbeKind, TcpProbe, TlsSettings

NAME = "a.example"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall fine"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n5\r\n fine\r\n0\r\n\r\n"
)
ZIPPED = gzip.compress(b"all fine")
GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED)
NOT_HTTP = ("L7RSP", "the answer is not HTTP/1.1")
NOT_FOUND = ("L7RSP", "regexp not found in the body")
TOO_SLOW = ("L7TOUT", "no complete answer in time")
NOT_TLS = ("L6RSP", "the answer is not TLS")


def status(line: str) -> Script:
    return answering(f"HTTP/1.1 {line}\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n".encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCase:
    """A server and what is said of it. `regexp` is searched in the body, if given."""

    script: Script
    said: tuple[str, str]
    regexp: str = ""
    timeout: float = 5.0


HTTP = {
    "answers": ServerCase(script=answering(OK), said=("L7OK", "200 OK")),
    "accepts and says nothing": ServerCase(script=silent, said=TOO_SLOW, timeout=0.1),
    "hangs up": ServerCase(
        script=hanging_up, said=("L7RSP", "connection closed without an answer")
    ),
    "resets": ServerCase(script=resetting, said=("L7RSP", "connection reset by peer")),
    "closes its side only, before the answer": ServerCase(
        script=half_closing(b""), said=("L7RSP", "connection closed without an answer")
    ),
    "closes its side only, amid the answer": ServerCase(
        script=half_closing(OK[:20]), said=("L7RSP", "connection closed amid the head")
    ),
    "closes its side only, after the answer": ServerCase(
        script=half_closing(OK), said=("L7OK", "200 OK"), regexp="fine"
    ),
    "talks garbage": ServerCase(script=answering(b"\x00\xff" * 1000), said=NOT_HTTP),
    "talks SSH": ServerCase(script=answering(b"SSH-2.0-OpenSSH_9.2\r\n"), said=NOT_HTTP),
    "answers byte by byte, past the timeout": ServerCase(
        script=trickling(b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.01), said=TOO_SLOW, timeout=0.1
    ),
    "sends its body byte by byte, past the timeout": ServerCase(
        script=trickling(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.01),
        said=TOO_SLOW,
        regexp="fine",
        timeout=0.1,
    ),
    "sends headers without end": ServerCase(
        script=endless(b"HTTP/1.1 200 OK\r\n", b"X-Filler: x\r\n" * 100),
        said=("L7RSP", "the answer's head exceeds 65536 bytes"),
    ),
    "sends a header line without end": ServerCase(
        script=endless(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1000),
        said=("L7RSP", "the answer's head exceeds 65536 bytes"),
    ),
    "sends a status line without end": ServerCase(
        script=endless(b"HTTP/1.1 200 ", b"x" * 1000),
        said=("L7RSP", "the answer's head exceeds 65536 bytes"),
    ),
    "sends interim answers without end": ServerCase(
        script=endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
        said=("L7RSP", "the answer's head exceeds 65536 bytes"),
    ),
    "sends a body without end that nobody asked for": ServerCase(
        script=endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000), said=("L7OK", "200 OK")
    ),
    "sends a body without end": ServerCase(
        script=endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000), said=NOT_FOUND, regexp="fine"
    ),
    "sends chunks without end": ServerCase(
        script=endless(CHUNKED[:47], b"3\r\nall\r\n" * 100), said=NOT_FOUND, regexp="fine"
    ),
    "sends chunks": ServerCase(script=answering(CHUNKED), said=("L7OK", "200 OK"), regexp="l f"),
    "sends no length": ServerCase(
        script=answering(b"HTTP/1.0 200 OK\r\n\r\nall fine"), said=("L7OK", "200 OK"), regexp="fine"
    ),
    "folds a header": ServerCase(
        script=answering(OK.replace(b": 8", b":\r\n\t8")), said=("L7OK", "200 OK"), regexp="fine$"
    ),
    "says its length twice": ServerCase(
        script=answering(OK.replace(b": 8", b": 8, 8")), said=("L7OK", "200 OK"), regexp="fine$"
    ),
    "says two lengths": ServerCase(
        script=answering(OK.replace(b": 8", b": 8, 3")),
        said=("L7RSP", "Content-Length is given twice, and differs"),
    ),
    "speaks of HTTP/2.0 in text": ServerCase(
        script=answering(OK.replace(b"1.1 ", b"2.0  ")), said=("L7OK", "200 OK")
    ),
    "has said what is looked for, and goes on": ServerCase(
        script=trickling(b"HTTP/1.1 200 OK\r\n\r\nall fine\n", b"\n", 0.05),
        said=("L7OK", "200 OK"),
        regexp="fine",
    ),
    "writes in ISO-8859-1": ServerCase(
        script=answering(b"HTTP/1.1 200 OK\r\n\r\n\xe9tat: bon"),
        said=("L7OK", "200 OK"),
        regexp="^.tat: bon$",
    ),
    "zips unasked": ServerCase(script=answering(GZIP + ZIPPED), said=("L7OK", "200 OK")),
    "zips unasked what is to be searched": ServerCase(
        script=answering(GZIP + ZIPPED), said=NOT_FOUND, regexp="fine"
    ),
    "continues first": ServerCase(
        script=answering(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK),
        said=("L7OK", "200 OK"),
    ),
    "204": ServerCase(script=status("204 No Content"), said=("L7OK", "204 No Content")),
    "301, which is not followed": ServerCase(
        script=status("301 Moved Permanently"), said=("L7OK", "301 Moved Permanently")
    ),
    "404": ServerCase(script=status("404 Not Found"), said=("L7STS", "404 Not Found")),
    "500": ServerCase(
        script=status("500 Internal Server Error"), said=("L7STS", "500 Internal Server Error")
    ),
    "an expression that would explode elsewhere": ServerCase(
        script=endless(b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 1000), said=NOT_FOUND, regexp="(a+)+$^b"
    ),
}


@pytest.mark.parametrize("case", HTTP.values(), ids=HTTP.keys())
def test_http(case: ServerCase) -> None:
    with ScriptedServer(case.script) as server:
        probe = HttpProbe(port=server.port, response_regexp=case.regexp)
        assert probed(probe, timeout=case.timeout) == case.said


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


TLS: dict[str, tuple[Callable[[Authority], ssl.SSLContext], tuple[str, str]]] = {
    "a good certificate": (lambda ca: ca.server(NAME), ("L6OK", "TLS handshake done")),
    "an expired certificate": (
        lambda ca: ca.server(NAME, days=-1),
        ("L6RSP", "certificate has expired"),
    ),
    "a certificate of another name": (
        lambda ca: ca.server("b.example"),
        ("L6RSP", f"certificate is not valid for '{NAME}'"),
    ),
    "a self-signed certificate": (
        lambda ca: self_signed_server(NAME),
        ("L6RSP", "self-signed certificate"),
    ),
    "a certificate of an unknown authority": (
        lambda ca: Authority().server(NAME),
        ("L6RSP", "unable to get local issuer certificate"),
    ),
    "TLS 1.0 only": (
        lambda ca: outdated(ca.server(NAME)),
        ("L6RSP", "tlsv1 alert protocol version"),
    ),
}


@pytest.mark.parametrize(("context", "said"), TLS.values(), ids=TLS.keys())
@pytest.mark.parametrize("kind", ["TCP with TLS", "HTTPS"])
def test_tls(
    kind: str,
    context: Callable[[Authority], ssl.SSLContext],
    said: tuple[str, str],
    authority: Authority,
) -> None:
    tls = TlsSettings(ca_bundle=authority.pem, server_name=NAME)
    expected = said
    with ScriptedServer(answering(OK), tls=context(authority)) as server:
        probe: ProbeKind = TcpProbe(port=server.port, tls=tls)
        if kind == "HTTPS":
            probe = HttpProbe(port=server.port, tls=tls)
            expected = ("L7OK", "200 OK") if said[0] == "L6OK" else said
        assert probed(probe) == expected


NO_TLS = {
    "plain HTTP on the port": (answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"), NOT_TLS),
    "garbage on the port": (answering(b"\x00\xff" * 100), NOT_TLS),
    "silence": (silent, ("L6TOUT", "no TLS handshake in time")),
    "hanging up": (hanging_up, ("L6RSP", "connection closed during the TLS handshake")),
    "a reset": (resetting, ("L6RSP", "connection reset by peer")),
    "garbage without end": (endless(b"\x16\x03\x03", b"\x00" * 1000), NOT_TLS),
}


@pytest.mark.parametrize(("script", "said"), NO_TLS.values(), ids=NO_TLS.keys())
def test_no_tls_where_tls_is_expected(script: Script, said: tuple[str, str]) -> None:
    tls = TlsSettings(insecure_skip_verify=True)
    timeout = 0.1 if script is silent else 5.0
    with ScriptedServer(script) as server:
        assert probed(TcpProbe(port=server.port, tls=tls), timeout=timeout) == said
        assert probed(HttpProbe(port=server.port, tls=tls), timeout=timeout) == said


@pytest.mark.parametrize("probe", [TcpProbe, HttpProbe])
def test_no_connection(probe: type[TcpProbe] | type[HttpProbe]) -> None:
    with ScriptedServer(silent) as server:
        closed = server.port
    assert probed(probe(port=closed)) == ("L4CON", "connection refused")
    with black_hole() as port:
        assert probed(probe(port=port), timeout=0.1) == ("L4TOUT", "no connection in time")
    assert probed(probe(port=80), "255.255.255.255") == ("L4CON", "network is unreachable")


@pytest.mark.parametrize("script", [silent, hanging_up, resetting, answering(b"hello")])
def test_for_tcp_being_connected_is_enough(script: Script) -> None:
    with ScriptedServer(script) as server:
        assert probed(TcpProbe(port=server.port)) == ("L4OK", "connected")
