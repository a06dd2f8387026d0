"""A maglev.yaml in our words: each key of vpp-maglev, its defaults, and what is not carried."""

from datetime import timedelta

import pytest

from data.imports import ImportView, config
from vpplb.migration.drafts import UnparseableConfig
from vpplb.migration.maglev import import_maglev, read_go_duration

LB = """
  vpp:
    lb: {ipv4-src-address: 192.0.2.1, ipv6-src-address: "2001:db8::1"}
"""


def imported(text: str, lb: str = LB) -> ImportView:
    return ImportView(import_maglev("maglev:" + lb + text, "local"))


def test_a_whole_check_is_carried_key_by_key() -> None:
    found = imported("""
  healthchecks:
    web:
      type: http
      port: 8080
      interval: 2s
      fast-interval: 500ms
      down-interval: 30s
      timeout: 1.5s
      rise: 4
      fall: 5
      probe-ipv4-src: 192.0.2.7
      probe-ipv6-src: 2001:db8::7
      params: {path: /ok, host: a.example, response-code: "200-204", response-regexp: alive}
""")
    assert found.spec("HealthCheck", "web") == {
        "type": "HTTP",
        "port": 8080,
        "interval": "2s",
        "fastInterval": "500ms",
        "downInterval": "30s",
        "timeout": "1s500ms",
        "rise": 4,
        "fall": 5,
        "probeSource": {"ipv4": "192.0.2.7", "ipv6": "2001:db8::7"},
        "http": {
            "path": "/ok",
            "host": "a.example",
            "responseRegexp": "alive",
            "responseCodes": {"min": 200, "max": 204},
        },
    }
    assert found.lost == []


def test_a_check_of_tls_verifies_the_name_of_the_request_unless_another_is_given() -> None:
    found = imported("""
  healthchecks:
    own: &check
      {type: https, port: 443, interval: 1s, timeout: 1s,
       params: {path: /, host: a.example, response-code: 200}}
    other:
      <<: *check
      params: {path: /, host: a.example, response-code: 200, server-name: b.example,
               insecure-skip-verify: true}
    handshake:
      {type: tcp, port: 443, interval: 1s, timeout: 1s, params: {ssl: true, server-name: c.example}}
    plain: {type: tcp, port: 25, interval: 1s, timeout: 1s}
""")
    assert found.spec("HealthCheck", "own")["tls"] == {
        "insecureSkipVerify": False,
        "serverName": "a.example",
    }
    assert found.spec("HealthCheck", "other")["tls"] == {
        "insecureSkipVerify": True,
        "serverName": "b.example",
    }
    assert found.spec("HealthCheck", "handshake")["tls"] == {
        "insecureSkipVerify": False,
        "serverName": "c.example",
    }
    assert "tls" not in found.spec("HealthCheck", "plain")
    assert found.lost == []


def test_what_a_check_leaves_out_is_written_and_said_where_it_may_differ() -> None:
    found = imported("""
  healthchecks:
    web:
      type: http
""")
    spec = found.spec("HealthCheck", "web")
    assert (spec["interval"], spec["timeout"], spec["rise"], spec["fall"]) == ("2s", "1s", 2, 3)
    assert spec["http"]["responseCodes"] == {"min": 200, "max": 399}
    assert [one.split(": ")[1] for one in found.lost] == [
        "healthchecks.web.port",
        "healthchecks.web.interval",
        "healthchecks.web.timeout",
        "healthchecks.web.params.response-code",
    ]


def test_the_settings_of_vpp_are_those_that_maglevd_would_have_set() -> None:
    found = imported("")
    assert found.spec("Dataplane", "local") == {
        "ipv4SourceAddress": "192.0.2.1",
        "ipv6SourceAddress": "2001:db8::1",
        "stickyBucketsPerCore": 65536,
        "flowTimeout": "40s",
    }
    given = imported("", "\n  vpp: {lb: {sticky-buckets-per-core: 1024, flow-timeout: 60s}}\n")
    spec = given.spec("Dataplane", "local")
    assert (spec["stickyBucketsPerCore"], spec["flowTimeout"]) == (1024, "1m")
    assert [one.split(": ")[1] for one in given.lost] == [
        "vpp.lb.ipv4-src-address",
        "vpp.lb.ipv6-src-address",
    ]


def test_what_is_about_the_program_becomes_options_of_ours() -> None:
    found = imported(
        """
  healthchecker: {netns: dataplane, transition-history: 10}
""",
        LB + "      # more\n",
    )
    assert found.imported.options == {"--netns": "dataplane", "--transition-history": "10"}
    timed = imported(
        "",
        "\n  vpp: {lb: {ipv4-src-address: 192.0.2.1, ipv6-src-address: 2001:db8::1,"
        " sync-interval: 10s, startup-min-delay: 5s, startup-max-delay: 1m}}\n",
    )
    assert timed.imported.options == {"--sync-interval": "10s"}
    assert [one.split(": ")[1] for one in timed.notes] == [
        "vpp.lb.sync-interval",
        "vpp.lb.startup-min-delay",
        "vpp.lb.startup-max-delay",
    ]
    assert timed.lost == []


def test_a_frontend_with_its_pools_and_their_defaults() -> None:
    found = imported("""
  backends:
    a: {address: 10.0.0.1}
    b: {address: 10.0.0.2, enabled: false}
  frontends:
    web:
      description: the web
      address: 203.0.113.1
      protocol: tcp
      port: 80
      src-ip-sticky: true
      flush-on-down: false
      pools:
        - {name: primary, backends: {a: {weight: 10}, b: {}}}
        - {name: spare, backends: {b: {weight: 0}}}
    every-port: {address: "2001:db8::80", pools: [{name: p, backends: {a: {}}}]}
""")
    assert found.spec("Backend", "b") == {"address": "10.0.0.2", "enabled": False}
    assert found.spec("Frontend", "web") == {
        "description": "the web",
        "address": "203.0.113.1",
        "port": 80,
        "protocol": "TCP",
        "srcIPSticky": True,
        "flushOnDown": False,
        "pools": [
            {
                "name": "primary",
                "backends": [{"name": "a", "weight": 10}, {"name": "b", "weight": 100}],
            },
            {"name": "spare", "backends": [{"name": "b", "weight": 0}]},
        ],
    }
    assert found.spec("Frontend", "every-port") == {
        "address": "2001:db8::80",
        "protocol": "Any",
        "pools": [{"name": "p", "backends": [{"name": "a", "weight": 100}]}],
    }


@pytest.mark.parametrize(
    ("written", "kind", "more"),
    [
        ("icmp", "ICMP", ""),
        ("tcp", "TCP", ", port: 25"),
        ("http", "HTTP", ", port: 80, params: {response-code: 200}"),
        ("https", "HTTPS", ", port: 443, params: {response-code: 200}"),
    ],
)
def test_each_type_of_check_is_ours(written: str, kind: str, more: str) -> None:
    found = imported(f"""
  healthchecks:
    web: {{type: {written}, interval: 1s, timeout: 1s{more}}}
""")
    assert found.lost == []
    spec = found.spec("HealthCheck", "web")
    assert spec["type"] == kind
    assert ("http" in spec, "tls" in spec) == (kind in ("HTTP", "HTTPS"), kind == "HTTPS")


@pytest.mark.parametrize(("written", "protocol"), [("tcp", "TCP"), ("udp", "UDP"), ("any", "Any")])
def test_each_protocol_is_ours(written: str, protocol: str) -> None:
    port = {} if written == "any" else {"port": 53}
    found = imported(f"""
  backends:
    a: {{address: 10.0.0.1}}
  frontends:
    dns:
      address: 203.0.113.1
      protocol: {written}
      {"".join(f"port: {number}" for number in port.values())}
      pools: [{{name: p, backends: {{a: {{}}}}}}]
""")
    assert found.lost == []
    assert found.spec("Frontend", "dns") == {
        "address": "203.0.113.1",
        "protocol": protocol,
        **port,
        "pools": [{"name": "p", "backends": [{"name": "a", "weight": 100}]}],
    }


def test_names_that_no_object_may_have_are_changed_with_all_that_refer_to_them() -> None:
    found = imported("""
  healthchecks:
    HTTP_check: {type: icmp, interval: 1s, timeout: 1s}
    http-check: {type: icmp, interval: 2s, timeout: 1s}
  backends:
    Nginx_0: {address: 10.0.0.1, healthcheck: HTTP_check}
  frontends:
    web: {address: 203.0.113.1, port: 80, pools: [{name: Main, backends: {Nginx_0: {}}},
                                                  {name: main, backends: {Nginx_0: {}}}]}
""")
    assert found.names("HealthCheck") == ["http-check", "http-check-2"]
    assert found.spec("HealthCheck", "http-check")["type"] == "ICMP"
    assert found.spec("Backend", "nginx-0")["healthCheckRef"] == {"name": "http-check"}
    pools = found.spec("Frontend", "web")["pools"]
    assert [pool["name"] for pool in pools] == ["main", "main-2"]
    assert pools[0]["backends"] == [{"name": "nginx-0", "weight": 100}]
    assert sum(" named " in one for one in found.notes) == 5
    assert found.lost == []


def test_an_unknown_key_is_a_finding_with_its_line_wherever_it_stands() -> None:
    text = config("""
        maglev:
          healthchecker:
            netnss: x
          vpp:
            lb: {ipv4-src-address: 192.0.2.1, ipv6-src-address: "2001:db8::1", flow-timeot: 1s}
          healthchecks:
            web:
              type: icmp
              interval: 1s
              timeout: 1s
              params:
                path: /
          backends:
            a:
              address: 10.0.0.1
              weight: 5
          frontends:
            web:
              address: 203.0.113.1
              port: 80
              backends: [a]
              pools:
                - name: p
                  backends:
                    a:
                      wieght: 1
          more: 1
        other: 2
    """)
    lost = ImportView(import_maglev(text, "local")).lost
    assert lost == [
        "3: healthchecker.netnss: is not known; did you mean netns?",
        "5: vpp.lb.flow-timeot: is not known; did you mean flow-timeout?",
        "12: healthchecks.web.params.path: is not known",
        "16: backends.a.weight: is not known",
        "21: frontends.web.backends: is not known",
        "26: frontends.web.pools[0].backends.a.wieght: is not known; did you mean weight?",
        "27: more: is not known",
        "28: other: is not known",
    ]


def test_values_that_mean_nothing_are_findings_and_the_rest_is_carried() -> None:
    found = imported("""
  healthchecks:
    web: {type: smtp, port: 25, interval: soon, timeout: 1s}
  backends:
    a: {address: 10.0.0.1}
  frontends:
    web: {address: 203.0.113.1, protocol: sctp, port: 80,
          pools: [{name: p, backends: {a: {weight: 101}}}]}
""")
    assert [one.split(": ", 1)[1] for one in found.lost] == [
        "healthchecks.web.type: smtp is none of icmp, tcp, http, https",
        "healthchecks.web.interval: soon is no duration of Go",
        "healthchecks.web.interval: is not given, 2s is taken:"
        " say what `maglevc show healthcheck` says",
        "frontends.web.protocol: sctp is none of tcp, udp, any",
        "frontends.web.pools[0].backends.a.weight: 101 is no weight from 0 to 100: 0 is taken",
    ]
    assert found.spec("HealthCheck", "web")["port"] == 25


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no maglev: at the top"),
        ("frontends: {}", "there is no maglev: at the top"),
        ("maglev: [", "is not YAML: "),
    ],
)
def test_what_is_no_maglev_yaml_is_refused(text: str, says: str) -> None:
    with pytest.raises(UnparseableConfig) as caught:
        import_maglev(text, "local")
    assert caught.value.message.startswith(says)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2s", 2000),
        ("1.5s", 1500),
        ("1m30s", 90_000),
        ("100ms", 100),
        ("2h", 7_200_000),
        ("1500us", 1.5),
        ("1500µs", 1.5),
        (".5s", 500),
    ],
)
def test_a_duration_of_go(text: str, milliseconds: float) -> None:
    assert read_go_duration(text) == timedelta(milliseconds=milliseconds)


@pytest.mark.parametrize("text", ["", "2", "s", "2 s", "-2s", "2sm", "1.2.3s", f"{10**18}h"])
def test_what_is_no_duration_of_go(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration of Go"):
        read_go_duration(text)
