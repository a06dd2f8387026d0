import pytest

from vpplb.probers.icmp import EchoCodec, checksum, ipv4_header_size

PAYLOAD = b"\xff" * 56
V4 = EchoCodec(version=4, identifier=0x1234, payload=PAYLOAD)
V6 = EchoCodec(version=6, identifier=0x1234, payload=PAYLOAD)


def reply(
    kind: int, identifier: int = 0x1234, sequence: int = 7, payload: bytes = PAYLOAD
) -> bytes:
    return (
        bytes([kind, 0, 0, 0]) + identifier.to_bytes(2, "big") + sequence.to_bytes(2, "big")
    ) + payload


def test_the_checksum_is_that_of_rfc_1071() -> None:
    # The example of RFC 1071, section 3: sum ddf2.
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF ^ 0xDDF2


def test_an_odd_byte_is_padded() -> None:
    assert checksum(b"\x01") == checksum(b"\x01\x00")


@pytest.mark.parametrize("sequence", [0, 1, 0x7FFF, 0xFFFE, 0xFFFF])
@pytest.mark.parametrize("identifier", [0, 0xFFFF, 0x1234])
def test_every_request_of_ipv4_sums_up_to_nothing(identifier: int, sequence: int) -> None:
    codec = EchoCodec(version=4, identifier=identifier, payload=PAYLOAD)
    packet = codec.request(sequence)
    assert checksum(packet) == 0
    assert codec.quoted(packet) == sequence


def test_the_types_are_those_of_the_family() -> None:
    assert (V4.request(7)[0], V6.request(7)[0]) == (8, 128)
    assert (V4.replied(reply(0)), V6.replied(reply(129))) == (7, 7)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        reply(0)[:7],
        reply(8),
        reply(129),
        reply(0, identifier=0x4321),
        reply(0, payload=b"x" * 56),
        reply(0, payload=b""),
    ],
    ids=["empty", "short", "request", "other family", "other id", "other payload", "no payload"],
)
def test_a_reply_to_somebody_else_is_none(packet: bytes) -> None:
    assert V4.replied(packet) is None


def test_an_error_may_quote_the_beginning_only() -> None:
    request = V4.request(7)
    assert [V4.quoted(request[:size]) for size in (7, 8, 20, 64)] == [None, 7, 7, 7]


@pytest.mark.parametrize(
    "packet", [reply(0), reply(8, identifier=0x4321), reply(8, payload=b"x" * 56)]
)
def test_an_error_about_somebody_elses_request_is_none(packet: bytes) -> None:
    assert V4.quoted(packet) is None


@pytest.mark.parametrize(("first", "size"), [(0x45, 20), (0x46, 24)])
def test_the_ipv4_header_is_passed_over_with_its_options(first: int, size: int) -> None:
    packet = bytes([first]) + b"\0" * (size - 1) + reply(0)
    assert V4.replied(packet, ipv4_header_size(packet)) == 7


def test_an_empty_packet_has_no_header() -> None:
    assert ipv4_header_size(b"") == 0
