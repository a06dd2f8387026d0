"""TCP flows through a real VPP while `vpplb standalone` takes over from a maglevd, and back."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cluster.stage import ServiceProcess
from data.imports import config
from lab.flows import CUT
from lab.maglevd import sync_maglevd
from lab.traffic_hosts import HEALTH_PORT, PORT, ROUTER, ROUTER6, SERVERS, STICKY_BUCKETS, VIP
from lab.traffic_lab import WEIGHTS, TrafficLab, assert_proportional, on, traffic_lab
from lab.waiting import stays
from vpplb.cli.main import cli

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_vpp,
    pytest.mark.privileged,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

MAGLEV = config(
    f"""
    maglev:
      vpp:
        lb:
          ipv4-src-address: {ROUTER}
          ipv6-src-address: "{ROUTER6}"
          sticky-buckets-per-core: {STICKY_BUCKETS}
          sync-interval: 1s
      healthchecks:
        web: {{type: http, port: {HEALTH_PORT}, interval: 100ms, timeout: 1s, rise: 2, fall: 2,
              params: {{path: /, response-code: "200"}}}}
      backends:
        s1: {{address: {SERVERS["s1"]}, healthcheck: web}}
        s2: {{address: {SERVERS["s2"]}, healthcheck: web}}
        s3: {{address: {SERVERS["s3"]}, healthcheck: web}}
      frontends:
        web:
          address: {VIP}
          protocol: tcp
          port: {PORT}
          pools:
            - name: main
              backends: {{s1: {{weight: 100}}, s2: {{weight: 50}}, s3: {{weight: 25}}}}
    """
)
AT_REST = 3.0
"""Seconds for which nothing may happen: some syncs, and the verdicts of all probes."""


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrafficLab]:
    with traffic_lab(tmp_path_factory.mktemp("lab")) as made:
        yield made


def test_no_flow_is_lost_on_the_way_from_maglevd_and_back(lab: TrafficLab, tmp_path: Path) -> None:
    file, manifests = tmp_path / "maglev.yaml", tmp_path / "manifests"
    file.write_text(MAGLEV)
    sync_maglevd(lab.router.socket, file)
    flows = lab.open()
    assert_proportional(flows, WEIGHTS)

    imported = CliRunner().invoke(cli, ["import", str(file)])
    assert imported.exit_code == 0, imported.stderr
    manifests.mkdir()
    (manifests / "all.yaml").write_text(imported.stdout)
    plan = ["plan", str(manifests), f"--vpp-api-socket={lab.router.socket}"]
    planned = CliRunner().invoke(cli, plan)
    assert planned.exit_code == 0, planned.output

    service = ServiceProcess(
        *("standalone", Path(os.devnull), tmp_path, manifests, f"--netns={lab.prober.path}"),
        *(f"--vpp-api-socket={lab.tap.path}", f"--state-file={tmp_path / 'state.json'}"),
        "--sync-interval=1s",
    )
    try:
        service.wait_ready()
        assert stays(lab.flows.ask, "who answers", seconds=AT_REST) == flows
        assert lab.tap.changes() == []

        lab.servers["s1"].sicken()
        lab.wait_weights(WEIGHTS | {"s1": 0})
        failed_over = lab.flows.ask()
        assert on(CUT, failed_over) == on("s1", flows)
        lab.servers["s1"].recover()
        lab.wait_weights(WEIGHTS)
        flows = lab.open()
    finally:
        service.program.stop()

    assert lab.flows.ask(flows) == flows
    assert sync_maglevd(lab.router.socket, file) == []
    assert stays(lambda: lab.flows.ask(flows), "who answers", seconds=AT_REST) == flows
