"""Values of headers as they are in Secrets."""

from base64 import b64encode

import pytest

from vpplb.resources.secret import read_secret


def encoded(value: bytes) -> str:
    return b64encode(value).decode()


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ({"data": {"k": encoded(b"Bearer x")}}, "Bearer x"),
        ({"data": {"k": encoded(b"Bearer x\r\n")}}, "Bearer x"),
        ({"data": {"k": "QmVhcmVy\nIHg=\n"}}, "Bearer x"),
        ({"stringData": {"k": "Bearer x\n"}, "data": {"k": encoded(b"old")}}, "Bearer x"),
        ({"data": {"k": ""}}, ""),
        ({"data": {"k": encoded(b"a\r\nX: b")}}, None),
        ({"data": {"k": encoded(b"\xff")}}, None),
        ({"data": {"k": encoded("é".encode())}}, None),
        ({"data": {"k": encoded(b"a" * 2049)}}, None),
        ({"data": {"k": "no base64!"}}, None),
        ({"data": {"k": None}}, None),
        ({"data": {"k": [1]}}, None),
    ],
)
def test_a_value_is_one_line_or_none(raw: dict[str, object], value: str | None) -> None:
    assert read_secret(raw).values == {"k": value}


@pytest.mark.parametrize("raw", [{}, {"data": None}, {"data": ["k"]}, {"data": "k"}])
def test_a_secret_without_values_has_none(raw: dict[str, object]) -> None:
    assert read_secret(raw).values == {}


def test_only_keys_that_are_asked_for_are_kept_and_none_is_shown() -> None:
    secret = read_secret({"stringData": {"a": "s3cret", "b": "s3cret"}}, {"a"})
    assert set(secret.values) == {"a"}
    assert "s3cret" not in repr(secret)
