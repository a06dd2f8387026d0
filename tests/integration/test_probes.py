"""Every kind of probe over IPv4 and IPv6, on loopback.

How each behaviour of a backend is judged: tests/integration/test_backend_behaviours.py; probes in
network namespaces, and the processes that probe: tests/integration/test_prober_processes.py.
"""

import asyncio
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml

from data.manifests import backend, frontend, health_check
from fakes.load_balancer import FakeLoadBalancer
from lab.authority import Authority, self_signed_server
from lab.probing import first_verdict, probed, spec
from lab.servers import (
    CountingHttpServer,
    ScriptedServer,
    answering,
    dripping,
    silent,
)
from lab.waiting import eventually
from vpplb.model.check import (
    HttpProbe,
    IcmpProbe,
    TcpProbe,
    TlsSettings,
)
from vpplb.resources.allowances import AddressAllowances
from vpplb.standalone.app import StandaloneApp
from vpplb.standalone.standalone_parts import StandaloneOptions

FAMILIES = pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
NOWHERE = {"127.0.0.1": "203.0.113.9", "::1": "2001:db8::9"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall fine"


@FAMILIES
class TestTcp:
    def test_connected(self, address: str) -> None:
        with ScriptedServer(silent, address=address) as server:
            assert probed(TcpProbe(port=server.port), address) == ("L4OK", "connected")

    def test_refused(self, address: str) -> None:
        with ScriptedServer(silent, address=address) as server:
            port = server.port
        assert probed(TcpProbe(port=port), address) == ("L4CON", "connection refused")

    def test_from_a_source_address_that_is_not_ours(self, address: str) -> None:
        check = spec(TcpProbe(port=1), address, source=NOWHERE[address])
        assert first_verdict(check) == ("L4CON", "no such source address")


def test_from_a_given_source_address() -> None:
    with ScriptedServer(answering(OK)) as server:
        check = spec(HttpProbe(port=server.port), source="127.0.0.9")
        assert first_verdict(check) == ("L7OK", "200 OK")
    assert server.peers == ["127.0.0.9"]


@FAMILIES
class TestHttp:
    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            (200, ("L7OK", "200 OK")),
            (404, ("L7STS", "404 Not Found")),
            (503, ("L7STS", "503 Service Unavailable")),
        ],
    )
    def test_the_status_decides(self, address: str, status: int, outcome: tuple[str, str]) -> None:
        with CountingHttpServer(address=address) as server:
            server.status = status
            assert probed(HttpProbe(port=server.port, path="/health"), address) == outcome
            assert server.requests == {"/health": 1}

    def test_refused(self, address: str) -> None:
        with ScriptedServer(silent, address=address) as server:
            port = server.port
        assert probed(HttpProbe(port=port), address) == ("L4CON", "connection refused")


def test_http_answered_slowly_but_in_time_passes() -> None:
    with ScriptedServer(dripping(OK)) as server:
        assert probed(HttpProbe(port=server.port, response_regexp="fine")) == ("L7OK", "200 OK")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


class TestHttps:
    @FAMILIES
    def test_a_good_certificate_of_an_own_authority(
        self, address: str, authority: Authority
    ) -> None:
        tls = TlsSettings(ca_bundle=authority.pem)
        with ScriptedServer(
            answering(OK), address=address, tls=authority.server(address)
        ) as server:
            probe = HttpProbe(port=server.port, tls=tls, response_regexp="fine")
            assert probed(probe, address) == ("L7OK", "200 OK")

    def test_skipping_the_verification(self) -> None:
        tls = TlsSettings(insecure_skip_verify=True)
        with ScriptedServer(answering(OK), tls=self_signed_server("a.example")) as server:
            assert probed(HttpProbe(port=server.port, tls=tls)) == ("L7OK", "200 OK")


def test_a_tls_handshake_alone_is_complete_for_the_server(authority: Authority) -> None:
    heard: list[bytes] = []
    tls = TlsSettings(ca_bundle=authority.pem)
    with ScriptedServer(
        lambda connection: heard.append(connection.recv(1)), tls=authority.server("127.0.0.1")
    ) as server:
        assert probed(TcpProbe(port=server.port, tls=tls)) == ("L6OK", "TLS handshake done")
    assert heard == [b""]


@pytest.mark.privileged
@FAMILIES
class TestIcmp:
    def test_a_reply(self, address: str) -> None:
        assert probed(IcmpProbe(), address) == ("L3OK", "echo reply")

    def test_from_a_source_address_that_is_not_ours(self, address: str) -> None:
        check = spec(IcmpProbe(), address, source=NOWHERE[address])
        assert first_verdict(check) == ("L3UNR", "no such source address")


async def test_not_a_packet_goes_where_probes_may_not_go(tmp_path: Path) -> None:
    near, far = "127.77.30.1", "127.77.30.2"
    with (
        CountingHttpServer(address=near) as allowed,
        CountingHttpServer(address=far, port=allowed.port) as denied,
    ):
        folder = tmp_path / "manifests"
        folder.mkdir()
        check = health_check(type="HTTP", port=allowed.port, interval="50ms")
        ref = {"name": "check"}
        pools = [{"name": "main", "backends": [{"name": "near"}, {"name": "far"}]}]
        servers = [
            backend("near", near, healthCheckRef=ref),
            backend("far", far, healthCheckRef=ref),
        ]
        (folder / "all.yaml").write_text(
            yaml.safe_dump_all([check, *servers, frontend(pools=pools)])
        )
        options = StandaloneOptions(
            folder=folder,
            vpp_api_socket=tmp_path / "api.sock",
            state_file=tmp_path / "state.json",
            http_address="",
            allowed=AddressAllowances(loopback=True, probe_deny=(ip_network(f"{far}/32"),)),
        )
        stop = asyncio.Event()
        running = asyncio.create_task(StandaloneApp(options, FakeLoadBalancer()).run(stop))
        await eventually(lambda: allowed.requests.total() > 5, "the other is probed")
        stop.set()
        await running
        assert denied.connections == 0
