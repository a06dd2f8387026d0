import pytest

from vpplb.telemetry.listen_address import parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":9091", None, 9091),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("[::1]:9091", "::1", 9091),
        ("localhost:80", "localhost", 80),
    ],
)
def test_an_address_is_a_host_or_none_and_a_port(text: str, host: str | None, port: int) -> None:
    parsed = parse_address(text)
    assert parsed == (host, port)
    assert str(parsed) == text


def test_an_empty_address_is_none() -> None:
    assert parse_address("") is None


@pytest.mark.parametrize("text", ["9091", "::1:9091", "host:", "host:http", ":65536", "a:b:1"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an address such as"):
        parse_address(text)
