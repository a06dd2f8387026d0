import socket
from ipaddress import ip_address
from typing import Any

import pytest
import yaml

from data.manifests import backend, frontend, health_check
from vpplb.files.manifests import load_manifests
from vpplb.model.check import HttpProbe, TcpProbe, TlsSettings
from vpplb.monitor.targets import (
    AskedProbe,
    BadTarget,
    MonitorTarget,
    drop_repeated,
    list_targets,
    parse_codes,
    resolve_argument,
)
from vpplb.probers.http import build_request


def probe_of(text: str) -> object:
    return resolve_argument(text).spec.probe


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("192.0.2.1:80", "192.0.2.1:80"),
        ("[2001:db8::1]:443", "[2001:db8::1]:443"),
        ("http://192.0.2.1", "192.0.2.1:80"),
        ("https://192.0.2.1/", "192.0.2.1:443"),
        ("http://[2001:db8::1]:8080/x", "[2001:db8::1]:8080"),
        ("localhost:81", "127.0.0.1:81"),
    ],
)
def test_an_argument_names_address_and_port(
    text: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text.startswith("localhost"):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 81))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert resolve_argument(text).place == place


def test_an_address_with_a_port_is_asked_by_connecting_and_a_url_by_a_request() -> None:
    assert probe_of("192.0.2.1:80") == TcpProbe(port=80)
    assert probe_of("http://192.0.2.1/a?b=c#d") == HttpProbe(port=80, path="/a?b=c")
    assert probe_of("https://192.0.2.1") == HttpProbe(port=443, tls=TlsSettings())


def test_a_name_is_what_the_server_is_asked_for_with_its_port_and_what_its_certificate_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 8443, 0, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    target = resolve_argument("https://www.example.org:8443/")
    probe = target.spec.probe
    assert isinstance(probe, HttpProbe)
    assert (probe.host, probe.tls) == (
        "www.example.org:8443",
        TlsSettings(server_name="www.example.org"),
    )
    assert target.place == "[2001:db8::1]:8443"


def test_an_ipv6_address_is_in_brackets_in_the_request() -> None:
    spec = resolve_argument("http://[2001:db8::1]/").spec
    assert isinstance(spec.probe, HttpProbe)
    assert b"\r\nHost: [2001:db8::1]\r\n" in build_request(spec.probe, spec.address)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("192.0.2.1", "has no port"),
        ("2001:db8::1", "2001:db8::1"),
        ("192.0.2.1:0", "has no port"),
        ("192.0.2.1:99999", "ort"),
        ("192.0.2.1:http", "http"),
        ("192.0.2.1:80/path", "begins with http://"),
        ("ftp://192.0.2.1/", "only http:// and https://"),
        ("http://user:secret@192.0.2.1/", "no user or password"),
        ("http:///path", "has no port"),
        ("http://192.0.2.1/a b", "percent-encode"),
        ("http://192.0.2.1/é", "percent-encode"),
        ("http://[2001:db8::1/", "Invalid IPv6 URL"),
        ("", "has no port"),
    ],
)
def test_what_is_no_target_is_refused_with_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(BadTarget, match=says) as refused:
        resolve_argument(text)
    assert "secret" not in str(refused.value)


def test_a_name_that_nobody_has_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(BadTarget, match=r"nobody\.example: Name or service not known"):
        resolve_argument("nobody.example:80")


@pytest.mark.parametrize(("text", "codes"), [("200", (200, 200)), ("200-399", (200, 399))])
def test_codes_are_one_or_a_range(text: str, codes: tuple[int, int]) -> None:
    assert parse_codes(text) == codes


@pytest.mark.parametrize("text", ["", "2xx", "99", "600", "300-200", "200-", "-200", "²00"])
def test_other_codes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a status code"):
        parse_codes(text)


# --- what a person asks for -----------------------------------------------------------------------


def asked(target: str, **wishes: Any) -> object:
    return AskedProbe(**wishes).apply_to(resolve_argument(target)).spec.probe


def test_a_path_a_host_or_codes_make_a_request_of_a_connection() -> None:
    assert asked("192.0.2.1:80", path="/x") == HttpProbe(port=80, path="/x")
    assert asked("192.0.2.1:80", host="a.example") == HttpProbe(port=80, host="a.example")
    assert asked("192.0.2.1:80", codes=(204, 204)) == HttpProbe(
        port=80, status_min=204, status_max=204
    )


def test_nothing_asked_for_leaves_it_as_it_is_and_tcp_only_connects() -> None:
    assert asked("https://192.0.2.1/x") == probe_of("https://192.0.2.1/x")
    assert asked("https://192.0.2.1/x", tcp=True) == TcpProbe(port=443)


def test_certificates_are_verified_unless_that_is_given_up() -> None:
    probe = asked("https://192.0.2.1/", insecure=True)
    assert isinstance(probe, HttpProbe)
    assert probe.tls == TlsSettings(insecure_skip_verify=True)


@pytest.mark.parametrize(
    "wishes",
    [{"path": "x"}, {"path": "/ HTTP/1.1\r\nX: y"}, {"host": "a\r\nX: y"}, {"host": "a b"}],
)
def test_what_would_make_another_request_of_it_is_refused(wishes: dict[str, str]) -> None:
    with pytest.raises(BadTarget):
        AskedProbe(**wishes)  # type: ignore[arg-type]  # the values are texts, mypy sees a mapping


def test_a_source_is_for_targets_of_its_family() -> None:
    wish = AskedProbe(source=ip_address("192.0.2.9"))
    assert wish.apply_to(resolve_argument("192.0.2.1:80")).spec.source == ip_address("192.0.2.9")
    assert wish.apply_to(resolve_argument("[2001:db8::1]:80")).spec.source is None


# --- frontends ------------------------------------------------------------------------------------


def listed(tmp_path: Any, *objects: object) -> tuple[list[MonitorTarget], list[str]]:
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(objects))
    loaded = load_manifests([tmp_path])
    assert loaded.findings == []
    return list_targets(loaded.frontends, loaded.backends, loaded.health_checks)


CHECKED = backend(healthCheckRef={"name": "check"})


def test_a_frontend_is_asked_as_its_backends_where_the_check_goes_to_the_port_that_serves(
    tmp_path: Any,
) -> None:
    check = health_check(type="HTTP", port=80, http={"path": "/healthz", "host": "www.example.org"})
    (target,), notes = listed(tmp_path, frontend(), CHECKED, check)
    assert (target.name, target.place, notes) == ("default/web", "198.51.100.1:80", [])
    assert target.spec.probe == HttpProbe(port=80, path="/healthz", host="www.example.org")
    assert target.question == "HTTP GET /healthz"


@pytest.mark.parametrize(
    "check",
    [
        health_check(type="HTTP", port=8080),
        health_check(type="ICMP"),
        health_check(
            type="HTTP",
            port=80,
            http={
                "headers": [
                    {
                        "name": "Authorization",
                        "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}},
                    }
                ]
            },
        ),
    ],
    ids=["of another port", "without a port", "with a secret"],
)
def test_a_check_that_says_nothing_of_the_service_leaves_a_connection(
    tmp_path: Any, check: Any
) -> None:
    (target,), _ = listed(tmp_path, frontend(), CHECKED, check)
    assert target.spec.probe == TcpProbe(port=80)


def test_a_frontend_without_a_check_is_asked_by_connecting(tmp_path: Any) -> None:
    (target,), _ = listed(tmp_path, frontend(), backend())
    assert target.question == "TCP"


def test_what_has_no_connections_is_said(tmp_path: Any) -> None:
    targets, notes = listed(
        tmp_path,
        frontend("dns", protocol="UDP", port=53),
        frontend("all", protocol="Any", port=None, address="198.51.100.2"),
        backend(),
    )
    assert targets == []
    assert notes == [
        "default/all: 198.51.100.2/32 any has no port: give one, such as 198.51.100.2:80",
        "default/dns: 198.51.100.1/32 udp/53 is UDP, which has no connections to probe by",
    ]


def test_a_target_that_is_given_twice_is_probed_once() -> None:
    one, other = resolve_argument("192.0.2.1:80"), resolve_argument("192.0.2.1:81")
    assert drop_repeated([one, other, one]) == [one, other]
