"""The binary API's messages: definitions that we bring along, checked, as flat structs.

VPP tells its message ids when a client registers (`sockclnt_create_reply`), each under the name
and the CRC of its definition. vpp_papi reads `message_definitions`; from what it makes of them, a
message is flattened to one `struct.Struct` over its innermost fields, named by their
path (`pfx.address.un`, a union being its raw bytes). That packs in 2 µs where vpp_papi's own
recursion takes 40, and is held equal to it by a test.

VPP quirk: types by name. vpp_papi keeps types by name in the process, whatever VPP they came from;
so it is given an empty memory for each reading and its old one back afterwards.
"""

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from operator import itemgetter
from typing import Any

from vpp_papi import vpp_serializer
from vpp_papi.vpp_papi import VPPApiJSONFiles

from vpplb.vpp.message_definitions import NEEDED, api_json
from vpplb.vpp.message_fields import Fields, Value

SOCKCLNT_CREATE, SOCKCLNT_CREATE_REPLY = 15, 16
"""The two ids that are the same in every VPP (vpp_papi: vpp_transport_socket.py, connect)."""


class BadMessage(Exception):
    """A message does not agree with its definition."""


class ApiMessage:
    """One message of one VPP: packs requests, unpacks answers.

    `number` is its id on the wire, `answer` the name of what answers it. With `tail`, a string of
    any length follows the fixed part; its value is found under that name.
    """

    __slots__ = ("_form", "_head", "_names", "_tail", "_values", "answer", "name", "number")

    def __init__(self, name: str, number: int, flat: list[tuple[str, str]], tail: str) -> None:
        self.name = name
        self.number = number
        stem = name.removesuffix("_dump")
        self.answer = f"{name}_reply" if stem == name else f"{stem}_details"
        self._names = tuple(path for path, _ in flat)
        self._head = 3 if self._names[1] == "client_index" else 2  # the rest is id and context
        self._values = _field_getter(self._names[self._head :])
        self._form = struct.Struct(">" + "".join(code for _, code in flat) + "I" * bool(tail))
        self._tail = tail

    @property
    def struct_form(self) -> tuple[str, tuple[str, ...], str]:
        """The struct's format, the fields it is made of, and the string after it, if any."""
        return self._form.format, self._names, self._tail

    def pack(self, client: int, context: int, fields: Fields) -> bytes:
        """Pack a request; `fields` are exactly the message's, or ValueError says so.

        struct.error when a value does not fit its field.
        """
        if len(fields) != len(self._names) - self._head + bool(self._tail):
            names = self._names[self._head :]
            raise ValueError(f"fields of {self.name} are {names}, not {tuple(fields)}")
        head = (client, context) if self._head == 3 else (context,)
        values = self._values(fields)
        if not self._tail:
            return self._form.pack(self.number, *head, *values)
        tail = fields[self._tail]
        assert isinstance(tail, bytes)
        return self._form.pack(self.number, *head, *values, len(tail)) + tail

    def unpack(self, message: bytes) -> dict[str, Value]:
        """Unpack all fields, id and context among them; BadMessage when the message is short.

        Longer is no fault: VPP sends the JSON of its API with a NUL that the string's length
        does not count.
        """
        fixed = self._form.size
        if len(message) < fixed:
            raise BadMessage(f"{self.name} of {len(message)} bytes, not {fixed}")
        values = self._form.unpack_from(message)
        fields: dict[str, Value] = dict(zip(self._names, values, strict=False))
        if self._tail:
            tail = message[fixed : fixed + values[-1]]
            if len(tail) < values[-1]:
                raise BadMessage(f"{self.name} with a string of {values[-1]} bytes cut off")
            fields[self._tail] = tail
        return fields


def _field_getter(names: tuple[str, ...]) -> Callable[[Fields], tuple[Value, ...]]:
    """Return a function that gives the values of these fields in order."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda fields: tuple(fields[name] for name in names)


class MessageCatalogue:
    """Messages of one VPP by name and by id."""

    def __init__(self, messages: Mapping[str, ApiMessage]) -> None:
        self.by_name = dict(messages)
        self.by_number = {message.number: message for message in messages.values()}


class ClientRegistration:
    """The first exchange on a connection, by the definitions that vpp_papi brings along."""

    def __init__(self) -> None:
        with _own_types():
            text = resources.files("vpp_papi.data").joinpath("memclnt.api.json").read_text()
            parsed = _parse_messages(
                [json.loads(text)], {"sockclnt_create", "sockclnt_create_reply"}
            )
        self._create = parsed["sockclnt_create"]
        self._reply = parsed["sockclnt_create_reply"]

    def pack_request(self, name: str) -> bytes:
        """Pack `sockclnt_create` for a client of this name."""
        packed: bytes = self._create.pack(
            {"_vl_msg_id": SOCKCLNT_CREATE, "context": 0, "name": name}
        )
        return packed

    def unpack_reply(self, message: bytes) -> tuple[int, dict[str, int]]:
        """Read the answer: our client index, and VPP's message ids by `name_crc`.

        BadMessage when it is another message or not to be read.
        """
        try:
            reply, _ = self._reply.unpack(message)
        except (struct.error, vpp_serializer.VPPSerializerValueError, UnicodeError) as error:
            raise BadMessage(f"sockclnt_create_reply: {error}") from error
        if reply[0] != SOCKCLNT_CREATE_REPLY or reply.response != 0:
            raise BadMessage(f"registration refused: message {reply[0]}")
        return int(reply.index), {entry.name: int(entry.index) for entry in reply.message_table}


def missing_messages(table: Mapping[str, int]) -> list[str]:
    """List the needed messages (`name_crc`) that a VPP with this table lacks."""
    return [f"{name}_{crc}" for name, crc in NEEDED.items() if f"{name}_{crc}" not in table]


def build_catalogue(table: Mapping[str, int]) -> MessageCatalogue:
    """Build the messages of a VPP whose table has all that are needed."""
    return build_catalogue_from([api_json()], table)


def build_catalogue_from(apis: list[Any], table: Mapping[str, int]) -> MessageCatalogue:
    """Make them of definitions in the form of VPP's .api.json files.

    ValueError when one is of another CRC or of no fixed form, KeyError when it is not there.
    """
    with _own_types():
        parsed = _parse_messages(apis, set(NEEDED))
        return MessageCatalogue(
            {
                name: _build_message(parsed[name], crc, table[f"{name}_{crc}"])
                for name, crc in NEEDED.items()
            }
        )


@contextmanager
def _own_types() -> Iterator[None]:
    """Empty vpp_papi's caches of types for a while, but for its base types."""
    caches = [vpp_serializer.types, vpp_serializer.class_types, vpp_serializer.message_cache]
    saved = [dict(cache) for cache in caches]
    base = vpp_serializer.BaseTypes
    for cache in caches:
        for key in [k for k, v in cache.items() if not (isinstance(v, base) or k == "string")]:
            del cache[key]
    try:
        yield
    finally:
        for cache, old in zip(caches, saved, strict=True):
            cache.clear()
            cache.update(old)


def _parse_messages(apis: list[Any], names: set[str]) -> dict[str, Any]:
    """Let vpp_papi read the named messages, and the types of the files that define them."""
    parsed: dict[str, Any] = {}
    for api in apis:
        wanted = [message for message in api.get("messages", ()) if message[0] in names]
        if wanted:
            # vpp_papi edits what it reads.
            copy = json.loads(json.dumps({**api, "messages": wanted}))
            parsed |= VPPApiJSONFiles._process_json(copy)[0]
    return parsed


def _build_message(parsed: Any, crc: str, number: int) -> ApiMessage:
    if parsed.crc != f"0x{crc}":
        raise ValueError(f"{parsed.name} is defined with CRC {parsed.crc}, not 0x{crc}")
    flat: list[tuple[str, str]] = []
    tail = ""
    for name, packer in zip(parsed.fields, parsed.packers, strict=True):
        if tail:
            raise ValueError(f"{parsed.name} goes on after a string of any length")
        if isinstance(packer, vpp_serializer.String) and not packer.fixed:
            tail = name
        else:
            flat.extend(_flatten_field(name, packer))
    return ApiMessage(parsed.name, number, flat, tail)


def _flatten_field(path: str, packer: Any) -> Iterator[tuple[str, str]]:
    """Yield path and struct code of every innermost field."""
    serializer = vpp_serializer
    match packer:
        case serializer.BaseTypes():
            yield path, packer.packer.format.lstrip(">=")
        case serializer.VPPEnumType():
            yield from _flatten_field(path, serializer.types[packer.enumtype])
        case serializer.VPPTypeAlias() | serializer.FixedList_u8():
            yield from _flatten_field(path, packer.packer)
        case serializer.VPPUnionType():
            yield path, f"{packer.size}s"
        case serializer.String():
            yield path, f"{packer.limit}s"
        case serializer.VPPType():
            for name, inner in zip(packer.fields, packer.packers, strict=True):
                yield from _flatten_field(f"{path}.{name}", inner)
        case _:
            raise ValueError(f"{path} has no fixed length")
