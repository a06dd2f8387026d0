"""A keepalived.conf in our words: virtual servers, real servers, and what else it does."""

from typing import Any

import pytest

from data.imports import ImportView, config
from vpplb.migration.keepalived import import_keepalived


def imported(text: str) -> ImportView:
    return ImportView(import_keepalived(config(text)))


def server(*lines: str, vip: str = "192.0.2.1 80") -> ImportView:
    """Import a virtual server of these lines, the first of which is line 2."""
    return imported("\n".join([f"virtual_server {vip} {{", *lines, "}"]))


def test_a_virtual_server_is_a_frontend_with_its_real_servers() -> None:
    found = server("real_server 10.0.0.1 80 { weight 10 }", "real_server 10.0.0.2 80 { }")
    assert found.spec("Frontend", "192.0.2.1-80") == {
        "address": "192.0.2.1",
        "protocol": "TCP",
        "port": 80,
        "pools": [
            {
                "name": "main",
                "backends": [{"name": "10.0.0.1", "weight": 10}, {"name": "10.0.0.2", "weight": 1}],
            }
        ],
    }
    assert found.spec("Backend", "10.0.0.1") == {"address": "10.0.0.1"}
    assert found.lost == []


def test_names_are_made_of_addresses_of_both_families_and_the_protocol() -> None:
    found = server("protocol UDP", "real_server 10.0.0.1 53 { }", vip="2001:db8::1 53")
    assert found.names("Frontend") == ["2001-db8-1-53-udp"]
    assert found.spec("Frontend", "2001-db8-1-53-udp")["protocol"] == "UDP"


def test_the_sorry_server_is_a_pool_that_serves_when_nobody_else_does() -> None:
    found = server("sorry_server 10.9.9.9 80", "real_server 10.0.0.1 80 { }")
    pools = found.spec("Frontend", "192.0.2.1-80")["pools"]
    assert [(pool["name"], pool["backends"][0]["name"]) for pool in pools] == [
        ("main", "10.0.0.1"),
        ("sorry", "10.9.9.9"),
    ]


def test_weighted_failover_is_a_pool_for_each_server_the_heaviest_first() -> None:
    found = server(
        "lvs_sched fo",
        "real_server 10.0.0.1 80 { weight 1 }",
        "real_server 10.0.0.2 80 { weight 9 }",
    )
    pools = found.spec("Frontend", "192.0.2.1-80")["pools"]
    assert [(pool["name"], pool["backends"][0]["name"]) for pool in pools] == [
        ("main", "10.0.0.2"),
        ("main-2", "10.0.0.1"),
    ]


@pytest.mark.parametrize(
    ("lines", "sticky"),
    [
        (("lb_algo rr",), False),
        (("lb_algo sh",), True),
        (("lvs_sched mh",), True),
        (("lvs_sched sh", "sh-port"), False),
        (("persistence_timeout 300",), True),
        (("persistence_timeout",), True),
    ],
)
def test_who_sticks(lines: tuple[str, ...], sticky: bool) -> None:
    found = server(*lines, "real_server 10.0.0.1 80 { }")
    assert found.spec("Frontend", "192.0.2.1-80").get("srcIPSticky", False) is sticky
    assert found.lost == []


@pytest.mark.parametrize(
    ("lines", "flush"),
    [
        (("real_server 10.0.0.1 80 { }",), True),
        (("inhibit_on_failure", "real_server 10.0.0.1 80 { }"), False),
        (("real_server 10.0.0.1 80 {", "inhibit_on_failure", "}"), False),
        (("inhibit_on_failure no", "real_server 10.0.0.1 80 { }"), True),
    ],
)
def test_flows_stay_where_a_failed_server_stays_in_ipvs(
    lines: tuple[str, ...], flush: bool
) -> None:
    assert server(*lines).spec("Frontend", "192.0.2.1-80").get("flushOnDown", True) is flush


def test_a_virtual_server_without_port_is_for_all() -> None:
    found = server("persistence_timeout 5", "real_server 10.0.0.1 { }", vip="192.0.2.1")
    assert found.spec("Frontend", "192.0.2.1-any")["protocol"] == "Any"
    assert "port" not in found.spec("Frontend", "192.0.2.1-any")


def test_a_group_is_a_frontend_for_each_address_of_it() -> None:
    found = imported(
        """
        virtual_server_group web {
            192.0.2.1 80
            192.0.2.8-10 443
            192.0.2.254-192.0.3.1 443
            198.51.100.0/31 80
            2001:db8::fe-ff 80
            fwmark 7
        }
        virtual_server group web {
            real_server 10.0.0.1 { TCP_CHECK { } }
        }
        """
    )
    assert found.spec("HealthCheck", "tcp-80")["port"] == 80  # of the first, where none is given
    assert len(found.names("Frontend")) == 1 + 3 + 4 + 2 + 2
    assert "198.51.100.1-80" in found.names("Frontend")
    assert found.names("Backend") == ["10.0.0.1"]
    assert found.lost == ["7: fwmark 7: VPP has no marks of a firewall"]


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ("fwmark 7", "VPP has no marks of a firewall: name the VIP's address"),
        ("group none", "there is no virtual_server_group none"),
        ("web.example 80", "web.example is no address, and names are not looked up"),
        ("192.0.2.1 http", "http is no port"),
    ],
)
def test_what_is_no_vip(head: str, why: str) -> None:
    found = server("real_server 10.0.0.1 80 { }", vip=head)
    assert found.lost == [f"1: virtual_server {head}: {why}"]
    assert found.names("Frontend") == []


def test_a_port_of_thousands_of_digits_is_none() -> None:
    found = server("real_server 10.0.0.1 80 { }", vip=f"192.0.2.1 {'9' * 5000}")
    assert [one.rpartition(": ")[2] for one in found.lost] == [f"{'9' * 20} is no port"]


def test_ranges_that_are_too_long_or_turned_around_are_refused() -> None:
    for entry in ("10.0.0.0/8 80", "192.0.2.9-1 80", "10.0.0.1-10.1.0.1 80"):
        found = imported(f"virtual_server_group g {{\n{entry}\n}}\nvirtual_server group g {{\n}}\n")
        assert "too many addresses" in found.lost[0]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("192.0.2.1-x", "x is no end of a range"),
        ("192.0.2.1-300", "300 is no end of a range"),
        ("192.0.2.1-1.2.3", "1.2.3 is no address, and names are not looked up"),
        ("192.0.2.0/33", "192.0.2.0/33 is no network"),
    ],
)
def test_ranges_that_are_none_are_refused_in_our_words(entry: str, why: str) -> None:
    found = imported(f"virtual_server_group g {{\n{entry} 80\n}}\nvirtual_server group g {{\n}}\n")
    assert found.lost == [f"4: virtual_server group g: {why}"]


def test_failover_over_as_many_servers_as_there_may_be_pools_leaves_none_out() -> None:
    servers = [f"real_server 10.0.0.{n} 80 {{ weight {50 - n} }}" for n in range(1, 17)]
    alone = server("lvs_sched fo", *servers)
    assert alone.lost == []
    assert len(alone.spec("Frontend", "192.0.2.1-80")["pools"]) == 16
    with_sorry = server("lvs_sched fo", "sorry_server 10.9.9.9 80", *servers)
    assert with_sorry.lost == [
        "19: virtual_server 192.0.2.1 80: a Frontend has 16 pools at most",
    ]
    assert len(with_sorry.spec("Frontend", "192.0.2.1-80")["pools"]) == 16


@pytest.mark.parametrize(
    ("weight", "why"),
    [
        ("9" * 5000, f"weight {'9' * 20} is no number"),
        ("65536", "weight 65536 is above 65535"),
        ("-1", "weight -1 is no number"),
    ],
)
def test_a_weight_that_is_none_is_said_in_our_words(weight: str, why: str) -> None:
    found = server(f"real_server 10.0.0.1 80 {{ weight {weight} }}")
    assert found.lost[-1] == f"2: real_server 10.0.0.1 80: {why}"


def test_real_servers_that_cannot_be_are_left_out_and_said() -> None:
    found = server(
        "real_server name.example 80 { }",
        "real_server 10.0.0.1 80 { weight many }",
        "real_server 10.0.0.2 8080 { }",
        "real_server 10.0.0.2 8081 { }",
    )
    assert [one.split(": ", 1)[1] for one in found.lost] == [
        "192.0.2.1 port 80: no server can serve it: no VIP is made",
        "real_server name.example 80: name.example is no address, and names are not looked up",
        "real_server 10.0.0.1 80: weight many is no number",
        "real_server 10.0.0.2 8080: the server is at port 8080, and packets come to port 80,"
        " that of the VIP: it is left out until it listens there",
        "real_server 10.0.0.2 8081: the server is at port 8081, and packets come to port 80,"
        " that of the VIP: it is left out until it listens there",
    ]
    assert found.names("Backend") == []


def test_a_server_is_in_a_pool_once_and_at_one_port_of_a_vip_for_all() -> None:
    found = server("real_server 10.0.0.1 80 { }", "real_server 10.0.0.1 81 { }", vip="192.0.2.1")
    assert [one.split(": ", 1)[1] for one in found.lost] == [
        "real_server 10.0.0.1 80: the server is at port 80, and packets come to all ports",
        "real_server 10.0.0.1 81: the server is at port 81, and packets come to all ports",
        "real_server 10.0.0.1 81: a server is in a pool once: it gets no more for another port",
    ]
    assert found.names("Backend") == ["10.0.0.1"]


def test_a_server_is_in_the_pools_of_the_vips_at_its_port() -> None:
    found = imported(
        """
        virtual_server_group web {
            192.0.2.1 80
            192.0.2.1 8080
        }
        virtual_server group web {
            real_server 10.0.0.1 80 { }
            real_server 10.0.0.2 8080 { }
            sorry_server 10.0.0.3 80
        }
        """
    )
    servers = {
        name: [
            one["name"]
            for pool in found.spec("Frontend", name)["pools"]
            for one in pool["backends"]
        ]
        for name in found.names("Frontend")
    }
    assert servers == {
        "192.0.2.1-80": ["10.0.0.1", "10.0.0.3"],
        "192.0.2.1-8080": ["10.0.0.2"],
    }


def test_servers_and_checks_that_are_equal_are_shared_between_virtual_servers() -> None:
    real = "real_server 10.0.0.1 80 {\nTCP_CHECK {\nconnect_port 80\n}\n}"
    found = imported(
        f"virtual_server 192.0.2.1 80 {{\n{real}\n}}\n"
        f"virtual_server 192.0.2.2 80 {{\n{real}\n}}\n"
        f"virtual_server 192.0.2.3 80 {{\ndelay_loop 5\n{real}\n}}\n"
    )
    assert found.names("HealthCheck") == ["tcp-80", "tcp-80-2"]
    assert found.names("Backend") == ["10.0.0.1", "10.0.0.1-2"]


def test_what_is_not_carried_is_said_by_line() -> None:
    found = imported(
        """
        global_defs {
            router_id LVS
        }
        vrrp_instance VI_1 {
            virtual_ipaddress { 192.0.2.1 }
        }
        virtual_server 192.0.2.1 80 {
            lb_kind DR
            quorum 2
            quorum_up "/bin/notify up"
            persistence_granularity 255.255.255.0
            frobnicate
            real_server 10.0.0.1 80 {
                notify_down "/bin/notify down"
                uthreshold 100
                lvs_method TUN type gre
            }
        }
        another_block { }
        include /etc/keepalived/more.conf
        @main virtual_server 192.0.2.2 80 { }
        """
    )
    assert [(one.split(": ")[0], one.split(": ")[1].split()[0]) for one in found.lost] == [
        ("9", "quorum"),
        ("10", "quorum_up"),
        ("11", "persistence_granularity"),
        ("12", "frobnicate"),
        ("14", "notify_down"),
        ("15", "uthreshold"),
        ("19", "another_block"),
        ("20", "include"),
        ("21", "@main"),
    ]
    assert [one.split(": ")[0] for one in found.notes] == ["1", "4", "8", "16"]


def test_a_protocol_that_vpp_has_not_makes_no_vip() -> None:
    found = server("protocol SCTP", "real_server 10.0.0.1 80 { }")
    assert found.lost == ["1: virtual_server 192.0.2.1 80: there are no VIPs of SCTP"]


def check(*lines: str, above: str = "") -> tuple[dict[str, Any], ImportView]:
    """Import a real server with these lines, the first of which is line 3 (4 with `above`)."""
    found = server(*([above] if above else []), "real_server 10.0.0.1 80 {", *lines, "}")
    names = found.names("HealthCheck")
    return (found.spec("HealthCheck", names[0]) if names else {}), found


def test_settings_are_inherited_by_real_servers_and_checkers() -> None:
    spec, found = check("delay_loop 7", "TCP_CHECK {", "connect_timeout 2", "}", above="retry 4")
    assert (spec["interval"], spec["timeout"], spec["fall"]) == ("7s", "2s", 5)
    assert found.lost == []


def test_settings_of_a_report_with_alpha_and_a_check_of_another_port() -> None:
    """acassen/keepalived#1163."""
    spec, found = check(
        "weight 1",
        "TCP_CHECK {",
        "connect_port 23",
        "connect_timeout 15",
        "retry 3",
        "delay_before_retry 3",
        "}",
        above="alpha",
    )
    assert (spec["port"], spec["timeout"], spec["fastInterval"], spec["fall"]) == (
        23,
        "15s",
        "3s",
        4,
    )
    assert found.lost == []


def test_a_sorry_server_that_is_a_real_server_too_is_in_both_pools() -> None:
    """acassen/keepalived#1370: there it could not come back; here it is one server of VPP."""
    found = server("sorry_server 10.0.0.1 80", "real_server 10.0.0.1 80 { TCP_CHECK { } }")
    pools = found.spec("Frontend", "192.0.2.1-80")["pools"]
    assert [pool["backends"][0]["name"] for pool in pools] == ["10.0.0.1", "10.0.0.1-2"]
    assert found.spec("Backend", "10.0.0.1-2") == {"address": "10.0.0.1"}
    assert found.lost == []


def test_a_quorum_of_none_or_of_many_is_said() -> None:
    """acassen/keepalived#373 and #187."""
    for quorum in ("0", "10"):
        found = server(f"quorum {quorum}", "real_server 10.0.0.1 80 { weight 11 }")
        assert found.lost == [f"2: quorum {quorum}: a pool serves while one of its servers does"]


def test_a_weight_of_zero_is_one() -> None:
    """acassen/keepalived#1762 allowed it: the server drains."""
    found = server("real_server 10.0.0.1 80 { weight 0 }", "real_server 10.0.0.2 80 { weight 5 }")
    pools = found.spec("Frontend", "192.0.2.1-80")["pools"]
    assert [one["weight"] for one in pools[0]["backends"]] == [0, 5]


@pytest.mark.parametrize("line", ["sorry_server 10.9.9.9 -1", "real_server 10.0.0.1 http { }"])
def test_a_port_that_is_none_is_said(line: str) -> None:
    assert any("is no port" in one for one in server(line, "real_server 10.0.0.2 80 { }").lost)
