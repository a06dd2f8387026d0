"""`vpplb monitor`: what is refused, and what is no success."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vpplb.cli.main import cli
from vpplb.cli.monitor import monitor_command
from vpplb.cli.monitor_flags import MonitorOptions
from vpplb.cli.monitor_page import fits_terminal
from vpplb.cli.monitor_session import MonitorSession
from vpplb.monitor.targets import resolve_argument


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["monitor", *arguments], prog_name="vpplb")


def options(*arguments: str) -> MonitorOptions:
    """Return what the flags say."""
    names = ["-h", "--help"]  # as vpplb has them: what is made first is kept for all tests
    context = monitor_command.make_context("monitor", list(arguments), help_option_names=names)
    given = {name: context.params[name] for name in MonitorOptions.__dataclass_fields__}
    return MonitorOptions(**given)


async def test_a_run_that_measured_nothing_is_no_success(
    capsys: pytest.CaptureFixture[str],
) -> None:
    session = MonitorSession(options("192.0.2.1:80"), [resolve_argument("192.0.2.1:80")], None)
    stop = asyncio.Event()
    stop.set()
    await session.run(stop)
    assert not session.is_good()
    assert capsys.readouterr().err == "192.0.2.1:80: nothing was measured\n"


def test_wrong_manifests_exit_with_2_and_name_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text("apiVersion: vpplb.dev/v1alpha1\nkind: Nonsense\n")
    result = call("-f", str(tmp_path))
    assert result.exit_code == 2
    assert "all.yaml:2: Nonsense" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give a TARGET"),
        (("192.0.2.1",), "has no port"),
        (("192.0.2.1:80", "--expect", "ok"), "not a status code"),
        (("192.0.2.1:80", "--path", "x"), "not a path"),
        (("192.0.2.1:80", "--server-body", "("), "--server-body is no expression"),
        (("192.0.2.1:80", "--server-body", "a", "--server-header", "b"), "either"),
        (("192.0.2.1:80", "--interval", "0s"), "longer than 0s"),
        (("192.0.2.1:80", "--listen", "nonsense"), "not an address such as"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(
    arguments: tuple[str, ...], says: str
) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_terminal_that_can_only_write_lines_has_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpplb.cli.monitor_page.sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    assert not fits_terminal()
