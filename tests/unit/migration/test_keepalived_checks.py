"""keepalived's checkers as HealthChecks, with the defaults of its manual."""

from typing import Any

import pytest

from data.imports import ImportView
from vpplb.migration.keepalived import import_keepalived


def imported(*checkers: str) -> ImportView:
    """Import a real server with these checkers, the first of which is at line 3."""
    lines = ["virtual_server 192.0.2.1 80 {", "real_server 10.0.0.1 80 {", *checkers, "}", "}"]
    return ImportView(import_keepalived("\n".join(lines)))


def check(*checkers: str) -> dict[str, Any]:
    found = imported(*checkers)
    return found.spec("HealthCheck", found.names("HealthCheck")[0])


def test_defaults_are_those_of_the_manual() -> None:
    assert check("TCP_CHECK {", "}") == {
        "type": "TCP",
        "port": 80,
        "interval": "1m",
        "fastInterval": "1s",
        "timeout": "5s",
        "rise": 1,
        "fall": 2,
    }


def test_a_request_waits_longer_between_its_retries_and_takes_200_to_299() -> None:
    spec = check("HTTP_GET {", "url { path /ok }", "}")
    assert (spec["type"], spec["fastInterval"]) == ("HTTP", "3s")
    assert spec["http"] == {"path": "/ok", "responseCodes": {"min": 200, "max": 299}}


def test_everything_of_a_request() -> None:
    spec = check(
        "HTTP_GET {",
        "url {",
        "path /ok",
        "status_code 200-204",
        "virtualhost a.example",
        'regex "all (well|fine)"',
        "regex_options caseless dotall",
        "}",
        "connect_port 8080",
        "connect_timeout 1.5",
        "bindto 10.9.9.9",
        "nb_get_retry 3",
        "delay_before_retry 2",
        "}",
    )
    assert spec == {
        "type": "HTTP",
        "port": 8080,
        "interval": "1m",
        "fastInterval": "2s",
        "timeout": "1s500ms",
        "rise": 1,
        "fall": 4,
        "probeSource": {"ipv4": "10.9.9.9"},
        "http": {
            "path": "/ok",
            "host": "a.example",
            "responseCodes": {"min": 200, "max": 204},
            "responseRegexp": "(?is)all (well|fine)",
        },
    }


def test_tls_is_not_verified_and_sends_a_name_only_where_asked_to() -> None:
    plain = check("SSL_GET {", "url { path / }", "}")
    assert (plain["type"], plain["tls"]) == ("HTTPS", {"insecureSkipVerify": True})
    named = check("SSL_GET {", "sni_name b.example", "url { path / }", "}")
    assert named["tls"]["serverName"] == "b.example"
    by_host = check("SSL_GET {", "enable_sni", "url {", "virtualhost a.example", "}", "}")
    assert by_host["tls"]["serverName"] == "a.example"


def test_a_ping_has_no_port() -> None:
    spec = check("PING_CHECK {", "}")
    assert spec["type"] == "ICMP"
    assert "port" not in spec


@pytest.mark.parametrize(
    ("lines", "lost"),
    [
        (("SMTP_CHECK {", "}"), "no SMTP is spoken"),
        (("HTTP_GET {", "url { path / }", "url { path /two }", "}"), "the first"),
        (("HTTP_GET {", "url {", "digest 00", "}", "}"), "not hashed"),
        (("HTTP_GET {", "url {", "status_code 200 301", "}", "}"), "codes are one range"),
        (("HTTP_GET {", "url {", "regex x", "regex_no_match", "}", "}"), "must not be found"),
        (("HTTP_GET {", "url {", "regex x", "regex_options ungreedy", "}", "}"), "RE2 has no"),
        (("TCP_CHECK {", "connect_ip 10.0.0.9", "}"), "the server's own address"),
        (("TCP_CHECK {", "bind_port 99", "}"), "where probes leave"),
        (("TCP_CHECK {", "frobnicate", "}"), "is not known"),
    ],
)
def test_what_a_probe_does_not_do_is_lost_and_the_rest_is_carried(
    lines: tuple[str, ...], lost: str
) -> None:
    found = imported(*lines)
    assert any(lost in one for one in found.lost)
    assert len(found.names("HealthCheck")) == 1


def test_a_check_of_the_servers_own_address_is_no_loss() -> None:
    assert imported("TCP_CHECK {", "connect_ip 10.0.0.1", "}").lost == []


def test_of_several_checkers_the_one_that_says_most_is_carried() -> None:
    found = imported("PING_CHECK {", "}", "HTTP_GET {", "url { path / }", "}", "MISC_CHECK {", "}")
    assert found.names("HealthCheck") == ["http-80"]
    assert found.lost == [
        "3: PING_CHECK: a server has one check, and HTTP_GET is it",
        "8: MISC_CHECK: no program is run to check a server",
    ]


def test_a_server_whose_only_checker_is_lost_counts_as_up_and_that_is_said() -> None:
    found = imported("MISC_CHECK {", "misc_path /bin/true", "}")
    assert found.names("HealthCheck") == []
    assert found.lost == [
        "3: MISC_CHECK: no program is run to check a server:"
        " the server counts as up always, give it a HealthCheck"
    ]


def test_a_number_that_is_none_leaves_the_server_out() -> None:
    found = imported("TCP_CHECK {", "connect_timeout soon", "}")
    assert found.names("Backend") == []
    vip, said = found.lost
    assert vip == "1: 192.0.2.1 port 80: no server can serve it: no VIP is made"
    assert said == "2: real_server 10.0.0.1 80: soon is no time"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("TCP_CHECK {", "connect_port http", "}"), "connect_port http is no number"),
        (("TCP_CHECK {", "retry twice", "}"), "retry twice is no number"),
        (("TCP_CHECK {", "connect_timeout nan", "}"), "nan is no time"),
        (
            ("TCP_CHECK {", "bindto a.example", "}"),
            "a.example is no address, and names are not looked up",
        ),
        (("HTTP_GET {", "url {", "status_code ok", "}", "}"), "status ok is no number"),
        (("HTTP_GET {", "url {", "status_code 200-x", "}", "}"), "status x is no number"),
    ],
)
def test_what_is_wrong_with_a_value_is_said_in_our_words(lines: tuple[str, ...], said: str) -> None:
    assert imported(*lines).lost[-1] == f"2: real_server 10.0.0.1 80: {said}"


def test_codes_that_no_answer_can_have_are_said_and_the_default_is_taken() -> None:
    found = imported("HTTP_GET {", "url {", "status_code 600", "}", "}")
    assert found.lost == ["5: status_code 600: no status can be read from it: 200 to 299 pass"]
    http = found.spec("HealthCheck", "http-80")["http"]
    assert http["responseCodes"] == {"min": 200, "max": 299}
