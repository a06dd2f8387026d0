"""Help that teaches, and the version."""

import click
import pytest
from click.testing import CliRunner

import vpplb
from vpplb.cli.kubectl.group import cli

COMMANDS = cli.list_commands(click.Context(cli))


def output(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments, prog_name="kubectl vpplb")
    assert result.exit_code == 0, result.output
    return result.output


def test_the_version_is_the_packages() -> None:
    assert output("--version") == f"kubectl vpplb, version {vpplb.__version__}\n"


def test_help_names_every_command_and_begins_with_examples() -> None:
    said = output("--help")
    assert [name for name in COMMANDS if f"\n  {name} " not in said] == []
    assert said.index("kubectl vpplb status web") < said.index("Options:")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_has_examples_and_says_what_each_option_does(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    context = click.Context(command, parent=click.Context(cli, **cli.context_settings))
    options = [one for one in command.get_params(context) if isinstance(one, click.Option)]
    assert [one.opts for one in options if not one.help] == []
    usual = {"--namespace", "--context", "--kubeconfig", "--as", "--as-group"}
    assert usual <= {opt for o in options for opt in o.opts}
    assert f"kubectl vpplb {name} " in output(name, "-h")


def test_an_unknown_command_is_wrong_usage() -> None:
    assert CliRunner().invoke(cli, ["stats"]).exit_code == 2
