"""`vpplb account`: a line that lets somebody in."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from vpplb.cli.main import cli
from vpplb.files import account_file
from vpplb.files.account_file import AccountFile


@pytest.fixture(autouse=True)
def _quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_file, "COST", 2)


def test_a_line_of_standard_input_is_the_password(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["account", "alice"], input="so secret\nnext line\n")
    assert result.exit_code == 0
    assert "secret" not in result.output
    accounts = tmp_path / "accounts"
    accounts.write_text(result.stdout)
    accounts.chmod(0o600)
    assert AccountFile(accounts).read_accounts()["alice"].is_of("so secret")


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [("al:ice", "so secret\n", "a name has 1 to 64"), ("alice", "", "a password has 1 to 1024")],
)
def test_what_can_be_no_account_is_refused(name: str, password: str, said: str) -> None:
    result = CliRunner().invoke(cli, ["account", name], input=password)
    assert result.exit_code == 2
    assert said in result.output
