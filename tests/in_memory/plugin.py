"""Runs `kubectl vpplb` in this process, against a cluster in memory."""

import json
from typing import Any

from click.testing import CliRunner, Result

from fakes.user_client import FakeUserClient
from vpplb.cli.kubectl.group import cli


def call(client: FakeUserClient, *arguments: str) -> Result:
    """Run a command line."""
    runner = CliRunner(env={"COLUMNS": "200"})
    return runner.invoke(cli, arguments, obj=client, prog_name="kubectl vpplb")


def told(client: FakeUserClient, *arguments: str) -> list[list[str]]:
    """Run a command that must succeed; return the words of each line, columns split at gaps."""
    result = call(client, *arguments)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    return [[word.strip() for word in line.split("  ") if word.strip()] for line in lines]


def parsed(client: FakeUserClient, *arguments: str) -> Any:
    """Run a command that must succeed with `-o json`; return what it printed."""
    result = call(client, *arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
