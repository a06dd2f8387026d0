"""What users and developers are told exists, exists; lock files name packages, not places."""

import re
from pathlib import Path

import click
import pytest

import vpplb
from vpplb.cli.main import cli

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=[lock.name for lock in LOCKS])
def test_a_lock_file_pins_by_version_and_hash_and_has_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+(\[[a-z0-9,_-]+\])?==\S+", entry, re.I), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


@pytest.mark.parametrize("part", ["run.txt", "traces.txt", "docs.txt", "packaging.txt"])
def test_a_lock_of_less_is_part_of_the_dev_lock_and_has_all_that_runs(part: str) -> None:
    run, some, dev = (
        set(re.findall(r"^(\S+==\S+)", (ROOT / "requirements" / name).read_text(), re.M))
        for name in ("run.txt", part, "dev.txt")
    )
    assert run <= some <= dev


@pytest.mark.parametrize("file", ["README.md", ".ci/run", ".github/workflows/release.yaml"])
def test_every_make_target_that_is_mentioned_exists(file: str) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    mentioned = set(re.findall(r"(?:^\s*|`)make ([a-z][a-z0-9-]*)", _code(ROOT / file), re.M))
    assert mentioned
    assert mentioned <= targets


def _code(file: Path) -> str:
    """Return what is command, not prose: a README's code blocks and spans, a script's lines."""
    text = file.read_text()
    if file.suffix != ".md":
        return re.sub(r"#.*", "", text)
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.S))


def test_the_chart_has_the_programs_version() -> None:
    chart = (ROOT / "charts" / "vpplb" / "Chart.yaml").read_text()
    assert re.fullmatch(r"\d+\.\d+\.\d+", vpplb.__version__), "charts know no other versions"
    versions = re.findall(r"^(version|appVersion): \"?([^\"\n]*)", chart, re.M)
    assert versions == [("version", vpplb.__version__), ("appVersion", vpplb.__version__)], (
        "run `make version`"
    )


def _options(command: str) -> list[click.Option]:
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    return [
        parameter
        for parameter in found.params
        if isinstance(parameter, click.Option) and not parameter.is_eager
    ]


@pytest.mark.parametrize("command", ["operator", "agent", "standalone", "vpp-simulator"])
def test_every_option_of_a_service_has_an_environment_variable_that_its_help_names(
    command: str,
) -> None:
    for option in _options(command):
        flag = option.opts[0].removeprefix("--").replace("-", "_").upper()
        assert option.envvar == f"VPPLB_{flag}", option.opts
        assert option.show_envvar, option.opts
        assert option.help, option.opts
