"""A running maglevd's VIPs: imported, planned, taken over with their flows, and given back."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cluster.stage import ServiceProcess
from data.imports import config
from lab.http_get import http_get
from lab.maglevd import sync_maglevd
from lab.processes import free_port
from lab.servers import CountingHttpServer
from lab.simulated_vpp import LoopThread, changing_calls, run_in_thread
from lab.waiting import wait_for
from vpplb.cli.main import cli
from vpplb.simulator.flows import TCP, UDP, FiveTuple
from vpplb.simulator.server import VppSimulator

pytestmark = pytest.mark.slow

CLIENT = IPv4Address("198.51.100.1")
CLIENT6 = IPv6Address("2001:db8:99::1")
SERVERS = ("127.0.0.11", "127.0.0.12", "127.0.0.13")
TARGETS = (
    (CLIENT, IPv4Address("203.0.113.1"), TCP, 80),
    (CLIENT, IPv4Address("203.0.113.2"), UDP, 53),
    (CLIENT, IPv4Address("203.0.113.3"), TCP, 4000),
    (CLIENT6, IPv6Address("2001:db8::80"), TCP, 80),
)
"""A frontend each: weights and a spare pool, a disabled server and clients that stick, all ports,
and a VIP of IPv6 with servers of IPv4."""

MAGLEV = config(
    """
    maglev:
      healthchecker: {{transition-history: 10}}
      vpp:
        lb: {{ipv4-src-address: 192.0.2.1, ipv6-src-address: "2001:db8::1", sync-interval: 1s}}
      healthchecks:
        web:
          type: http
          port: {port}
          interval: 200ms
          timeout: 1s
          rise: 1
          fall: 2
          params: {{path: /, response-code: "200"}}
      backends:
        a: {{address: 127.0.0.11, healthcheck: web}}
        b: {{address: 127.0.0.12, healthcheck: web}}
        c: {{address: 127.0.0.13, healthcheck: web}}
        off: {{address: 127.0.0.14, enabled: false}}
      frontends:
        web:
          address: 203.0.113.1
          protocol: tcp
          port: 80
          pools:
            - {{name: main, backends: {{a: {{weight: 100}}, b: {{weight: 50}}}}}}
            - {{name: spare, backends: {{c: {{}}}}}}
        dns:
          address: 203.0.113.2
          protocol: udp
          port: 53
          src-ip-sticky: true
          pools: [{{name: main, backends: {{a: {{}}, b: {{}}, off: {{}}}}}}]
        every-port:
          address: 203.0.113.3
          pools: [{{name: main, backends: {{a: {{}}, c: {{weight: 10}}}}}}]
        six:
          address: 2001:db8::80
          protocol: tcp
          port: 80
          pools: [{{name: main, backends: {{b: {{}}, c: {{}}}}}}]
    """
)


class MigrationStage:
    """A simulator that a maglevd has programmed, and its servers; nobody programs it now."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        port = free_port(SERVERS[0])
        self.servers = [
            stack.enter_context(CountingHttpServer(address=address, port=port))
            for address in SERVERS
        ]
        self.vpp = VppSimulator(folder / "api.sock")
        self._loop: LoopThread = stack.enter_context(run_in_thread(self.vpp))
        self.file = folder / "maglev.yaml"
        self.file.write_text(MAGLEV.format(port=port))
        self.folder, self.manifests = folder, folder / "manifests"
        self.socket = f"--vpp-api-socket={self.vpp.api_socket}"
        assert self.sync_maglevd()

    def sync_maglevd(self, *down: str) -> list[dict[str, str]]:
        return sync_maglevd(self.vpp.api_socket, self.file, down)

    def changes(self) -> list[str]:
        """Return all calls that have changed VPP since it began, by name."""
        return self._loop.call(lambda: [call.message for call in changing_calls(self.vpp)])

    def ask_flows(self) -> list[object]:
        """Return the server of a packet of each of some flows, which VPP then remembers."""
        return self._loop.call(
            lambda: [
                self.vpp.lb.forward_packet(FiveTuple(source, to, protocol, each, port))
                for source, to, protocol, port in TARGETS
                for each in range(2000, 2100)
            ]
        )

    def weights(self) -> dict[str, int]:
        """Return the weights of the first frontend by server."""
        table = self._loop.call(self.vpp.lb.table)
        row = next(row for vip, row in table.items() if str(vip.prefix) == "203.0.113.1/32")
        return {str(address): server.weight for address, server in row.servers.items()}

    def run_vpplb(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(cli, [str(one) for one in arguments])

    def import_manifests(self) -> str:
        """Write the manifests that `vpplb import` makes; return the options that it names."""
        imported = self.run_vpplb("import", self.file)
        assert imported.exit_code == 0, imported.stderr
        self.manifests.mkdir()
        (self.manifests / "all.yaml").write_text(imported.stdout)
        return imported.stderr.splitlines()[-1].removeprefix("options for vpplb standalone: ")

    def plan(self) -> Result:
        return self.run_vpplb("plan", self.manifests, self.socket)

    def take_over(self, stack: ExitStack) -> ServiceProcess:
        """Start `vpplb standalone` as the documents say; return when all has a verdict."""
        flags = self.import_manifests().split()
        planned = self.plan()
        assert planned.exit_code == 0, planned.output
        assert "\n0 calls, in order\n" in planned.output
        assert planned.output.count("no new flow goes elsewhere") == len(TARGETS)
        state = f"--state-file={self.folder / 'state.json'}"
        given: list[str | Path] = [self.manifests, self.socket, state, "--control-socket=", *flags]
        service = ServiceProcess("standalone", Path(os.devnull), self.folder, *given)
        stack.callback(service.program.stop)
        service.wait_ready()
        wait_for(lambda: _states(service) == {"up"}, "all frontends are up")
        return service


def _states(service: ServiceProcess) -> set[str]:
    _, body = http_get(f"{service.http}/api/v1/frontends")
    return {one["status"].get("state", "") for one in json.loads(body)["items"]}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[MigrationStage]:
    with ExitStack() as stack:
        yield MigrationStage(tmp_path, stack)


def test_vips_of_maglevd_are_taken_over_fail_over_and_are_given_back(stage: MigrationStage) -> None:
    flows, calls = stage.ask_flows(), stage.changes()
    assert stage.weights() == {"127.0.0.11": 100, "127.0.0.12": 50, "127.0.0.13": 0}
    with ExitStack() as stack:
        service = stage.take_over(stack)
        assert (stage.changes(), stage.ask_flows()) == (calls, flows)  # not a call, not a flow

        stage.servers[0].status = 503
        wait_for(lambda: stage.weights()["127.0.0.11"] == 0, "the server that fails is out")
        gone = ip_address("127.0.0.11")
        for before, now in zip(flows, stage.ask_flows(), strict=True):
            assert (now == before) is (before != gone)
        stage.servers[0].status = 200
        wait_for(lambda: stage.weights()["127.0.0.11"] == 100, "it is back")

        flows, calls = stage.ask_flows(), stage.changes()
        service.program.stop()
        assert (stage.changes(), stage.ask_flows()) == (calls, flows)
    assert stage.sync_maglevd() == []
    assert stage.ask_flows() == flows


def test_a_server_that_maglevd_has_taken_out_shows_in_the_plan(stage: MigrationStage) -> None:
    stage.sync_maglevd("b")
    stage.import_manifests()
    planned = stage.plan()
    assert planned.exit_code == 1
    assert "127.0.0.12   0 → 100   0 → 512" in planned.output


def test_maglevd_removes_vips_that_are_not_in_its_file_so_both_must_not_run(
    stage: MigrationStage,
) -> None:
    """It is why the documents say to stop one before the other begins."""
    stage.file.write_text(stage.file.read_text().replace("203.0.113.1", "203.0.113.9"))
    removed = [call for call in stage.sync_maglevd() if call.get("is_del") == "True"]
    assert {call["pfx"] for call in removed} == {"203.0.113.1/32"}
