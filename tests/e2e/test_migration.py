"""TCP flows through a real VPP while `vpplb standalone` takes over from a maglevd, and back."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from cluster.control_plane import ControlPlane
from cluster.operation import cluster_operation
from cluster.stage import ServiceProcess
from data.imports import config
from lab.flows import CUT
from lab.http_get import http_get
from lab.maglevd import sync_maglevd
from lab.traffic_hosts import HEALTH_PORT, PORT, ROUTER, ROUTER6, SERVERS, STICKY_BUCKETS, VIP
from lab.traffic_lab import WEIGHTS, TrafficLab, assert_proportional, on, traffic_lab
from lab.waiting import stays, wait_for
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


def import_file(file: Path, *flags: str) -> str:
    """Return the manifests that are made of a file, of which nothing is lost."""
    imported = CliRunner().invoke(cli, ["import", str(file), *flags])
    assert imported.exit_code == 0, imported.stderr
    return imported.stdout


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

    manifests.mkdir()
    (manifests / "all.yaml").write_text(import_file(file))
    plan = ["plan", str(manifests), f"--vpp-api-socket={lab.router.socket}"]
    planned = CliRunner().invoke(cli, plan)
    assert planned.exit_code == 0, planned.output

    service = ServiceProcess(
        *("standalone", Path(os.devnull), tmp_path, manifests, f"--netns={lab.prober.path}"),
        *(f"--vpp-api-socket={lab.tap.path}", f"--state-file={tmp_path / 'state.json'}"),
        *("--sync-interval=1s", "--control-socket="),
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


def test_an_agent_takes_over_from_maglevd_when_its_dataplane_is_no_longer_paused(
    lab: TrafficLab, control_plane: ControlPlane, tmp_path: Path
) -> None:
    file = tmp_path / "maglev.yaml"
    file.write_text(MAGLEV)
    sync_maglevd(lab.router.socket, file)
    flows = lab.open()
    probe = [f"--netns={lab.prober.path}"]
    vpp = [f"--vpp-api-socket={lab.tap.path}", "--sync-interval=1s"]
    with cluster_operation(control_plane, tmp_path, probe, vpp) as operation:
        manifests = list(yaml.safe_load_all(import_file(file, f"--node={operation.node}")))
        operator = operation.services["operator"]

        operation.apply([_pause(one, paused=True) for one in manifests])
        wait_for(lambda: _status(operator).get("ready") == "3/3", "all servers are up")
        assert stays(lab.flows.ask, "who answers", seconds=1.0) == flows
        assert "Programmed" not in _true_conditions(operator)

        operation.apply([_pause(one, paused=False) for one in manifests])
        wait_for(lambda: "Programmed" in _true_conditions(operator), "VPP is the agent's")
        assert stays(lab.flows.ask, "who answers", seconds=AT_REST) == flows
        assert lab.tap.changes() == []
    assert sync_maglevd(lab.router.socket, file) == []
    assert lab.flows.ask() == flows


def _pause(manifest: dict[str, Any], *, paused: bool) -> dict[str, Any]:
    if manifest["kind"] != "Dataplane":
        return manifest
    return {**manifest, "spec": {**manifest["spec"], "paused": paused}}


def _status(operator: ServiceProcess) -> dict[str, Any]:
    """Return the status of the one frontend, as the operator shows it; empty before there is."""
    _, body = http_get(f"{operator.http}/api/v1/frontends")
    items = json.loads(body)["items"]
    return items[0].get("status", {}) if items else {}


def _true_conditions(operator: ServiceProcess) -> set[str]:
    conditions = _status(operator).get("conditions", [])
    return {one["type"] for one in conditions if one["status"] == "True"}
