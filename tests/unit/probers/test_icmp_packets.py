import pytest

from vpplb.probers.icmp_packets import (
    EchoCodec,
    add_words,
    describe_icmp_error,
    ipv4_header_size,
)

PAYLOAD = b"\xff" * 56
TAG = 0x1234_0007
V4 = EchoCodec(version=4, payload=PAYLOAD)
V6 = EchoCodec(version=6, payload=PAYLOAD)


def reply(kind: int, payload: bytes = PAYLOAD) -> bytes:
    return bytes([kind, 0, 0, 0]) + TAG.to_bytes(4, "big") + payload


def test_the_checksum_is_that_of_rfc_1071() -> None:
    # The example of RFC 1071, section 3: sum ddf2.
    assert add_words(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2


@pytest.mark.parametrize("sequence", [0, 1, 0x7FFF, 0xFFFE, 0xFFFF])
@pytest.mark.parametrize("identifier", [0, 0xFFFF, 0x1234])
def test_every_request_of_ipv4_sums_up_to_nothing(identifier: int, sequence: int) -> None:
    packet = V4.build_request(identifier << 16 | sequence)
    assert add_words(packet) == 0xFFFF
    assert V4.match_quoted(packet) == identifier << 16 | sequence
    assert packet[4:8] == identifier.to_bytes(2, "big") + sequence.to_bytes(2, "big")


def test_the_types_are_those_of_the_family() -> None:
    assert (V4.build_request(TAG)[0], V6.build_request(TAG)[0]) == (8, 128)
    assert (V4.match_reply(reply(0)), V6.match_reply(reply(129))) == (TAG, TAG)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        reply(0)[:7],
        reply(8),
        reply(129),
        reply(0, payload=b"x" * 56),
        reply(0, payload=b""),
        reply(0, payload=b"x" + PAYLOAD),
    ],
    ids=["empty", "short", "request", "other family", "other payload", "no payload", "too long"],
)
def test_a_reply_to_somebody_else_is_none(packet: bytes) -> None:
    assert V4.match_reply(packet) is None


def test_an_error_may_quote_the_beginning_only() -> None:
    request = V4.build_request(TAG)
    assert [V4.match_quoted(request[:size]) for size in (7, 8, 20, 64)] == [None, TAG, TAG, TAG]


@pytest.mark.parametrize("packet", [reply(0), reply(8, payload=b"x" * 56)])
def test_an_error_about_somebody_elses_request_is_none(packet: bytes) -> None:
    assert V4.match_quoted(packet) is None


@pytest.mark.parametrize(("first", "size"), [(0x45, 20), (0x46, 24)])
def test_the_ipv4_header_is_passed_over_with_its_options(first: int, size: int) -> None:
    packet = bytes([first]) + b"\0" * (size - 1) + reply(0)
    assert V4.match_reply(packet, ipv4_header_size(packet)) == TAG


def test_an_empty_packet_has_no_header() -> None:
    assert ipv4_header_size(b"") == 0


@pytest.mark.parametrize(
    ("version", "kind", "code", "words"),
    [
        (4, 3, 1, "host unreachable"),
        (4, 3, 4, "fragmentation needed"),
        (4, 3, 13, "communication administratively prohibited"),
        (4, 11, 0, "time to live exceeded on the way"),
        (6, 1, 0, "no route to destination"),
        (6, 1, 1, "communication administratively prohibited"),
        (6, 2, 0, "packet too big"),
        (6, 3, 0, "time to live exceeded on the way"),
        (4, 3, 99, "destination unreachable (type 3, code 99)"),
        (6, 4, 1, "parameter problem (type 4, code 1)"),
        (4, 77, 0, "ICMP error (type 77, code 0)"),
    ],
)
def test_icmp_errors_are_told_apart(version: int, kind: int, code: int, words: str) -> None:
    assert describe_icmp_error(version, kind, code) == words


@pytest.mark.parametrize("payload", [b"", b"a", b"even", b"seven b"])
def test_the_checksum_of_a_request_is_right_for_a_payload_of_any_length(payload: bytes) -> None:
    request = EchoCodec(version=4, payload=payload).build_request(0x1234ABCD)
    assert add_words(request) == 0xFFFF
