import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpplb.vpp.framing import MAX_MESSAGE, BadFrame, FrameReader, frame_message


def test_a_frame_has_a_header_of_16_bytes_with_the_length() -> None:
    assert frame_message(b"\x00\x0fhello") == bytes(8) + b"\0\0\0\x07" + bytes(4) + b"\x00\x0fhello"


@given(st.lists(st.binary(min_size=2, max_size=40), max_size=8), st.integers(1, 30))
def test_messages_come_out_as_they_went_in_however_the_stream_is_cut(
    messages: list[bytes], size: int
) -> None:
    stream = b"".join(map(frame_message, messages))
    reader, out = FrameReader(), list[bytes]()
    for start in range(0, len(stream), size):
        out += reader.read_messages(stream[start : start + size])
    assert out == messages


def test_what_vpp_leaves_in_the_other_header_fields_is_not_looked_at() -> None:
    stream = b"\xff" * 8 + b"\0\0\0\x02" + b"\xff" * 4 + b"ab"
    assert list(FrameReader().read_messages(stream)) == [b"ab"]


@pytest.mark.parametrize("length", [0, 1, MAX_MESSAGE + 1, 2**32 - 1])
def test_a_length_that_cannot_be_is_refused_before_anything_is_kept_for_it(length: int) -> None:
    with pytest.raises(BadFrame, match=str(length)):
        list(FrameReader().read_messages(bytes(8) + length.to_bytes(4, "big") + bytes(4)))


def test_messages_before_a_bad_frame_still_come_out() -> None:
    messages = FrameReader().read_messages(frame_message(b"ok") + bytes(16))
    assert next(messages) == b"ok"
    with pytest.raises(BadFrame):
        next(messages)
