"""The file of the agent's own token."""

from pathlib import Path

import jwt
import pytest

from vpplb.direct.messages import MOST_TOKEN_CHARS
from vpplb.direct.own_token import TokenLifetime, read_lifetime, read_token


def _make_token(**claims: object) -> str:
    return jwt.encode(claims, "a key that is long enough for HS256, of nobody", algorithm="HS256")


def test_a_token_says_from_when_until_when_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(_make_token(iat=100, exp=200) + "\n")
    assert read_lifetime(file) == TokenLifetime(issued=100, expiry=200)


@pytest.mark.parametrize(
    "text",
    ["", "no token", "a.b.c", _make_token(iat=100), _make_token(exp="soon"), "x" * 100_000],
    ids=["empty", "words", "garbage", "no end", "an end in words", "too long"],
)
def test_what_does_not_say_so_has_no_lifetime(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    assert read_lifetime(file) is None


def test_a_token_that_is_not_there_has_no_lifetime(tmp_path: Path) -> None:
    assert read_lifetime(tmp_path / "token") is None


def test_a_file_that_is_too_long_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("x" * (MOST_TOKEN_CHARS + 1))
    with pytest.raises(ValueError, match="too long for a token"):
        read_token(file)
