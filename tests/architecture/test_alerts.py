"""Alerts ask for what is served, each is tested, and each has a runbook; no page is of no alert."""

import re
from typing import Any

import pytest
import yaml

from data.alert_rules import CASES, RULES, RUNBOOKS, find_unknown, list_rules, list_selectors
from vpplb.kube.status_writer import WriteResult
from vpplb.model.health import HealthState
from vpplb.resources.condition_reasons import DEGRADATIONS
from vpplb.telemetry.catalog import FRONTEND_DEGRADED, STATUS_WRITES

ALERTS = {rule["alert"]: rule for rule in list_rules() if "alert" in rule}
RECORDED = {rule["record"] for rule in list_rules() if "record" in rule}
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]


def _name(rule: dict[str, Any]) -> str:
    return str(rule.get("alert") or rule["record"])


@pytest.mark.parametrize("rule", list_rules(), ids=_name)
def test_a_rule_asks_for_metrics_and_labels_that_are_served(rule: dict[str, Any]) -> None:
    assert list(list_selectors(rule["expr"]))
    assert find_unknown(rule["expr"], RECORDED) == []


def test_a_metric_a_label_and_a_grouping_that_nobody_serves_would_be_found() -> None:
    query = 'sum by (backendd) (vpplb_backend_state{stat="up"}) / vpplb_backends_total'
    assert find_unknown(query, set()) == [
        "vpplb_backends_total",
        "vpplb_backend_state{stat}",
        "by backendd",
    ]


@pytest.mark.parametrize("rule", list_rules(), ids=_name)
def test_a_state_that_is_asked_for_is_one(rule: dict[str, Any]) -> None:
    asked = {
        state
        for one in list_selectors(rule["expr"])
        for label, value in one.labels
        if label in ("state", "from", "to")
        for state in value.split("|")
    }
    assert asked <= set(HealthState)


def test_a_reason_that_is_asked_for_is_one() -> None:
    asked = {
        reason
        for rule in list_rules()
        for metric, labels in list_selectors(rule["expr"])
        for label, reason in labels
        if (metric, label) == (FRONTEND_DEGRADED.name, "reason")
    }
    assert {"FailedOver", "NodesBehind"} <= asked <= {one.reason for one in DEGRADATIONS}


def test_a_result_of_a_write_that_is_asked_for_is_one() -> None:
    asked = {
        result
        for rule in list_rules()
        for metric, labels in list_selectors(rule["expr"])
        for label, results in labels
        if (metric, label) == (STATUS_WRITES.name, "result")
        for result in results.split("|")
    }
    assert "written" in asked
    assert asked <= set(WriteResult)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_and_what_in_words(name: str) -> None:
    alert = ALERTS[name]
    assert re.fullmatch(r"Vpplb([A-Z][a-z]+)+", name)
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert "$" not in alert["annotations"]["summary"], "it is one for all instances"
    assert all(text[-1] == "." for text in alert["annotations"].values() if " " in text)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_runbook_where_its_address_leads(name: str) -> None:
    assert ALERTS[name]["annotations"]["runbook_url"] == f"https://vpplb.dev/runbooks/{name}.html"
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", page, re.M) == HEADINGS
    parts = re.split(r"^## .*$", page, flags=re.M)[1:]
    assert all(len(part.split()) >= 5 for part in parts), "something stands below each heading"


def test_each_runbook_is_of_an_alert() -> None:
    assert {page.stem for page in RUNBOOKS.glob("*.md")} - {"index"} == set(ALERTS)


def test_no_two_rules_have_one_name() -> None:
    names = [_name(rule) for rule in list_rules()]
    assert len(set(names)) == len(names) > 25


def test_each_alert_is_seen_to_fire_and_to_be_quiet_and_each_recorded_series_is_used() -> None:
    tests = [test for file in CASES for test in yaml.safe_load(file.read_text())["tests"]]
    checks = [check for test in tests for check in test.get("alert_rule_test", ())]
    firing = {check["alertname"] for check in checks if check.get("exp_alerts")}
    quiet = {check["alertname"] for check in checks if not check.get("exp_alerts")}
    assert (firing, quiet) == (set(ALERTS), set(ALERTS))
    used = {one.metric for rule in list_rules() for one in list_selectors(rule["expr"])}
    assert used >= RECORDED
    assert {file.name for file in CASES} == {file.name for file in RULES}
