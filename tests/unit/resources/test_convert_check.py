"""Defaults of health checks that depend on other fields, and how they become probes."""

from datetime import timedelta

import pytest

from data.manifests import manifest
from vpplb.model.check import HttpProbe, IcmpProbe, ProbeCadence, ProbeKind, TcpProbe, TlsSettings
from vpplb.model.objects import HealthCheck
from vpplb.resources.parse import parse_object


def checked(**spec: object) -> HealthCheck:
    parsed = parse_object(manifest("HealthCheck", "check", spec))
    assert isinstance(parsed, HealthCheck), parsed
    return parsed


@pytest.mark.parametrize(
    ("spec", "probe"),
    [
        ({"type": "ICMP"}, IcmpProbe()),
        ({"type": "TCP", "port": 25}, TcpProbe(port=25)),
        ({"type": "TCP", "port": 25, "tls": {}}, TcpProbe(port=25, tls=TlsSettings())),
        ({"type": "HTTP"}, HttpProbe(port=80)),
        ({"type": "HTTPS"}, HttpProbe(port=443, tls=TlsSettings())),
        ({"type": "HTTPS", "port": 8443}, HttpProbe(port=8443, tls=TlsSettings())),
        (
            {"type": "HTTP", "http": {"responseCodes": {"min": 250}}},
            HttpProbe(port=80, status_min=250),
        ),
        (
            {
                "type": "HTTPS",
                "http": {
                    "path": "/up",
                    "host": "h",
                    "method": "GET",
                    "headers": [{"name": "A", "value": "b"}],
                    "responseCodes": {"min": 201, "max": 202},
                    "responseRegexp": "ok",
                },
                "tls": {"serverName": "s", "insecureSkipVerify": True},
            },
            HttpProbe(
                port=443,
                path="/up",
                host="h",
                headers=(("A", "b"),),
                status_min=201,
                status_max=202,
                response_regexp="ok",
                tls=TlsSettings(server_name="s", insecure_skip_verify=True),
            ),
        ),
    ],
)
def test_probe_of_a_health_check(spec: dict[str, object], probe: ProbeKind) -> None:
    assert checked(**spec).probe == probe


def test_fast_and_down_interval_are_by_default_the_interval() -> None:
    five = timedelta(seconds=5)
    assert checked(type="ICMP").cadence == ProbeCadence()
    assert checked(type="ICMP", interval="5s").cadence == ProbeCadence(
        interval=five, fast_interval=five, down_interval=five
    )
    own = checked(type="ICMP", interval="5s", fastInterval="1s", downInterval="7s").cadence
    assert (own.fast_interval.seconds, own.down_interval.seconds) == (1, 7)


def test_probe_sources_go_by_family() -> None:
    check = checked(type="ICMP", probeSource={"ipv4": "192.0.2.9", "ipv6": "2001:db8::9"})
    assert (str(check.source_ipv4), str(check.source_ipv6)) == ("192.0.2.9", "2001:db8::9")
