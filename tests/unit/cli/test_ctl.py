"""`vpplb ctl`: the plugin's verbs under a name and with flags of its own."""

import re

import click
import pytest
from click.testing import CliRunner, Result

from data.cluster_objects import decided_backend, decided_frontend
from fakes.user_client import FakeUserClient
from vpplb.cli.ctl import ctl_command
from vpplb.cli.kubectl.group import cli as plugin
from vpplb.cli.main import cli
from vpplb.model.names import ObjectKind

VERBS = ctl_command.list_commands(click.Context(ctl_command))


def ctl(*arguments: str, console: FakeUserClient | None = None) -> Result:
    env = {"COLUMNS": "200", "VPPLB_CONTROL_SOCKET": "/nowhere/control.sock"}
    return CliRunner(env=env).invoke(cli, ["ctl", *arguments], obj=console, prog_name="vpplb")


def test_its_verbs_are_the_plugins_but_for_what_needs_a_cluster_or_has_none() -> None:
    of_plugin = plugin.list_commands(click.Context(plugin))
    assert set(VERBS) - set(of_plugin) == {"reload"}
    assert set(of_plugin) - set(VERBS) == {"dataplane"}


@pytest.mark.parametrize("verb", VERBS)
def test_help_names_this_program_and_its_flags_only(verb: str) -> None:
    said = ctl(verb, "--help").output
    assert f"vpplb ctl {verb}" in said
    assert "--control-socket" in said
    assert [word for word in ("kubectl vpplb", "--context", "--as", "-A,") if word in said] == []
    own = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", said, re.MULTILINE))
    assert set(re.findall(r"--[a-z-]+", said)) <= own


def test_nobody_at_the_socket_is_said_in_one_line_with_what_to_look_at() -> None:
    result = ctl("status")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: /nowhere/control.sock: No such file or directory"
        " (does `vpplb standalone` run, and may you open its control socket?"
        " --control-socket or VPPLB_CONTROL_SOCKET names another)\n"
    )
    assert ctl("plan", "--down", "a").exit_code == 3
    assert "--control-socket is empty" in ctl("status", "--control-socket", "").stderr


def test_the_socket_may_be_named_before_the_verb_or_behind_it() -> None:
    assert ctl("--control-socket", "/before", "status").stderr.startswith("Error: /before: ")
    behind = ctl("--control-socket", "/before", "status", "--control-socket", "/behind")
    assert behind.stderr.startswith("Error: /behind: ")
    assert "--control-socket" in ctl("--help").output


def test_all_namespaces_are_meant_and_named_where_there_are_several() -> None:
    console = FakeUserClient(
        (ObjectKind.FRONTEND, decided_frontend("web")),
        (ObjectKind.BACKEND, decided_backend("a", "10.0.0.1")),
    )
    assert ctl("status", console=console).output.startswith("NAME ")
    console.objects |= FakeUserClient(
        (ObjectKind.FRONTEND, decided_frontend(namespace="shop"))
    ).objects
    assert ctl("status", console=console).output.startswith("NAMESPACE ")
    assert ctl("pause", "a", console=console).output == "backend a paused\n"


def test_nothing_in_a_namespace_is_said_without_a_flag_that_there_is_not() -> None:
    said = ctl("status", "-n", "shop", console=FakeUserClient()).output
    assert said == "there are no frontends in this namespace\n"


@pytest.mark.parametrize("written", [None, 7, "yesterday"])
def test_a_deviation_without_a_time_is_shown_all_the_same(written: object) -> None:
    paused = decided_backend("a", "10.0.0.1")
    paused["deviations"] = [{"field": "paused", "value": True, "files": False, "at": written}]
    console = FakeUserClient((ObjectKind.BACKEND, paused))
    assert "paused is true by hand, the files say false" in ctl("backends", console=console).output


def test_what_deviates_from_the_files_is_shown_with_what_they_say() -> None:
    by_hand = {"value": 5, "files": 100, "by": "ann", "at": "2025-01-01T12:00:00+00:00"}
    changed = decided_frontend()
    changed["deviations"] = [
        {**by_hand, "field": "pools[main].backends[a].weight"},
        7,
        {"field": 1},
    ]
    paused = decided_backend("a", "10.0.0.1")
    paused["deviations"] = [{**by_hand, "field": "paused", "value": True, "files": False}]
    console = FakeUserClient((ObjectKind.FRONTEND, changed), (ObjectKind.BACKEND, paused))
    said = "pools[main].backends[a].weight is 5 by hand, the files say 100"
    assert said in ctl("status", console=console).output
    assert "paused is true by hand, the files say false" in ctl("backends", console=console).output
    detail = ctl("status", "web", console=console).output
    assert "BY HAND" in detail
    assert "a.paused                         true   false" in detail
    assert said in ctl("status", "--problems", console=console).output
