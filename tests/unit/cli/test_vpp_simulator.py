"""`vpplb vpp-simulator`: its flags and its help."""

import pytest
from click.testing import CliRunner

from vpplb.cli.main import cli
from vpplb.simulator.faults import BY_NAME


@pytest.mark.parametrize("mode", ["rw", "888", "7777", "-1"])
def test_what_are_no_permissions_is_a_usage_error(mode: str) -> None:
    result = CliRunner().invoke(
        cli, ["vpp-simulator", "--api-socket", "/nowhere", f"--socket-mode={mode}"]
    )
    assert (result.exit_code, "not permissions in octal" in result.output) == (2, True)


def test_the_help_teaches_every_fault() -> None:
    text = CliRunner().invoke(cli, ["vpp-simulator", "--help"]).output
    assert [name for name in BY_NAME if f'"{name}"' not in text] == []


def test_the_socket_has_to_be_named() -> None:
    result = CliRunner().invoke(cli, ["vpp-simulator"])
    assert (result.exit_code, "--api-socket" in result.output) == (2, True)
