import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpplb.simulator import wire
from vpplb.simulator.wire import (
    MalformedMessage,
    WireAddress,
    WirePrefix,
    frame_message,
    take_frame,
)

ADD_SERVER = {
    "client_index": 1,
    "context": 2,
    "pfx": WirePrefix(WireAddress.from_number(0xC0000201), 32),
    "protocol": 6,
    "port": 80,
    "as_address": WireAddress.from_number(0x0A000001),
    "weight": 100,
    "is_del": False,
    "is_flush": True,
}


@given(st.ip_addresses())
def test_addresses_are_encoded_by_their_size_and_kept_as_numbers(
    address: IPv4Address | IPv6Address,
) -> None:
    number = int(address)
    encoded = WireAddress.from_number(number)
    assert encoded.number == number
    assert encoded.is_ip4 == (number < 1 << 32)


def test_an_ipv4_address_is_left_aligned_on_the_wire() -> None:
    assert WireAddress.from_number(0x0A000001).raw == bytes([10, 0, 0, 1]) + bytes(12)


def test_packing_and_unpacking_are_inverse() -> None:
    layout = wire.LAYOUTS["lb_add_del_as_v2"]
    assert layout.unpack(layout.pack(ADD_SERVER)) == ADD_SERVER


def test_packed_fields_are_big_endian_without_padding() -> None:
    packed = wire.LAYOUTS["control_ping_reply"].pack(
        {"context": 1, "retval": -1, "client_index": 2, "vpe_pid": 3}
    )
    assert packed[2:] == struct.pack(">IiII", 1, -1, 2, 3)


@pytest.mark.parametrize("name", ["lb_add_del_as_v2", "cli_inband"])
def test_a_message_that_is_cut_off_is_malformed(name: str) -> None:
    packed = wire.LAYOUTS[name].pack({**ADD_SERVER, "cmd": "show lb"})
    for length in range(2, len(packed)):
        with pytest.raises(MalformedMessage):
            wire.LAYOUTS[name].unpack(packed[:length])


def test_texts_of_fixed_size_are_cut_to_leave_room_for_their_end() -> None:
    packed = wire.LAYOUTS["sockclnt_create"].pack({"context": 0, "name": "x" * 100})
    assert wire.LAYOUTS["sockclnt_create"].unpack(packed)["name"] == "x" * 63


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(1, 50))
def test_frames_are_found_however_the_stream_is_cut(messages: list[bytes], size: int) -> None:
    stream = b"".join(frame_message(message) for message in messages)
    buffer, found = bytearray(), []
    for start in range(0, len(stream), size):
        buffer += stream[start : start + size]
        while (message := take_frame(buffer)) is not None:
            found.append(message)
    assert found == messages
    assert not buffer
