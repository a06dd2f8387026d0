"""The command line: help that teaches, environment variables, exit codes."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

import vpplb
from data.manifests import backend, frontend, health_check
from lab.processes import free_port
from vpplb.cli.main import cli
from vpplb.cli.service_runner import run_service
from vpplb.files.state_lock import StateInUse
from vpplb.kube.api_types import ConfigError
from vpplb.telemetry.http import CannotListen

COMMANDS = cli.list_commands(click.Context(cli))
LONG_RUNNING = ("operator", "agent", "standalone")


def call(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(cli, arguments, prog_name="vpplb")


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def options(name: str) -> list[click.Option]:
    return [one for one in command(name).params if isinstance(one, click.Option)]


def test_the_version_is_the_packages() -> None:
    assert call("--version").output == f"vpplb, version {vpplb.__version__}\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_command_with_its_line(flag: str) -> None:
    result = call(flag)
    assert result.exit_code == 0
    lines = result.output.split("Commands:\n")[1].splitlines()
    named = [line.split()[0] for line in lines if not line.startswith("   ")]
    assert named == COMMANDS
    assert {*LONG_RUNNING, "check", "vpp-simulator", "crds", "demo"} <= set(named)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_says_what_it_is_for_and_what_each_option_does(name: str) -> None:
    result = call(name, "-h")
    assert result.exit_code == 0
    assert len(command(name).help or "") > 60
    assert all(one.help for one in options(name))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_the_environment_variable_of_every_option_that_has_one(name: str) -> None:
    shown = " ".join(call(name, "--help").output.split())
    for one in options(name):
        if one.envvar is not None:
            assert one.envvar == f"VPPLB_{one.opts[0].removeprefix('--').replace('-', '_').upper()}"
            assert f"env var: {one.envvar}" in shown


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_option_of_what_runs_for_long_can_be_given_in_the_environment(name: str) -> None:
    assert [one.name for one in options(name) if one.envvar is None] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("operator", "--nonsense"),
        ("operator", "--transition-history", "0"),
        ("operator", "--status-writes-per-second", "-1"),
        ("operator", "--http-address", "nonsense"),
        ("operator", "--log-format", "xml"),
        ("agent",),
        ("agent", "--node", "n1", "--sync-interval", "0s"),
        ("agent", "--node", "n1", "--sync-interval", "30"),
        ("agent", "--node", "n1", "--ipv4-source-address", "::1"),
        ("standalone",),
        ("standalone", "/does/not/exist"),
        ("demo", "--http-address", "nonsense"),
        ("demo", "/does/not/exist"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_how_to_get_help(arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert "--help' for help." in result.output
    assert "Error: " in result.output


def test_a_wrong_environment_variable_is_named() -> None:
    result = call("operator", VPPLB_HTTP_ADDRESS="nonsense")
    assert result.exit_code == 2
    assert "VPPLB_HTTP_ADDRESS" in result.output


def parsed(name: str, *arguments: str, **environment: str) -> dict[str, object]:
    """Return the parameters that a command would be called with."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        return command(name).make_context(name, list(arguments), **cli.context_settings).params


def test_flags_beat_the_environment_which_beats_defaults() -> None:
    assert parsed("operator")["transition_history"] == 5
    assert parsed("operator", VPPLB_TRANSITION_HISTORY="7")["transition_history"] == 7
    flag = ("--transition-history", "9")
    assert parsed("operator", *flag, VPPLB_TRANSITION_HISTORY="7")["transition_history"] == 9


def test_namespaces_are_several_in_the_environment_too() -> None:
    assert parsed("operator")["namespace"] == ()
    assert parsed("operator", "--namespace", "a", "--namespace", "b")["namespace"] == ("a", "b")
    assert parsed("operator", VPPLB_NAMESPACE="a b")["namespace"] == ("a", "b")


@pytest.mark.parametrize("command", [("operator",), ("standalone", "/tmp")])
def test_the_guard_against_a_blind_prober_can_be_switched_off(command: tuple[str, ...]) -> None:
    name, *rest = command
    assert parsed(name, *rest)["no_blind_guard"] is False
    assert parsed(name, *rest, "--no-blind-guard")["no_blind_guard"] is True
    assert parsed(name, *rest, VPPLB_NO_BLIND_GUARD="true")["no_blind_guard"] is True


def test_the_defaults_are_those_that_are_promised(tmp_path: Path) -> None:
    agent = parsed("agent", "--node", "n1")
    assert str(agent["vpp_api_socket"]) == "/run/vpp/api.sock"
    assert str(agent["sync_interval"]) == "0:00:30"
    assert (agent["http_address"], agent["log_level"], agent["log_format"]) == (
        ":9091",
        "info",
        None,
    )
    standalone = parsed("standalone", str(tmp_path))
    assert standalone["own_all"] is False
    assert standalone["http_address"] == "127.0.0.1:9091", "a router is no cluster's inside"


@pytest.mark.slow
def test_bad_manifests_exit_with_2_and_name_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text("apiVersion: vpplb.dev/v1alpha1\nkind: Nonsense\n")
    result = call(
        "standalone", str(tmp_path), "--http-address", "", VPPLB_STATE_FILE=str(tmp_path / "s.json")
    )
    assert result.exit_code == 2
    assert "web.yaml:2: Nonsense" in result.stderr


def test_no_cluster_is_one_line_and_exit_1(tmp_path: Path) -> None:
    result = call("operator", KUBECONFIG=str(tmp_path / "none"), KUBERNETES_SERVICE_HOST="")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: no usable cluster configuration")


def test_a_demo_whose_port_is_taken_says_which() -> None:
    with socket.create_server(("127.0.10.1", 8081)):
        result = call("demo")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: a web server of the demo cannot listen on 127.0.10.1:8081: Address already in use\n"
    )


def test_a_demo_whose_http_address_is_taken_says_which(tmp_path: Path) -> None:
    objects = (  # of its own port, since other demos may run
        health_check(type="HTTP", port=free_port()),
        backend("a", "127.0.0.1", healthCheckRef={"name": "check"}),
        frontend(pools=[{"name": "main", "backends": [{"name": "a"}]}]),
    )
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(objects))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = call("demo", str(tmp_path), "--http-address", address)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: cannot listen on {address}: ")
    assert "address already in use" in result.stderr


def test_a_demo_without_anything_to_show_says_so(tmp_path: Path) -> None:
    result = call("demo", str(tmp_path))
    assert result.exit_code == 1
    assert "Error: no backend of the manifests is checked by HTTP" in result.stderr


def test_a_demo_of_bad_manifests_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text("a: [")
    result = call("demo", str(tmp_path))
    assert result.exit_code == 1
    assert "web.yaml:2: not YAML" in result.stderr


# --- what runs for long -----------------------------------------------------------------------

Main = Callable[[asyncio.Event], Awaitable[None]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_stop(number: signal.Signals) -> None:
    stopped: list[bool] = []

    async def main(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), number)
        await stop.wait()
        stopped.append(True)

    run_service(main)
    assert stopped == [True]


def test_a_second_signal_ends_what_does_not_stop() -> None:
    async def main(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    with pytest.raises(SystemExit) as ended:
        run_service(main)
    assert ended.value.code == 130


@pytest.mark.parametrize(
    "error",
    [ConfigError("no cluster"), CannotListen("port 1 is taken"), StateInUse("another has it")],
)
def test_what_a_user_can_mend_is_said_in_words(error: Exception) -> None:
    async def main(_: asyncio.Event) -> None:
        raise error

    with pytest.raises(click.ClickException, match=str(error)):
        run_service(main)


def test_a_fault_of_ours_is_not_hidden() -> None:
    async def main(_: asyncio.Event) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_service(main)


@pytest.mark.parametrize("command", [("operator",), ("agent", "--node", "n1")])
def test_traces_without_what_they_need_say_what_to_install(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vpplb.telemetry.failover_traces", None)
    result = call(*command, "--traces")
    assert result.exit_code == 1
    assert "Error: --traces needs `pip install vpplb[otel]`" in result.stderr
