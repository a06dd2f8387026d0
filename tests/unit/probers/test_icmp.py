import pytest

from vpplb.probers.icmp import EchoMessage, RequestBuilder, checksum, read_echo, strip_ipv4


def test_the_checksum_is_that_of_rfc_1071() -> None:
    # The example of RFC 1071, section 3: sum ddf2.
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF ^ 0xDDF2


def test_an_odd_byte_is_padded() -> None:
    assert checksum(b"\x01") == checksum(b"\x01\x00")


@pytest.mark.parametrize("sequence", [0, 1, 0x7FFF, 0xFFFE, 0xFFFF])
@pytest.mark.parametrize("identifier", [0, 0xFFFF, 0x1234])
def test_every_request_of_ipv4_sums_up_to_nothing(identifier: int, sequence: int) -> None:
    builder = RequestBuilder(version=4, identifier=identifier, payload=b"\xff" * 56)
    packet = builder.build(sequence)
    assert checksum(packet) == 0
    assert read_echo(packet) == EchoMessage(8, identifier, sequence, b"\xff" * 56)


def test_a_request_of_ipv6_has_its_own_type() -> None:
    packet = RequestBuilder(version=6, identifier=1, payload=b"x").build(2)
    assert read_echo(packet) == EchoMessage(128, 1, 2, b"x")


@pytest.mark.parametrize("packet", [b"", b"\x00" * 7])
def test_what_is_too_short_is_no_echo(packet: bytes) -> None:
    assert read_echo(packet) is None


@pytest.mark.parametrize(
    ("packet", "inside"),
    [
        (b"\x45" + b"\0" * 19 + b"echo", b"echo"),
        (b"\x46" + b"\0" * 23 + b"echo", b"echo"),
        (b"", b""),
    ],
)
def test_the_ipv4_header_is_removed_with_its_options(packet: bytes, inside: bytes) -> None:
    assert strip_ipv4(packet) == inside
