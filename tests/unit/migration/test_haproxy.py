"""A haproxy.cfg in our words: binds, servers, backups, and what a proxy does that VPP does not."""

from ipaddress import ip_address

import pytest

from data.imports import ImportView, config
from vpplb.migration.haproxy import import_haproxy


def imported(text: str, *vips: str) -> ImportView:
    return ImportView(import_haproxy(config(text), [ip_address(vip) for vip in vips]))


def backend(*lines: str) -> ImportView:
    """Import a listen section of these lines on 192.0.2.1:80; the first of them is line 3."""
    head = ["listen web", "  bind 192.0.2.1:80"]
    return imported("\n".join([*head, *(f"  {line}" for line in lines)]))


def test_a_listen_section_is_a_frontend_with_its_servers() -> None:
    found = backend("server a 10.0.0.1:80 check weight 10", "server b 10.0.0.2:80 disabled")
    assert found.spec("Frontend", "web") == {
        "address": "192.0.2.1",
        "protocol": "TCP",
        "port": 80,
        "flushOnDown": False,
        "pools": [
            {
                "name": "main",
                "backends": [{"name": "web-a", "weight": 10}, {"name": "web-b", "weight": 1}],
            }
        ],
    }
    assert found.spec("Backend", "web-a") == {
        "address": "10.0.0.1",
        "healthCheckRef": {"name": "web"},
    }
    assert found.spec("Backend", "web-b") == {"address": "10.0.0.2", "enabled": False}
    assert found.lost == []


def test_a_server_without_check_has_no_health_check() -> None:
    found = backend("server a 10.0.0.1:80", "server b 10.0.0.2:80 check no-check")
    assert found.names("HealthCheck") == []


def test_servers_with_equal_checks_share_one_and_others_have_their_own() -> None:
    found = backend(
        "server a 10.0.0.1:80 check",
        "server b 10.0.0.2:80 check",
        "server c 10.0.0.3:80 check inter 5s",
    )
    assert found.names("HealthCheck") == ["web", "web-2"]
    assert found.spec("HealthCheck", "web-2")["interval"] == "5s"


def test_the_first_backup_that_is_up_serves_so_each_is_a_pool() -> None:
    found = backend(
        "server a 10.0.0.1:80", "server b 10.0.0.2:80 backup", "server c 10.0.0.3:80 backup"
    )
    pools = found.spec("Frontend", "web")["pools"]
    assert [(pool["name"], len(pool["backends"])) for pool in pools] == [
        ("main", 1),
        ("backup-1", 1),
        ("backup-2", 1),
    ]


def test_all_backups_together_are_one_pool_where_that_is_asked_for() -> None:
    found = backend(
        "option allbackups",
        "server a 10.0.0.1:80",
        "server b 10.0.0.2:80 backup",
        "server c 10.0.0.3:80 backup",
    )
    pools = found.spec("Frontend", "web")["pools"]
    assert [(pool["name"], len(pool["backends"])) for pool in pools] == [("main", 1), ("backup", 2)]


def test_backups_beyond_the_pools_of_a_frontend_are_lost() -> None:
    found = backend(
        "server a 10.0.0.1:80", *(f"server b{n} 10.0.1.{n}:80 backup" for n in range(1, 18))
    )
    assert len(found.spec("Frontend", "web")["pools"]) == 16
    assert [one for one in found.lost if "16 pools" in one] == [
        "19: server b16: a Frontend has 16 pools at most",
        "20: server b17: a Frontend has 16 pools at most",
    ]


def test_weights_above_100_keep_their_proportion_and_no_server_loses_all() -> None:
    found = backend(
        "server a 10.0.0.1:80 weight 256",
        "server b 10.0.0.2:80 weight 128",
        "server c 10.0.0.3:80 weight 1",
        "server d 10.0.0.4:80 weight 0",
    )
    weights = [one["weight"] for one in found.spec("Frontend", "web")["pools"][0]["backends"]]
    assert weights == [100, 50, 1, 0]
    assert "1: backend web: weights above 100 are scaled so that the greatest is that" in (
        found.notes
    )


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("weight many", "weight many is no number"),
        (f"weight {'9' * 5000}", f"weight {'9' * 20} is no number"),
        ("source a.example", "a.example is no address, and names are not looked up"),
    ],
)
def test_a_server_with_a_setting_that_cannot_be_is_left_out_and_said(
    setting: str, why: str
) -> None:
    found = backend(f"server a 10.0.0.1:80 check {setting}", "server b 10.0.0.2:80")
    assert found.lost == [f"3: server a: {why}"]
    assert (found.names("Backend"), found.names("HealthCheck")) == (["web-b"], [])


def test_flows_are_cut_only_where_haproxy_would_cut_them() -> None:
    kept = backend("server a 10.0.0.1:80 on-marked-down shutdown-sessions", "server b 10.0.0.2:80")
    cut = backend(
        "default-server on-marked-down shutdown-sessions",
        "server a 10.0.0.1:80",
        "server b 10.0.0.2:80",
    )
    assert kept.spec("Frontend", "web")["flushOnDown"] is False
    assert cut.spec("Frontend", "web")["flushOnDown"] is True


def test_a_hash_of_the_source_makes_clients_stick() -> None:
    assert backend("balance source", "server a 10.0.0.1:80").spec("Frontend", "web")["srcIPSticky"]
    assert backend("stick on src", "server a 10.0.0.1:80").spec("Frontend", "web")["srcIPSticky"]
    spread = backend("balance leastconn", "server a 10.0.0.1:80")
    assert "srcIPSticky" not in spread.spec("Frontend", "web")
    assert spread.lost == []


def test_a_server_at_another_port_is_left_out_for_packets_come_to_that_of_the_vip() -> None:
    found = backend("server a 10.0.0.1:80 check", "server b 10.0.0.2:8080 check backup")
    assert found.lost == [
        "4: server b: the server is at port 8080, and packets come to port 80, that of the VIP:"
        " it is left out until it listens there"
    ]
    assert found.names("Backend") == ["web-a"]
    assert found.names("HealthCheck") == ["web"]
    [pool] = found.spec("Frontend", "web")["pools"]
    assert [one["name"] for one in pool["backends"]] == ["web-a"]


def test_a_server_is_in_the_pools_of_the_vip_at_its_port() -> None:
    found = imported(
        """
        listen web
            bind 192.0.2.1:80
            bind 192.0.2.1:8080
            server a 10.0.0.1:80
            server b 10.0.0.2:8080
            server c 10.0.0.3
        """
    )
    pools = {
        name: [one["name"] for one in found.spec("Frontend", name)["pools"][0]["backends"]]
        for name in found.names("Frontend")
    }
    assert pools == {"web": ["web-a", "web-c"], "web-8080": ["web-b", "web-c"]}
    assert [one[:11] for one in found.lost] == ["4: server a", "5: server b"]


def test_a_vip_at_whose_port_no_server_listens_is_not_made() -> None:
    found = backend("server a 10.0.0.1:8080 check")
    assert found.lost[0] == ("2: 192.0.2.1 port 80: no server of web can serve it: no VIP is made")
    assert [found.names(kind) for kind in ("Frontend", "Backend", "HealthCheck")] == [[], [], []]


def test_a_frontend_with_several_binds_is_a_frontend_each_and_shares_its_servers() -> None:
    found = imported(
        """
        frontend www
            description all of it
            bind 192.0.2.1:80,192.0.2.2:80-81
            bind [2001:db8::1]:80
            default_backend pool
        backend pool
            server a 10.0.0.1
        """
    )
    vips = [
        (name, found.spec("Frontend", name)["address"], found.spec("Frontend", name)["port"])
        for name in found.names("Frontend")
    ]
    assert vips == [
        ("www", "192.0.2.1", 80),
        ("www-2", "192.0.2.2", 80),
        ("www-81", "192.0.2.2", 81),
        ("www-3", "2001:db8::1", 80),
    ]
    assert found.names("Backend") == ["pool-a"]
    assert found.spec("Frontend", "www")["description"] == "all of it"
    assert found.lost == []


def test_what_is_bound_to_every_address_needs_to_be_told_which() -> None:
    text = """
        listen web
            bind :80
            bind 0.0.0.0:81
            bind [::]:82
            server a 10.0.0.1
        """
    assert [one.partition(": a VIP")[0] for one in imported(text).lost] == [
        "2: bind :80",
        "3: bind 0.0.0.0:81",
        "4: bind [::]:82",
    ]
    told = imported(text, "192.0.2.1", "2001:db8::1")
    assert [
        (told.spec("Frontend", name)["address"], told.spec("Frontend", name)["port"])
        for name in told.names("Frontend")
    ] == [("192.0.2.1", 80), ("2001:db8::1", 80), ("192.0.2.1", 81), ("2001:db8::1", 82)]


def test_a_backend_is_not_called_out_of_reach_where_its_bind_wants_an_address() -> None:
    text = """
        frontend www
            bind :80
            default_backend app
        backend app
            server a 10.0.0.1:80
        """
    assert imported(text).lost == [
        "2: bind :80: a VIP is one address, and this is every address: say which by --vip"
    ]


def test_defaults_hold_for_the_sections_that_follow_or_name_them() -> None:
    found = imported(
        """
        defaults one
            default-server inter 5s
        defaults two
            default-server inter 7s
            balance source
        listen a from one
            bind 192.0.2.1:80
            server a 10.0.0.1:80 check
        listen b
            bind 192.0.2.2:80
            server a 10.0.0.1:80 check
            server b 10.0.0.2:80 check inter 1s
        """
    )
    assert found.spec("HealthCheck", "a")["interval"] == "5s"
    assert found.spec("HealthCheck", "b")["interval"] == "7s"
    assert found.spec("HealthCheck", "b-2")["interval"] == "1s"
    assert "srcIPSticky" not in found.spec("Frontend", "a")
    assert found.spec("Frontend", "b")["srcIPSticky"] is True


def test_what_looks_at_requests_is_lost_line_by_line() -> None:
    found = imported(
        """
        frontend www
            bind 192.0.2.1:443 ssl crt /etc/ssl/site.pem
            acl api path_beg /api
            http-request deny if { src 198.51.100.1 }
            use_backend api if api
            default_backend web
            frobnicate yes
        backend web
            server a 10.0.0.1:443 send-proxy ssl verify none
        backend api
            server b 10.0.0.2:443
        """
    )
    assert [one.rsplit(": ", 1)[0].split(": ")[:2] for one in found.lost] == [
        ["2", "bind"],
        ["3", "acl api path_beg /api"],
        ["4", "http-request deny if { src 198.51.100.1 }"],
        ["5", "use_backend api if api"],
        ["7", "frobnicate yes"],
        ["9", "server a"],
        ["9", "server a"],
        ["10", "backend api"],
    ]
    assert found.names("Frontend") == ["www"]


def test_a_name_is_not_looked_up_and_a_unix_socket_is_no_vip() -> None:
    found = imported(
        """
        listen web
            bind /run/web.sock
            bind 192.0.2.1:80
            server a web.example:80 check
            server b 10.0.0.1:80
        """
    )
    assert found.lost == [
        "2: bind /run/web.sock: a Unix socket is no address that VPP could have",
        "4: server a: web.example is no address, and names are not looked up",
    ]
    assert found.names("Backend") == ["web-b"]


def test_a_section_that_leads_nowhere_is_said() -> None:
    found = imported(
        """
        global
            maxconn 100
        resolvers dns
            nameserver one 192.0.2.53:53
        listen stats
            bind 192.0.2.1:8404
            stats enable
        frontend www
            bind 192.0.2.1:80
            default_backend missing
        frontend bindless
            default_backend missing
        listen off
            disabled
            bind 192.0.2.1:81
            server a 10.0.0.1
        """
    )
    assert found.lost == [
        "3: resolvers dns: no name is resolved: a Backend has an address",
        "5: listen stats: all its traffic goes by requests, or nowhere: there is no VIP",
        "10: default_backend missing: missing has no servers: no VIP is made",
        "11: frontend bindless: it has no bind",
        "13: listen off: it is disabled",
    ]


def test_a_certificate_authority_in_a_file_has_to_be_brought_along() -> None:
    found = backend("server a 10.0.0.1:80 check check-ssl ca-file /etc/ca.pem verifyhost a.example")
    assert found.lost == [
        "3: server a: ca-file: put the certificates of /etc/ca.pem into spec.tls.caBundle:"
        " without, checks fail"
    ]
    assert found.spec("HealthCheck", "web")["tls"] == {
        "insecureSkipVerify": False,
        "serverName": "a.example",
    }


def test_certificates_that_haproxy_does_not_verify_are_not_verified() -> None:
    found = imported(
        """
        global
            ssl-server-verify none
        defaults
        listen web
            bind 192.0.2.1:443
            server a 10.0.0.1:443 check check-ssl
        """
    )
    assert found.spec("HealthCheck", "web")["tls"] == {"insecureSkipVerify": True}


def test_default_servers_of_defaults_and_backend_add_up() -> None:
    """haproxy/haproxy#2559: both `weight 42` and `backup` hold for each server."""
    found = imported(
        """
        defaults
            mode tcp
            default-server resolvers test resolve-opts allow-dup-ip weight 42
        frontend foo
            bind 127.0.0.1:9999
            use_backend bar
        backend bar
            default-server backup
            server app1 127.0.0.1:9999 no-check
            server app2 127.0.0.2:9999 no-check weight 7
        """
    )
    pools = found.spec("Frontend", "foo")["pools"]
    assert [(pool["name"], pool["backends"][0]["weight"]) for pool in pools] == [
        ("backup-1", 42),
        ("backup-2", 7),
    ]
    assert found.lost == []


def test_a_check_that_is_described_before_it_is_asked_for() -> None:
    """haproxy/haproxy#2729: `option httpchk` comes last."""
    found = backend(
        "http-check send meth GET uri / ver HTTP/1.1 hdr host api.example",
        "http-check expect status 200",
        "option httpchk",
        "server a 10.0.0.1:80 check",
    )
    http = found.spec("HealthCheck", "web")["http"]
    assert (http["method"], http["host"], http["responseCodes"]["max"]) == (
        "GET",
        "api.example",
        200,
    )
    assert found.lost == []


def test_many_backups_with_weights_between_active_servers() -> None:
    """haproxy/haproxy#133: sixteen servers, of which seven are backups, each with its weight."""
    found = backend(
        *(
            f"server c{n} 10.0.5.{n}:80 check fastinter 450ms weight {n}"
            + (" backup" if n % 2 else "")
            for n in range(1, 15)
        )
    )
    pools = found.spec("Frontend", "web")["pools"]
    assert [one["weight"] for one in pools[0]["backends"]] == [2, 4, 6, 8, 10, 12, 14]
    assert [pool["backends"][0]["name"] for pool in pools[1:]] == [
        f"web-c{n}" for n in (1, 3, 5, 7, 9, 11, 13)
    ]
    assert found.names("HealthCheck") == ["web"]
    assert found.spec("HealthCheck", "web")["fastInterval"] == "450ms"


def test_a_server_that_starts_slowly_is_said_for_each() -> None:
    """haproxy/haproxy#126: `maxqueue` and `slowstart` have no place here."""
    found = backend("server x121 10.0.0.1:80 check weight 64 maxqueue 1 slowstart 100s inter 1000")
    assert [one.split(": ")[2] for one in found.lost] == ["maxqueue 1", "slowstart 100s"]
    assert found.spec("HealthCheck", "web")["interval"] == "1s"


def test_conditions_are_said_wherever_they_stand_and_every_branch_is_taken() -> None:
    found = imported(
        """
        .if defined(A)
        global
            .notice "a"
        .endif
        listen web
            bind 192.0.2.1:80
            .if streq("$B",b)
            server a 10.0.0.1:80
            .else
            server b 10.0.0.2:80
            .endif
        """
    )
    assert [one.split(":")[0] for one in found.lost] == ["1", "3", "4", "7", "9", "11"]
    assert found.names("Backend") == ["web-a", "web-b"]
