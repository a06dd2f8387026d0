"""Frames of the binary API's socket, and the packing of the messages of `messages`.

A frame is a 16-byte header (u64 0, u32 length, u32 0) and a message: u16 id, header fields, then
its fields, all big-endian and packed. A message of fixed size is one struct, compiled once.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple

from vpplb.simulator.messages import MESSAGE_IDS, MESSAGES, MessageField, MessageSpec

WireFields = Mapping[str, Any]
"""A message's fields by name, header fields included, the message id not."""

FRAME = struct.Struct(">QII")

_IP4, _IP6 = 0, 1  # ip_types.api, address_family


class MalformedMessage(ValueError):
    """A message is shorter than its definition; VPP drops such."""


class WireAddress(NamedTuple):
    """An address as it is on the wire: the family, and 16 bytes of which IPv4 uses the first 4."""

    family: int
    raw: bytes

    @classmethod
    def from_number(cls, number: int) -> "WireAddress":
        """Encode a 128-bit number as VPP does: as IPv4 whenever it fits in 32 bits."""
        if number < 1 << 32:
            return cls(_IP4, number.to_bytes(4, "big").ljust(16, b"\0"))
        return cls(_IP6, number.to_bytes(16, "big"))

    @property
    def is_ip4(self) -> bool:
        return self.family == _IP4

    @property
    def number(self) -> int:
        """The address as VPP keeps it: 128 bits, an IPv4 address right-aligned in zeros."""
        return int.from_bytes(self.raw[:4] if self.is_ip4 else self.raw, "big")

    def __str__(self) -> str:
        return str(IPv4Address(self.raw[:4]) if self.is_ip4 else IPv6Address(self.raw))


class WirePrefix(NamedTuple):
    """An address and a length in bits of its family."""

    address: WireAddress
    length: int

    def __str__(self) -> str:
        return f"{self.address}/{self.length}"


class VipName(NamedTuple):
    """What names a VIP in details (`lb_vip`)."""

    pfx: WirePrefix
    protocol: int
    port: int


class _TypeCodec(NamedTuple):
    """How a type is packed: a struct format, and conversion from and to its values."""

    format: str
    read: Callable[[Sequence[Any]], Any]
    write: Callable[[Any], Sequence[Any]]


def _scalar_codec(format_: str) -> _TypeCodec:
    return _TypeCodec(format_, lambda values: values[0], lambda value: (value,))


def _read_prefix(values: Sequence[Any]) -> WirePrefix:
    return WirePrefix(WireAddress(values[0], values[1]), values[2])


def _write_prefix(prefix: WirePrefix) -> Sequence[Any]:
    return (*prefix.address, prefix.length)


_CODECS = {
    "u8": _scalar_codec("B"),
    "u16": _scalar_codec("H"),
    "u32": _scalar_codec("I"),
    "i32": _scalar_codec("i"),
    "bool": _scalar_codec("?"),
    "ip_dscp": _scalar_codec("B"),
    "lb_encap_type": _scalar_codec("I"),
    "lb_srv_type": _scalar_codec("I"),
    "interface_index": _scalar_codec("I"),
    "ip4_address": _TypeCodec("4s", lambda v: IPv4Address(v[0]), lambda address: (address.packed,)),
    "ip6_address": _TypeCodec(
        "16s", lambda v: IPv6Address(v[0]), lambda address: (address.packed,)
    ),
    "address": _TypeCodec("B16s", lambda values: WireAddress(*values), lambda address: address),
    "address_with_prefix": _TypeCodec("B16sB", _read_prefix, _write_prefix),
    "prefix_matcher": _TypeCodec("BB", tuple, lambda matcher: matcher),
    "lb_vip": _TypeCodec(
        "B16sBBH",
        lambda values: VipName(_read_prefix(values), *values[3:]),
        lambda vip: (*_write_prefix(vip.pfx), vip.protocol, vip.port),
    ),
}


def _text_codec(length: int) -> _TypeCodec:
    return _TypeCodec(
        f"{length}s",
        lambda values: values[0].split(b"\0", 1)[0].decode("ascii", "replace"),
        lambda text: (text.encode()[: length - 1],),
    )


class _TailCodec(NamedTuple):
    """The last field of a message, where it is of variable length."""

    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes]


def _read_string(data: bytes) -> str:
    if len(data) < 4:
        raise MalformedMessage("a string without its length")
    length = int.from_bytes(data[:4], "big")
    if len(data) < 4 + length:
        raise MalformedMessage(f"a string of {length} bytes is cut off")
    return data[4 : 4 + length].decode("utf-8", "replace")


def _write_string(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4, "big") + data


def _write_message_table(entries: Sequence[tuple[int, str]]) -> bytes:
    return b"".join(struct.pack(">H64s", index, name.encode()) for index, name in entries)


def _only_written(data: bytes) -> Any:
    raise MalformedMessage("only a server sends this")


_TAILS = {
    "string": _TailCodec(_read_string, _write_string),
    # VPP quirk: NUL after a string. The JSON of get_api_json ends with one that is not counted.
    "c_string": _TailCodec(_read_string, lambda text: _write_string(text) + b"\0"),
    "message_table_entry": _TailCodec(_only_written, _write_message_table),
}


class MessageLayout:
    """A message's place on the wire."""

    def __init__(self, message: MessageSpec) -> None:
        self.message = message
        self._id = MESSAGE_IDS[message.name]
        self._fields: list[tuple[str, _TypeCodec, slice]] = []
        self._tail: tuple[str, _TailCodec] | None = None
        format_ = ">H"
        position = 1
        for field in (
            *(MessageField(type="u32", name=n) for n in message.header),
            *message.fields,
        ):
            if _is_variable(field):
                self._tail = (field.name, _TAILS[field.type])
                continue
            codec = _field_codec(field)
            format_ += codec.format
            width = len(
                struct.unpack(f">{codec.format}", bytes(struct.calcsize(f">{codec.format}")))
            )
            self._fields.append((field.name, codec, slice(position, position + width)))
            position += width
        self._struct = struct.Struct(format_)

    def unpack(self, data: bytes) -> dict[str, Any]:
        """Return the fields of a message; Malformed when it is too short."""
        if len(data) < self._struct.size:
            raise MalformedMessage(f"{self.message.name}: {len(data)} bytes of {self._struct.size}")
        values = self._struct.unpack_from(data)
        fields = {name: codec.read(values[place]) for name, codec, place in self._fields}
        if self._tail is not None:
            name, tail = self._tail
            fields[name] = tail.read(data[self._struct.size :])
        return fields

    def blank_fields(self) -> dict[str, Any]:
        """Return the fields of a message that is all zeros."""
        return self.unpack(bytes(self._struct.size + 4))

    def pack(self, fields: WireFields, number: int | None = None) -> bytes:
        """Return the message with these fields; KeyError when one is missing.

        `number` is its id, where that is another than here.
        """
        values = [value for name, codec, _ in self._fields for value in codec.write(fields[name])]
        packed = self._struct.pack(self._id if number is None else number, *values)
        if self._tail is None:
            return packed
        name, tail = self._tail
        return packed + tail.write(fields[name])


def _is_variable(field: MessageField) -> bool:
    return field.length == 0 or isinstance(field.length, str)


def _field_codec(field: MessageField) -> _TypeCodec:
    if field.type == "string":
        assert isinstance(field.length, int)
        return _text_codec(field.length)
    return _CODECS[field.type]


LAYOUTS = {
    name: MessageLayout(message) for name, message in MESSAGES.items() if message.kind != "listed"
}


def frame_message(message: bytes) -> bytes:
    return FRAME.pack(0, len(message), 0) + message


def take_frame(buffer: bytearray) -> bytes | None:
    """Cut the first whole message out of `buffer`; None when there is none yet."""
    if len(buffer) < FRAME.size:
        return None
    end = FRAME.size + FRAME.unpack_from(buffer)[1]
    if len(buffer) < end:
        return None
    message = bytes(buffer[FRAME.size : end])
    del buffer[:end]
    return message
