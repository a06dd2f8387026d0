"""A group that imports a command when it is called."""

import sys

import click
from click.testing import CliRunner

from vpplb.cli.lazy_group import LazyCommand, LazyGroup


def group() -> LazyGroup:
    module = "vpplb.cli.verbs.switches"
    lazy = {
        "pause": LazyCommand("Pause.", module),
        "crds": LazyCommand("CRDs.", "vpplb.cli.crds"),
    }
    return LazyGroup("g", lazy=lazy)


def test_the_list_is_in_order_and_imports_nothing() -> None:
    sys.modules.pop("vpplb.cli.verbs.switches", None)
    said = CliRunner().invoke(group(), ["--help"]).output
    assert [line.split() for line in said.splitlines()[-2:]] == [
        ["pause", "Pause."],
        ["crds", "CRDs."],
    ]
    assert "vpplb.cli.verbs.switches" not in sys.modules


def test_a_name_that_is_almost_a_commands_is_told_which() -> None:
    near = CliRunner().invoke(group(), ["pasue"])
    assert near.exit_code == 2
    assert "No such command 'pasue'. Did you mean 'pause'?" in near.output
    assert "Did you mean" not in CliRunner().invoke(group(), ["nonsense"]).output


def test_a_command_is_found_under_its_name_in_its_module() -> None:
    context = click.Context(group())
    found = [group().get_command(context, name) for name in ("pause", "crds", "none")]
    assert [one.name if one else None for one in found] == ["pause", "crds", None]
