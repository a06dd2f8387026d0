"""Commands speak through one place, which lets no code of others through to a terminal."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from vpplb import cli
from vpplb.cli.main import cli as vpplb
from vpplb.cli.terminal import CommandError, print_block, print_line

HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\n::error::forged \u202e"


def test_a_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(f"Frontend {HOSTILE}")
    assert capsys.readouterr().out == (
        "Frontend \\u001b]0;owned\\u0007\\u001b[2J\\r\\n::error::forged \\u202e\n"
    )


def test_a_block_keeps_its_own_line_breaks(capsys: pytest.CaptureFixture[str]) -> None:
    print_block("a\n\x1bb")
    assert capsys.readouterr().out == "a\n\\u001bb\n"


def test_an_error_is_one_line() -> None:
    @click.command()
    def fail() -> None:
        raise CommandError(HOSTILE)

    result = CliRunner().invoke(fail)
    assert result.exit_code == 1
    assert "\x1b" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_check_escapes_what_a_file_holds_in_names_kinds_and_values(tmp_path: Path) -> None:
    file = tmp_path / "hostile.yaml"
    file.write_text(
        'apiVersion: vpplb.dev/v1alpha1\nkind: "Front\\e[2Jend\\nforged.yaml:1: fine"\n'
        'metadata: {name: "we\\e[31mb"}\nspec: {"addr\\u202Eess": "\\x9b"}\n'
        '---\napiVersion: "apps/v1\\e[2J"\nkind: "\\rDeployment"\n',
        encoding="utf-8",
    )
    result = CliRunner().invoke(vpplb, ["check", str(file)])
    assert result.exit_code == 2
    assert all(one.isprintable() for one in result.output.splitlines())
    assert not re.search("^forged", result.output, re.MULTILINE)


def test_no_command_prints_but_through_the_terminal() -> None:
    folder = Path(next(iter(cli.__path__)))
    elsewhere = {
        str(file.relative_to(folder))
        for file in folder.rglob("*.py")
        if re.search(r"click\.s?echo\(|[^.\w]print\(|ClickException\(", file.read_text("utf-8"))
    }
    # `crds` prints texts of our own making, whose line breaks and spaces must stay as they are.
    assert elsewhere == {"terminal.py", "crds.py"}
