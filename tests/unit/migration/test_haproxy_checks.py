"""HAProxy's checks as HealthChecks: types, requests, expectations and times."""

from datetime import timedelta
from typing import Any

import pytest

from data.imports import ImportView
from vpplb.migration.haproxy import import_haproxy
from vpplb.migration.haproxy_checks import read_time


def listen(*lines: str, server: str = "") -> ImportView:
    """Import a proxy of these lines (from line 3 on) with one checked server."""
    head = ["listen web", "bind 192.0.2.1:80"]
    return ImportView(
        import_haproxy("\n".join([*head, *lines, f"server a 10.0.0.1:80 check {server}"]), [])
    )


def check(*lines: str, server: str = "") -> dict[str, Any]:
    return listen(*lines, server=server).spec("HealthCheck", "web")


def test_a_plain_check_connects_with_haproxys_defaults() -> None:
    assert check() == {
        "type": "TCP",
        "port": 80,
        "interval": "2s",
        "timeout": "2s",
        "rise": 2,
        "fall": 3,
    }


def test_times_and_counts_of_a_server() -> None:
    spec = check(server="inter 500 fastinter 100ms downinter 1m rise 4 fall 5 port 8081")
    assert spec == {
        "type": "TCP",
        "port": 8081,
        "interval": "500ms",
        "fastInterval": "100ms",
        "downInterval": "1m",
        "timeout": "500ms",
        "rise": 4,
        "fall": 5,
    }


@pytest.mark.parametrize(
    ("lines", "timeout"),
    [
        ((), "2s"),
        (("timeout connect 500ms",), "2s"),
        (("timeout check 3s",), "5s"),
        (("timeout check 3s", "timeout connect 500ms"), "3s500ms"),
        (("timeout check 3s", "timeout connect 10s"), "5s"),
    ],
)
def test_the_time_of_a_whole_check(lines: tuple[str, ...], timeout: str) -> None:
    assert check("option httpchk GET /", *lines)["timeout"] == timeout


def test_to_connect_alone_takes_no_time_for_an_answer() -> None:
    assert check("timeout check 3s", "timeout connect 500ms")["timeout"] == "500ms"


@pytest.mark.parametrize(
    ("option", "http"),
    [
        ("option httpchk GET /ok", {"path": "/ok", "method": "GET"}),
        ("option httpchk HEAD /ok HTTP/1.0", {"path": "/ok", "method": "HEAD"}),
        (
            r"option httpchk GET /ok HTTP/1.1\r\nHost:\ a.example\r\nX-Probe:\ yes",
            {
                "path": "/ok",
                "method": "GET",
                "host": "a.example",
                "headers": [{"name": "X-Probe", "value": "yes"}],
            },
        ),
    ],
)
def test_the_request_of_an_option(option: str, http: dict[str, Any]) -> None:
    spec = check(option)
    assert spec["type"] == "HTTP"
    assert spec["http"] == {**http, "responseCodes": {"min": 200, "max": 399}}


def test_the_request_of_http_check_send_and_connect() -> None:
    spec = check(
        "option httpchk",
        "http-check connect port 8443 ssl sni b.example",
        'http-check send meth HEAD uri /ok ver HTTP/1.1 hdr Host a.example hdr X-Probe "a b"',
    )
    assert (spec["type"], spec["port"]) == ("HTTPS", 8443)
    assert spec["tls"] == {"insecureSkipVerify": False, "serverName": "b.example"}
    assert spec["http"]["host"] == "a.example"
    assert spec["http"]["headers"] == [{"name": "X-Probe", "value": "a b"}]


def test_a_body_behind_the_headers_of_an_option_is_lost_and_no_header() -> None:
    found = listen(r"option httpchk GET /x HTTP/1.1\r\nHost:\ a.example\r\n\r\nhello\r\nyou")
    assert found.spec("HealthCheck", "web")["http"] == {
        "path": "/x",
        "method": "GET",
        "host": "a.example",
        "responseCodes": {"min": 200, "max": 399},
    }
    assert [lost.rpartition(": ")[2] for lost in found.lost] == ["body hello\r\nyou"]


def test_a_method_that_no_probe_has_is_lost() -> None:
    found = listen("option httpchk")
    assert found.spec("HealthCheck", "web")["http"]["method"] == "GET"
    assert found.lost == [
        "3: option httpchk: a probe asks by GET or HEAD, not by OPTIONS:"
        " GET has to be answered well"
    ]


@pytest.mark.parametrize(
    ("expect", "codes", "lost"),
    [
        ("status 200", (200, 200), 0),
        ("status 200-299", (200, 299), 0),
        ("status 200,201,202-204", (200, 204), 0),
        ("status 200,301", (200, 301), 1),
        ("rstatus ^2..$", (200, 299), 0),
        ("rstatus (2|3)[0-9][0-9]", (200, 399), 0),
        ("rstatus 40[13]", (401, 403), 1),
        ("! status 500", (200, 399), 1),
        ("status nothing", (200, 399), 1),
        (f"status {'9' * 5000}", (200, 399), 1),
        ("rstatus [", (200, 399), 1),
        ("hdr name x value y", (200, 399), 1),
    ],
)
def test_the_codes_that_pass(expect: str, codes: tuple[int, int], lost: int) -> None:
    found = listen("option httpchk GET /", f"http-check expect {expect}")
    low, high = codes
    spec = found.spec("HealthCheck", "web")
    assert spec["http"]["responseCodes"] == {"min": low, "max": high}
    assert len(found.lost) == lost


def test_a_text_that_is_expected_is_searched_whatever_the_code() -> None:
    plain = check("option httpchk GET /", 'http-check expect string "all (well)."')["http"]
    assert plain["responseRegexp"] == r"all\ \(well\)\."
    assert plain["responseCodes"] == {"min": 100, "max": 599}
    both = check(
        "option httpchk GET /", "http-check expect status 200", "http-check expect rstring ^ok"
    )["http"]
    assert both["responseRegexp"] == "^ok"
    assert both["responseCodes"] == {"min": 200, "max": 200}


@pytest.mark.parametrize(
    ("lines", "server", "kind", "tls"),
    [
        ((), "ssl verify none", "TCP", {"insecureSkipVerify": True}),
        ((), "ssl verify none port 81", "TCP", None),
        ((), "check-ssl verify none port 81", "TCP", {"insecureSkipVerify": True}),
        ((), "ssl no-check-ssl", "TCP", None),
        (("option ssl-hello-chk",), "", "TCP", {"insecureSkipVerify": True}),
        (
            ("option httpchk GET /",),
            "check-ssl check-sni a.example",
            "HTTPS",
            {"insecureSkipVerify": False, "serverName": "a.example"},
        ),
        (
            ("option httpchk GET /",),
            "ssl sni str(a.example)",
            "HTTPS",
            {"insecureSkipVerify": False, "serverName": "a.example"},
        ),
    ],
)
def test_tls_of_a_check(
    lines: tuple[str, ...], server: str, kind: str, tls: dict[str, Any] | None
) -> None:
    spec = check(*lines, server=server)
    assert (spec["type"], spec.get("tls")) == (kind, tls)


@pytest.mark.parametrize("source", ["10.9.9.9", "10.9.9.9:0", "ipv4@10.9.9.9"])
def test_where_probes_come_from(source: str) -> None:
    assert check(server=f"source {source}")["probeSource"] == {"ipv4": "10.9.9.9"}
    assert check(f"source {source}")["probeSource"] == {"ipv4": "10.9.9.9"}


def test_any_source_is_none() -> None:
    assert "probeSource" not in check("source 0.0.0.0 usesrc clientip")


def test_checks_of_protocols_that_no_probe_speaks_connect_and_are_said() -> None:
    for option in ("smtpchk", "mysql-check", "redis-check", "external-check"):
        found = listen(f"option {option}")
        assert found.spec("HealthCheck", "web")["type"] == "TCP"
        assert len(found.lost) == 1


def test_a_time_or_a_number_that_is_none_is_said_and_the_server_left_out() -> None:
    for setting in ("inter soon", "rise many", "port x"):
        found = listen(server=setting)
        assert found.names("Backend") == []
        vip, server = found.lost
        assert vip == "2: 192.0.2.1 port 80: no server of web can serve it: no VIP is made"
        assert server.startswith("3: server a: ")


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("500", 500),
        ("500us", 0.5),
        ("2s", 2000),
        ("1m", 60_000),
        ("1h", 3_600_000),
        ("1d", 86_400_000),
    ],
)
def test_a_time_of_haproxy(text: str, milliseconds: float) -> None:
    assert read_time(text) == timedelta(milliseconds=milliseconds)
