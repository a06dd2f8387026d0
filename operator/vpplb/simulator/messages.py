"""Definitions of the messages that the simulator serves, and of the types they use.

VPP computes a message's CRC from its definition, and clients take a message only where name and
CRC agree; the CRCs stated here are those of VPP 26.10 (lb API 1.2.0). A definition is one line:

    kind name crc: type field, type field=default, type[64] field, type[count] field

where the kind says which header fields come first and what answers it: a `request` is answered
by `<name>_reply`, a `dump` by any number of `<..>_details`. The types `string[]` and `c_string[]`
(with a NUL behind it) are of variable length. Other types are base types or those of the module's
`types`, `enums` and `aliases`. A message that is only `listed` is in the table of messages because
vpp_papi's asynchronous client wants it there; it is neither defined nor served.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

MessageKind = Literal["request", "dump", "reply", "details", "connect", "connected", "listed"]

_HEADERS: dict[str, tuple[str, ...]] = {
    "request": ("client_index", "context"),
    "dump": ("client_index", "context"),
    "reply": ("context",),
    "details": ("context",),
    "connect": ("context",),  # the client has no index yet
    "connected": ("client_index", "context"),
    "listed": (),
}

REQUESTS = frozenset({"request", "dump", "connect"})
"""Kinds that clients send; the others are answers."""

BASE_TYPES = frozenset({"u8", "u16", "u32", "u64", "i32", "bool", "string"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageField:
    """A field. `length`: None for a scalar, a number of elements, or the field that counts them.

    A string of variable length has length 0.
    """

    type: str
    name: str
    length: int | str | None = None
    default: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSpec:
    """A message: its header fields behind the message id, and its own fields."""

    kind: MessageKind
    name: str
    crc: int
    header: tuple[str, ...]
    fields: tuple[MessageField, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiModule:
    """An API file: messages, and the types they need in the form of VPP's .api.json."""

    name: str
    version: str
    messages: tuple[MessageSpec, ...]
    types: tuple[Any, ...] = ()
    unions: tuple[Any, ...] = ()
    enums: tuple[Any, ...] = ()
    aliases: tuple[tuple[str, Any], ...] = ()


_LINE = re.compile(r"(\w+) (\w+) ([0-9a-f]{8}):(.*)")
_FIELD = re.compile(r"(\w+)(?:\[(\w*)\])? (\w+)(?:=(\d+))?")


def _parse_messages(text: str) -> tuple[MessageSpec, ...]:
    return tuple(_parse_message(line) for line in text.strip().splitlines())


def _parse_message(line: str) -> MessageSpec:
    match = _LINE.fullmatch(line.strip())
    assert match, line
    kind, name, crc, fields = match.groups()
    return MessageSpec(
        kind=kind,  # type: ignore[arg-type]  # a wrong one is a KeyError in the next line but one
        name=name,
        crc=int(crc, 16),
        header=_HEADERS[kind],
        fields=tuple(_parse_field(part) for part in fields.split(",") if part.strip()),
    )


def _parse_field(text: str) -> MessageField:
    match = _FIELD.fullmatch(text.strip())
    assert match, text
    type_, length, name, default = match.groups()
    return MessageField(
        type=type_,
        name=name,
        length=int(length or 0) if length is not None and not length.isidentifier() else length,
        default=None if default is None else int(default),
    )


_ADDRESS_FAMILY = ("address_family", ("ADDRESS_IP4", 0), ("ADDRESS_IP6", 1), {"enumtype": "u8"})
_IP_PROTO = (
    "ip_proto",
    *(
        (f"IP_API_PROTO_{name}", number)
        for name, number in (
            ("HOPOPT", 0), ("ICMP", 1), ("IGMP", 2), ("TCP", 6), ("UDP", 17), ("GRE", 47),
            ("ESP", 50), ("AH", 51), ("ICMP6", 58), ("EIGRP", 88), ("OSPF", 89), ("SCTP", 132),
            ("RESERVED", 255),
        )
    ),
    {"enumtype": "u8"},
)  # fmt: skip
_IP_DSCP = (
    "ip_dscp",
    *(
        (f"IP_API_DSCP_{name}", number)
        for name, number in (
            ("CS0", 0), ("CS1", 8), ("AF11", 10), ("AF12", 12), ("AF13", 14), ("CS2", 16),
            ("AF21", 18), ("AF22", 20), ("AF23", 22), ("CS3", 24), ("AF31", 26), ("AF32", 28),
            ("AF33", 30), ("CS4", 32), ("AF41", 34), ("AF42", 36), ("AF43", 38), ("CS5", 40),
            ("EF", 46), ("CS6", 48), ("CS7", 50),
        )
    ),
    {"enumtype": "u8"},
)  # fmt: skip
_LB_SRV_TYPE = (
    "lb_srv_type",
    ("LB_API_SRV_TYPE_CLUSTERIP", 0),
    ("LB_API_SRV_TYPE_NODEPORT", 1),
    ("LB_API_SRV_N_TYPES", 2),
    {"enumtype": "u32"},
)
_LB_ENCAP_TYPE = (
    "lb_encap_type",
    ("LB_API_ENCAP_TYPE_GRE4", 0),
    ("LB_API_ENCAP_TYPE_GRE6", 1),
    ("LB_API_ENCAP_TYPE_L3DSR", 2),
    ("LB_API_ENCAP_TYPE_NAT4", 3),
    ("LB_API_ENCAP_TYPE_NAT6", 4),
    ("LB_API_ENCAP_N_TYPES", 5),
    {"enumtype": "u32"},
)

MEMCLNT = ApiModule(
    name="memclnt",
    version="2.1.0",
    types=(("message_table_entry", ("u16", "index"), ("string", "name", 64)),),
    # Clients know sockclnt_create as number 15 before they are told any: all before it are listed.
    messages=_parse_messages("""
        listed memclnt_create 9c5e1c2f:
        listed memclnt_create_reply 42ec4560:
        listed memclnt_delete 7e1c04e3:
        listed memclnt_delete_reply 3d3b6312:
        listed rx_thread_exit c3a3a452:
        listed memclnt_rx_thread_suspend c3a3a452:
        listed memclnt_read_timeout c3a3a452:
        listed rpc_call 7e8a2c95:
        listed rpc_call_reply e8d4e804:
        listed get_first_msg_id ebf79a66:
        listed get_first_msg_id_reply 7d337472:
        listed api_versions 51077d14:
        listed api_versions_reply 5f0d99d6:
        listed trace_plugin_msg_ids f476d3ce:
        connect sockclnt_create 455fb9c4: string[64] name
        connected sockclnt_create_reply 35166268: i32 response, u32 index, u16 count, message_table_entry[count] message_table
        request sockclnt_delete 8ac76db6: u32 index
        reply sockclnt_delete_reply 8f38b1ee: i32 response
        listed sock_init_shm 51646d92:
        listed sock_init_shm_reply e8d4e804:
        listed memclnt_keepalive 51077d14:
        listed memclnt_keepalive_reply e8d4e804:
        request control_ping 51077d14:
        reply control_ping_reply f6b0b8ca: i32 retval, u32 client_index, u32 vpe_pid
        listed memclnt_create_v2 c4bd4882:
        listed memclnt_create_v2_reply 42ec4560:
        request get_api_json 51077d14:
        reply get_api_json_reply ea715b59: i32 retval, c_string[] json
    """),  # noqa: E501 (a definition a line, as VPP has them)
)

_VLIB = ApiModule(
    name="vlib",
    version="1.0.0",
    messages=_parse_messages("""
        request cli_inband f8377302: string[] cmd
        reply cli_inband_reply 05879051: i32 retval, string[] reply
    """),
)

_VPE = ApiModule(
    name="vpe",
    version="1.7.0",
    messages=_parse_messages("""
        request show_version 51077d14:
        reply show_version_reply c919bde1: i32 retval, string[32] program, string[32] version, string[32] build_date, string[256] build_directory
    """),  # noqa: E501 (a definition a line, as VPP has them)
)

_LB = ApiModule(
    name="lb",
    version="1.2.0",
    types=(
        (
            "address",
            ("vl_api_address_family_t", "af"),
            ("vl_api_address_union_t", "un", {"discriminator": "af"}),
        ),
        ("prefix", ("vl_api_address_t", "address"), ("u8", "len")),
        ("prefix_matcher", ("u8", "le"), ("u8", "ge")),
        (
            "lb_vip",
            ("vl_api_address_with_prefix_t", "pfx"),
            ("vl_api_ip_proto_t", "protocol"),
            ("u16", "port"),
        ),
    ),
    unions=(
        (
            "address_union",
            ("vl_api_ip4_address_t", "ip4", {"case": "ADDRESS_IP4"}),
            ("vl_api_ip6_address_t", "ip6", {"case": "ADDRESS_IP6"}),
        ),
    ),
    enums=(_ADDRESS_FAMILY, _IP_PROTO, _IP_DSCP, _LB_SRV_TYPE, _LB_ENCAP_TYPE),
    aliases=(
        ("ip4_address", {"type": "u8", "length": 4}),
        ("ip6_address", {"type": "u8", "length": 16}),
        ("address_with_prefix", {"type": "vl_api_prefix_t"}),
        ("interface_index", {"type": "u32"}),
    ),
    messages=_parse_messages("""
        request lb_conf 56cd3261: ip4_address ip4_src_address, ip6_address ip6_src_address, u32 sticky_buckets_per_core=4294967295, u32 flow_timeout=4294967295
        reply lb_conf_reply e8d4e804: i32 retval
        request lb_conf_get 51077d14:
        reply lb_conf_get_reply 923427ac: i32 retval, ip4_address ip4_src_address, ip6_address ip6_src_address, u32 sticky_buckets_per_core, u32 flow_timeout
        request lb_add_del_vip 6fa569c7: address_with_prefix pfx, u8 protocol=255, u16 port, lb_encap_type encap, u8 dscp, lb_srv_type type, u16 target_port, u16 node_port, u32 new_flows_table_length=1024, bool is_del
        reply lb_add_del_vip_reply e8d4e804: i32 retval
        request lb_add_del_vip_v2 7c520e0f: address_with_prefix pfx, u8 protocol=255, u16 port, lb_encap_type encap, u8 dscp, lb_srv_type type, u16 target_port, u16 node_port, u32 new_flows_table_length=1024, bool src_ip_sticky, bool is_del
        reply lb_add_del_vip_v2_reply e8d4e804: i32 retval
        request lb_add_del_as 35d72500: address_with_prefix pfx, u8 protocol=255, u16 port, address as_address, bool is_del, bool is_flush
        reply lb_add_del_as_reply e8d4e804: i32 retval
        request lb_add_del_as_v2 2f1d3b0e: address_with_prefix pfx, u8 protocol=255, u16 port, address as_address, u8 weight=100, bool is_del, bool is_flush
        reply lb_add_del_as_v2_reply e8d4e804: i32 retval
        request lb_as_set_weight 2d89bdbd: address_with_prefix pfx, u8 protocol=255, u16 port, address as_address, u8 weight, bool is_flush
        reply lb_as_set_weight_reply e8d4e804: i32 retval
        request lb_flush_vip 1063f819: address_with_prefix pfx, u8 protocol, u16 port
        reply lb_flush_vip_reply e8d4e804: i32 retval
        dump lb_vip_dump 56110cb7: address_with_prefix pfx, prefix_matcher pfx_matcher, u8 protocol=255, u16 port
        details lb_vip_details 1329ec9b: lb_vip vip, lb_encap_type encap, ip_dscp dscp, lb_srv_type srv_type, u16 target_port, u16 flow_table_length
        dump lb_as_dump 1063f819: address_with_prefix pfx, u8 protocol, u16 port
        details lb_as_details 8d24c29e: lb_vip vip, address app_srv, u8 flags, u32 in_use_since
        dump lb_as_v2_dump 1063f819: address_with_prefix pfx, u8 protocol, u16 port
        details lb_as_v2_details 90064aae: lb_vip vip, address app_srv, u8 flags, u32 in_use_since, u8 weight, u32 num_buckets
        request lb_add_del_intf_nat4 47d6e753: bool is_add, interface_index sw_if_index
        reply lb_add_del_intf_nat4_reply e8d4e804: i32 retval
        request lb_add_del_intf_nat6 47d6e753: bool is_add, interface_index sw_if_index
        reply lb_add_del_intf_nat6_reply e8d4e804: i32 retval
    """),  # noqa: E501 (a definition a line, as VPP has them)
)

MODULES = (MEMCLNT, _VLIB, _VPE, _LB)

MESSAGES = {message.name: message for module in MODULES for message in module.messages}

MESSAGE_IDS = {name: number for number, name in enumerate(MESSAGES, start=1)}

_NAMES = {number: name for name, number in MESSAGE_IDS.items()}
_LAST_FIXED = MESSAGE_IDS["sockclnt_create_reply"]
"""Clients know it and the one before by number, before they are told any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiVersion:
    """Numbers and CRCs of one VPP.

    Ids are `shift` higher than here, but for those up to the ones that clients know beforehand;
    messages named in `other_crcs` have another CRC, as in a VPP that defines them otherwise.
    """

    shift: int = 0
    other_crcs: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """ValueError for what no VPP can be."""
        if unknown := self.other_crcs - MESSAGES.keys():
            raise ValueError(f"no such message: {', '.join(sorted(unknown))}")
        if self.shift < 0 or len(MESSAGE_IDS) + self.shift > 0xFFFF:
            raise ValueError(f"message ids cannot be shifted by {self.shift}")

    def message_id(self, name: str) -> int:
        number = MESSAGE_IDS[name]
        return number if number <= _LAST_FIXED else number + self.shift

    def message_name(self, number: int) -> str | None:
        """Return the message of an id; None when there is none."""
        if number > _LAST_FIXED:
            number -= self.shift
            return _NAMES.get(number) if number > _LAST_FIXED else None
        return _NAMES.get(number)

    def message_crc(self, message: MessageSpec) -> int:
        return message.crc ^ (0xFFFFFFFF if message.name in self.other_crcs else 0)

    def message_table(self) -> list[tuple[int, str]]:
        """Return id and name_crc of all messages, which a client gets when it connects."""
        return [(self.message_id(n), f"{n}_{self.message_crc(m):08x}") for n, m in MESSAGES.items()]


def api_json(module: ApiModule, api_version: ApiVersion) -> dict[str, Any]:
    """Return a module in the form of VPP's .api.json files."""
    return {
        "module": module.name,
        "types": module.types,
        "messages": [_message_json(m, api_version) for m in module.messages if m.kind != "listed"],
        "unions": module.unions,
        "enums": module.enums,
        "enumflags": [],
        "services": dict(_service_json(m) for m in module.messages if m.kind in REQUESTS),
        "options": {"version": module.version},
        "aliases": dict(module.aliases),
    }


def all_api_json(api_version: ApiVersion | None = None) -> str:
    """Return the JSON text of `get_api_json_reply`.

    VPP quirk: memclnt's definitions. They are not told: clients have to bring them along.
    """
    told = [module for module in MODULES if module is not MEMCLNT]
    return json.dumps([api_json(module, api_version or ApiVersion()) for module in told])


def _service_json(message: MessageSpec) -> tuple[str, dict[str, Any]]:
    if message.kind == "dump":
        details = message.name.removesuffix("_dump") + "_details"
        return message.name, {"reply": details, "stream": True}
    return message.name, {"reply": f"{message.name}_reply"}


def _message_json(message: MessageSpec, api_version: ApiVersion) -> list[Any]:
    header = [["u16", "_vl_msg_id"], *(["u32", name] for name in message.header)]
    fields = [_field_json(field) for field in message.fields]
    return [
        message.name,
        *header,
        *fields,
        {"crc": f"0x{api_version.message_crc(message):08x}", "options": {}},
    ]


def _field_json(field: MessageField) -> list[Any]:
    type_ = field.type.removeprefix("c_")
    name = type_ if type_ in BASE_TYPES else f"vl_api_{type_}_t"
    match field.length:
        case None:
            tail: list[Any] = [] if field.default is None else [{"default": field.default}]
        case int(length):
            tail = [length]
        case count:
            tail = [0, count]
    return [name, field.name, *tail]
