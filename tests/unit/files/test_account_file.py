"""Accounts in a file: who can sign in, and which files are refused."""

import os
from pathlib import Path

import pytest

from vpplb.files import account_file
from vpplb.files.account_file import AccountFile, BadAccounts, check_name, hash_password


@pytest.fixture(autouse=True)
def _quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_file, "COST", 2)


def write(path: Path, text: str, mode: int = 0o600) -> AccountFile:
    path.write_text(text)
    path.chmod(mode)
    return AccountFile(path)


def test_a_password_is_right_or_wrong_by_its_hash(tmp_path: Path) -> None:
    accounts = write(tmp_path / "accounts", f"# people\n\nalice:{hash_password('so secret')}\n")
    found = accounts.read_accounts()["alice"]
    assert found.is_of("so secret")
    assert not found.is_of("so secreT")


def test_two_hashes_of_a_password_differ_and_neither_shows_it() -> None:
    first, second = str(hash_password("so secret")), str(hash_password("so secret"))
    assert first != second
    assert "secret" not in first


def test_parameters_stand_in_the_line_so_that_they_can_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = hash_password("so secret")
    monkeypatch.setattr(account_file, "COST", 4)
    text = f"alice:{old}\nbob:{hash_password('other')}\n"
    found = write(tmp_path / "accounts", text).read_accounts()
    assert (found["alice"].cost, found["bob"].cost) == (2, 4)
    assert found["alice"].is_of("so secret")
    assert found["bob"].is_of("other")


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    accounts = write(tmp_path / "accounts", f"alice:{hash_password('a')}\n")
    assert list(accounts.read_accounts()) == ["alice"]
    new = tmp_path / "new"
    write(new, f"bob:{hash_password('b')}\n")
    new.rename(tmp_path / "accounts")
    assert list(accounts.read_accounts()) == ["bob"]


def test_a_pipe_is_refused_and_waited_for_by_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "accounts", 0o600)
    with pytest.raises(BadAccounts, match="not a file"):
        AccountFile(tmp_path / "accounts").read_accounts()


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o660, 0o666])
def test_a_file_that_others_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    accounts = write(tmp_path / "accounts", f"alice:{hash_password('a')}\n", mode)
    with pytest.raises(BadAccounts, match=f"its mode is {mode:04o}, so others"):
        accounts.read_accounts()


def test_a_file_that_was_opened_up_is_refused_from_then_on(tmp_path: Path) -> None:
    accounts = write(tmp_path / "accounts", f"alice:{hash_password('a')}\n", 0o640)
    assert accounts.read_accounts()
    (tmp_path / "accounts").chmod(0o644)
    with pytest.raises(BadAccounts, match="its mode is 0644"):
        accounts.read_accounts()


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadAccounts, match="No such file"):
        AccountFile(tmp_path / "accounts").read_accounts()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("alice", "not a line of `vpplb account`"),
        ("alice:so secret", "not a line of `vpplb account`"),
        ("alice:$2b$12$abcdefghijklmnopqrstuu", "not a line of `vpplb account`"),
        ("alice:$scrypt$1073741824,8,1$AAAA$" + "A" * 43, "not a line of `vpplb account`"),
        ("alice:$scrypt$3,8,1$AAAA$" + "A" * 43, "not a line of `vpplb account`"),
        ("alice:$scrypt$2,8,1$AAAA$AAAA", "not a line of `vpplb account`"),
        ("al ice:$scrypt$2,8,1$AAAA$" + "A" * 43, "a name has 1 to 64"),
        (":$scrypt$2,8,1$AAAA$" + "A" * 43, "a name has 1 to 64"),
    ],
)
def test_a_line_that_makes_no_sense_is_named_and_not_shown(
    tmp_path: Path, line: str, said: str
) -> None:
    """A hash with a cost of its own could take all memory there is."""
    accounts = write(tmp_path / "accounts", f"\n{line}\n")
    with pytest.raises(BadAccounts, match=said) as refused:
        accounts.read_accounts()
    assert f"{tmp_path}/accounts:2: " in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_name_is_one_account(tmp_path: Path) -> None:
    text = f"alice:{hash_password('a')}\nalice:{hash_password('b')}\n"
    with pytest.raises(BadAccounts, match="accounts:2: the second account alice"):
        write(tmp_path / "accounts", text).read_accounts()


@pytest.mark.parametrize("password", ["", "x" * 1025])
def test_no_password_and_an_endless_one_are_refused(password: str) -> None:
    with pytest.raises(ValueError, match="1 to 1024 characters"):
        hash_password(password)


@pytest.mark.parametrize("name", ["a:b", "", "x" * 65, "al\u202eice", "#alice"])
def test_a_name_that_would_break_the_line_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name has"):
        check_name(name)
