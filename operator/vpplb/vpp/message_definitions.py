"""Every message that is used, as VPP 26.10 (lb API 1.2) defines it: data for vpp_papi to read.

VPP would tell its definitions itself (`get_api_json`), but that answer fills the socket.
VPP quirk: clients that hang up. After it, VPP no longer sees a client's end.

A message is a line,

    name crc: type field, type[length] field, ...

A request has `client_index` and `context` before its own fields, an answer has `context`. A
string of length 0 is of any length. VPP's enums are given as the integers that they are on the
wire. That these are the definitions of a real VPP is tested (tests/contract).

VPP quirk: flush of a VIP. `lb_flush_vip` is not here, and so cannot be sent.
"""

import re
from collections.abc import Mapping
from typing import Any

_MESSAGES = """
    control_ping 51077d14:
    control_ping_reply f6b0b8ca: i32 retval, u32 client_index, u32 vpe_pid
    sockclnt_delete 8ac76db6: u32 index
    sockclnt_delete_reply 8f38b1ee: i32 response
    show_version 51077d14:
    show_version_reply c919bde1: i32 retval, string[32] program, string[32] version, \
string[32] build_date, string[256] build_directory
    cli_inband f8377302: string[0] cmd
    cli_inband_reply 05879051: i32 retval, string[0] reply
    lb_conf 56cd3261: ip4_address ip4_src_address, ip6_address ip6_src_address, \
u32 sticky_buckets_per_core, u32 flow_timeout
    lb_conf_reply e8d4e804: i32 retval
    lb_conf_get 51077d14:
    lb_conf_get_reply 923427ac: i32 retval, ip4_address ip4_src_address, \
ip6_address ip6_src_address, u32 sticky_buckets_per_core, u32 flow_timeout
    lb_add_del_vip_v2 7c520e0f: prefix pfx, u8 protocol, u16 port, lb_encap_type encap, u8 dscp, \
lb_srv_type type, u16 target_port, u16 node_port, u32 new_flows_table_length, \
bool src_ip_sticky, bool is_del
    lb_add_del_vip_v2_reply e8d4e804: i32 retval
    lb_add_del_as_v2 2f1d3b0e: prefix pfx, u8 protocol, u16 port, address as_address, u8 weight, \
bool is_del, bool is_flush
    lb_add_del_as_v2_reply e8d4e804: i32 retval
    lb_as_set_weight 2d89bdbd: prefix pfx, u8 protocol, u16 port, address as_address, u8 weight, \
bool is_flush
    lb_as_set_weight_reply e8d4e804: i32 retval
    lb_vip_dump 56110cb7: prefix pfx, prefix_matcher pfx_matcher, u8 protocol, u16 port
    lb_vip_details 1329ec9b: lb_vip vip, lb_encap_type encap, ip_dscp dscp, \
lb_srv_type srv_type, u16 target_port, u16 flow_table_length
    lb_as_v2_dump 1063f819: prefix pfx, u8 protocol, u16 port
    lb_as_v2_details 90064aae: lb_vip vip, address app_srv, u8 flags, u32 in_use_since, \
u8 weight, u32 num_buckets
"""
_TYPES = """
    address: address_family af, address_union un
    prefix: address address, u8 len
    prefix_matcher: u8 le, u8 ge
    lb_vip: prefix pfx, ip_proto protocol, u16 port
"""
_ALIASES = {
    "address_family": {"type": "u8"},
    "ip_proto": {"type": "u8"},
    "ip_dscp": {"type": "u8"},
    "lb_encap_type": {"type": "u32"},
    "lb_srv_type": {"type": "u32"},
    "ip4_address": {"type": "u8", "length": 4},
    "ip6_address": {"type": "u8", "length": 16},
}
_BASE = frozenset({"u8", "u16", "u32", "i32", "bool", "string"})
_LINE = re.compile(r"^ *(\w+)(?: ([0-9a-f]{8}))?:(.*)$", re.MULTILINE)
_FIELD = re.compile(r"(\w+)(?:\[(\d+)\])? (\w+)")


def _split_definitions(text: str) -> list[tuple[str, str, str]]:
    """Return name, CRC and fields of each definition."""
    return [(m[1], m[2] or "", m[3]) for m in _LINE.finditer(text)]


NEEDED: Mapping[str, str] = {name: crc for name, crc, _ in _split_definitions(_MESSAGES)}
"""Every message used, with the CRC of its definition."""


def api_json() -> dict[str, Any]:
    """Return the definitions in the form of VPP's .api.json files."""
    return {
        "types": [[name, *_parse_fields(text)] for name, _, text in _split_definitions(_TYPES)],
        "unions": [
            ["address_union", ["vl_api_ip4_address_t", "ip4"], ["vl_api_ip6_address_t", "ip6"]]
        ],
        "aliases": _ALIASES,
        "messages": [
            [name, *_header_fields(name), *_parse_fields(text), {"crc": f"0x{crc}"}]
            for name, crc, text in _split_definitions(_MESSAGES)
        ],
    }


def _header_fields(name: str) -> list[list[str]]:
    answer = name.endswith(("_reply", "_details"))
    names = ("context",) if answer else ("client_index", "context")
    return [["u16", "_vl_msg_id"], *(["u32", field] for field in names)]


def _parse_fields(text: str) -> list[list[Any]]:
    return [
        [
            type_ if type_ in _BASE else f"vl_api_{type_}_t",
            name,
            *([int(length)] if length else []),
        ]
        for type_, length, name in _FIELD.findall(text)
    ]
