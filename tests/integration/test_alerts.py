"""Metrics, rules and queries of dashboards, as Prometheus itself reads and evaluates them."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from cluster.binaries import ensure
from cluster.control_plane import ControlPlane
from cluster.main_job import main_job
from cluster.stage import ServiceProcess, electing, stage
from data.alert_rules import CASES, RULES, SERIES, list_rules, list_selectors
from data.dashboards import fill_in, list_panels, list_queries
from in_memory.whole_registry import make_whole_registry
from lab.http_get import http_get
from lab.scrape import scrape_metrics
from lab.waiting import wait_for
from vpplb.telemetry.catalog import AGENT_METRICS, DECISION_METRICS, METRICS, VPP_METRICS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def promtool() -> Path:
    return ensure(("promtool",), print)["promtool"]


def _run(promtool: Path, *args: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [promtool, *args]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def test_prometheus_finds_nothing_to_complain_of_in_the_metrics(promtool: Path) -> None:
    served = scrape_metrics(make_whole_registry())
    done = _run(promtool, "check", "metrics", stdin=served)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    found = _run(
        promtool, "check", "metrics", stdin=served.replace("_loop_lag_seconds", "_loopLag")
    )
    assert found.returncode == 3, "it would say so"


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.stem)
def test_prometheus_takes_the_rules(promtool: Path, file: Path) -> None:
    done = _run(promtool, "check", "rules", "--lint-fatal", "--lint=all", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_only_then(promtool: Path, file: Path) -> None:
    done = _run(promtool, "test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_that_does_not_fire_would_be_found(promtool: Path, tmp_path: Path) -> None:
    [frontends] = [file for file in CASES if file.stem == "frontends"]
    text = frontends.read_text().replace("../../../charts", f"{RULES[0].parents[4]}/charts")
    (tmp_path / "wrong.yaml").write_text(text.replace("frontend: web", "frontend: wep"))
    done = _run(promtool, "test", "rules", tmp_path / "wrong.yaml")
    assert done.returncode == 1
    assert "VpplbFrontendDown" in done.stdout + done.stderr


@pytest.mark.parametrize("query", list_queries())
def test_prometheus_understands_what_dashboards_ask(promtool: Path, query: str) -> None:
    done = _run(promtool, "--experimental", "promql", "format", query)
    assert done.returncode == 0, done.stdout + done.stderr


def _evaluate(promtool: Path, folder: Path, series: Mapping[str, str], found: str) -> None:
    """Have Prometheus ask the numbers of the dashboards that are about `series`, or all.

    `found` is what each comes to; empty: nothing is found.
    """
    stats = [panel["targets"][0]["expr"] for _, panel in list_panels() if panel["type"] == "stat"]
    asked = [
        query
        for query in map(fill_in, stats)
        if not series or {one.metric for one in list_selectors(query)} & {*map(_name_of, series)}
    ]
    assert asked
    samples = [{"labels": "{}", "value": float(found)}] if found else []
    test = {
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "promql_expr_test": [
            {"expr": query, "eval_time": "5m", "exp_samples": samples} for query in asked
        ],
    }
    (folder / "numbers.yaml").write_text(yaml.safe_dump({"tests": [test]}))
    done = _run(promtool, "test", "rules", folder / "numbers.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def _name_of(series: str) -> str:
    return series.partition("{")[0]


def test_a_number_of_which_nothing_is_read_is_not_0(promtool: Path, tmp_path: Path) -> None:
    """Where nobody leads no frontend is known to be down, and none to be up."""
    _evaluate(promtool, tmp_path, {}, found="")


def test_a_number_of_what_is_well_is_0(promtool: Path, tmp_path: Path) -> None:
    of_web = 'namespace="shop",frontend="web"'
    well = {
        f'vpplb_frontend_state{{{of_web},state="down"}}': "0x9",
        f'vpplb_frontend_state{{{of_web},state="unknown"}}': "0x9",
        f'vpplb_frontend_state{{{of_web},state="up"}}': "0x9",
        f'vpplb_frontend_pool_active{{{of_web},pool="main",position="1"}}': "1x9",
        'vpplb_vpp_connected{instance="10.0.0.1:9091"}': "1x9",
        'vpplb_agent_gone{namespace="vpplb",agent="n1"}': "0x9",
        'vpplb_direct_led{instance="10.0.0.1:9091"}': "1x9",
        'vpplb_manifests_last_reload_successful{instance="r1:9091"}': "1x9",
    }
    _evaluate(promtool, tmp_path, well, found="0")


def test_what_is_wrong_is_counted_once_each(promtool: Path, tmp_path: Path) -> None:
    of_web, of_api = 'namespace="shop",frontend="web"', 'namespace="shop",frontend="api"'
    wrong = {
        f'vpplb_frontend_pool_active{{{of_web},pool="main",position="1"}}': "0x9",
        f'vpplb_frontend_pool_active{{{of_web},pool="spare",position="2"}}': "1x9",
        f'vpplb_frontend_pool_active{{{of_web},pool="spare",position="2",pod="op-2"}}': "1x9",
        f'vpplb_frontend_pool_active{{{of_api},pool="main",position="1"}}': "1x9",
        'vpplb_vpp_connected{instance="10.0.0.1:9091"}': "1x9",
        'vpplb_vpp_connected{instance="10.0.0.2:9091"}': "0x9",
    }
    _evaluate(promtool, tmp_path, wrong, found="1")


ROUTERS = {spec.name for spec in METRICS if spec.name.startswith("vpplb_manifests_")}
SELDOM = {
    "vpplb_frontend_degraded": "something keeps a frontend from serving as it should",
    "vpplb_probes_discarded_total": "the prober is short of something",
    "vpplb_backend_transitions_total": "a backend has changed",
    "vpplb_vip_packets_total": "VPP has counted packets",
}
"""Series that are asked for, and come with what they tell."""


@pytest.mark.control_plane
def test_what_alerts_ask_for_is_served_by_programs_that_run(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    with (
        stage(control_plane, tmp_path, election=electing("operator")) as running,
        main_job(running) as job,
    ):
        job.deploy()
        job.servers["nginx0"].stop()
        job.wait_weights({"nginx0": 0})
        wait_for(lambda: "vpplb_direct_led 1" in _scrape(running.agent), "the agent is led")
        operator, agent = (_read_series(_scrape(one)) for one in (running.operator, running.agent))
    asked = {one.metric for rule in list_rules() for one in list_selectors(rule["expr"])}
    missing = asked & SERIES.keys() - operator.keys() - agent.keys() - ROUTERS
    assert missing <= SELDOM.keys()
    assert operator["vpplb_leader"] == agent["vpplb_direct_led"] == 1
    assert {one.name for one in DECISION_METRICS}.isdisjoint(agent)
    assert {one.name for one in (*VPP_METRICS, *AGENT_METRICS)}.isdisjoint(operator)


def _scrape(program: ServiceProcess) -> str:
    return http_get(f"{program.http}/metrics")[1]


def _read_series(text: str) -> dict[str, float]:
    """Return the names of the series that have a value, each with one of theirs."""
    samples = [one for each in text_string_to_metric_families(text) for one in each.samples]
    return {one.name: one.value for one in samples}
