"""Metrics, rules and queries of dashboards, as Prometheus itself reads and evaluates them."""

import subprocess
from pathlib import Path

import pytest

from cluster.binaries import ensure
from data.alert_rules import CASES, RULES
from data.dashboards import list_queries
from in_memory.whole_registry import make_whole_registry
from lab.scrape import scrape_metrics

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
