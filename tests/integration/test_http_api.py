"""The HTTP API of each program answers generated requests as its own OpenAPI document says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cluster.main_job import MainJob
from lab.http_get import http_get

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
EXAMPLES = 10
"""Requests that are generated for each path beside those that cover its parameters."""


def check_api(base: str) -> None:
    """Send generated requests, good and bad; AssertionError for an answer that is not described.

    The stream of events never ends, so it is left out.
    """
    done = subprocess.run(
        [
            *(SCHEMATHESIS, "run", f"{base}/api/v1/openapi.json", "--exclude-path=/api/v1/events"),
            *(f"--max-examples={EXAMPLES}", "--generation-deterministic", "--no-color"),
            *("--phases=coverage,fuzzing", "--checks=all"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "generated" in done.stdout, done.stdout


def read(url: str) -> Any:
    status, text = http_get(url)
    assert status == 200, text
    return json.loads(text)


def validate(base: str, value: object, name: str) -> None:
    """Compare a value with a schema of a program's document."""
    schemas = read(f"{base}/api/v1/openapi.json")["components"]["schemas"]
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    jsonschema.Draft202012Validator(schema).validate(value)


@pytest.fixture(scope="module")
def running(job: MainJob) -> MainJob:
    job.deploy(job.frontend())
    return job


@pytest.mark.parametrize("program", ["operator", "agent"])
def test_a_program_answers_as_its_document_says(running: MainJob, program: str) -> None:
    check_api(getattr(running.stage, program).http)


@pytest.mark.parametrize("kind", ["Frontend", "Backend", "HealthCheck", "Dataplane"])
def test_an_object_is_as_the_document_says(running: MainJob, kind: str) -> None:
    base = running.stage.operator.http
    items = read(f"{base}/api/v1/{kind.lower()}s")["items"]
    assert items
    for one in items:
        assert one["status"]["conditions"]
        validate(base, one, kind)
        names = "/".join(filter(None, (one["metadata"].get("namespace"), one["metadata"]["name"])))
        assert read(f"{base}/api/v1/{kind.lower()}s/{names}")["spec"] == one["spec"]


def test_the_vips_of_a_node_are_as_the_document_says(running: MainJob) -> None:
    base = running.stage.agent.http
    found = read(f"{base}/api/v1/dataplanes/{running.stage.node}/vips")
    assert found["vips"]
    validate(base, found, "NodeVips")
