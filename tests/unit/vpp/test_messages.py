"""Flat structs against vpp_papi's own packing, by the definitions that the simulator tells."""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vpp_papi import vpp_serializer
from vpp_papi.vpp_papi import VPPApiJSONFiles

from vpplb.simulator.messages import all_api_json
from vpplb.vpp import message_definitions, messages
from vpplb.vpp.message_definitions import NEEDED
from vpplb.vpp.message_fields import Fields
from vpplb.vpp.messages import BadMessage, ClientRegistration

TABLE = {f"{name}_{crc}": number for number, (name, crc) in enumerate(NEEDED.items(), 100)}
CATALOGUE = messages.build_catalogue(TABLE)


def stock() -> dict[str, Any]:
    """Every message as vpp_papi itself makes it, by what the simulator tells of the plugin."""
    with messages._own_types():
        return messages._parse_messages(json.loads(all_api_json()), set(NEEDED))


STOCK = stock()


def nested(fields: Fields) -> dict[str, Any]:
    """Return flat fields as vpp_papi takes them: a path is a dictionary in a dictionary."""
    result: dict[str, Any] = {}
    for path, value in fields.items():
        *parents, last = path.split(".")
        at = result
        for parent in parents:
            at = at.setdefault(parent, {})
        if last == "un":
            kind = "ip4" if at["af"] == 0 else "ip6"
            at["un"] = {kind: value}
        else:
            at[last] = value
    return result


def addresses() -> st.SearchStrategy[tuple[int, bytes]]:
    ipv4 = st.ip_addresses(v=4).map(lambda address: (0, IPv4Address(address).packed))
    ipv6 = st.ip_addresses(v=6).map(lambda address: (1, IPv6Address(address).packed))
    return ipv4 | ipv6


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Fields]:
    """Any request that changes VPP, with any fields that fit."""
    name = draw(st.sampled_from(["lb_add_del_vip_v2", "lb_add_del_as_v2", "lb_as_set_weight"]))
    u8, u16, u32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
    af, un = draw(addresses())
    as_af, as_un = draw(addresses())
    fields: dict[str, int | bytes] = {
        "pfx.address.af": af,
        "pfx.address.un": un,
        "pfx.len": draw(u8),
        "protocol": draw(u8),
        "port": draw(u16),
    }
    if name == "lb_add_del_vip_v2":
        fields |= {"encap": draw(st.integers(0, 4)), "dscp": draw(u8), "type": draw(u8) % 2}
        fields |= {"target_port": draw(u16), "node_port": draw(u16)}
        fields |= {"new_flows_table_length": draw(u32), "src_ip_sticky": draw(u8) % 2}
        fields |= {"is_del": draw(u8) % 2}
    else:
        fields |= {"as_address.af": as_af, "as_address.un": as_un, "weight": draw(u8)}
        fields |= {"is_flush": draw(u8) % 2}
    if name == "lb_add_del_as_v2":
        fields |= {"is_del": draw(u8) % 2}
    return name, fields


@given(requests(), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_requests_are_packed_as_vpp_papi_packs_them(
    request: tuple[str, Fields], client: int, context: int
) -> None:
    name, fields = request
    message = CATALOGUE.by_name[name]
    head = {"_vl_msg_id": message.number, "client_index": client, "context": context}
    assert message.pack(client, context, fields) == STOCK[name].pack({**head, **nested(fields)})


@given(st.binary(min_size=200, max_size=200))
def test_details_are_unpacked_as_vpp_papi_unpacks_them(data: bytes) -> None:
    size = STOCK["lb_as_v2_details"].size
    ours = CATALOGUE.by_name["lb_as_v2_details"].unpack(data[:size])
    theirs, _ = STOCK["lb_as_v2_details"].unpack(data[:size], ntc=True)
    assert ours["weight"] == theirs.weight
    assert ours["num_buckets"] == theirs.num_buckets
    assert ours["context"] == theirs.context
    assert ours["app_srv.un"] == theirs.app_srv.un.ip6
    assert ours["vip.pfx.len"] == theirs.vip.pfx.len


def test_strings_of_any_length_end_a_message() -> None:
    packed = CATALOGUE.by_name["cli_inband"].pack(7, 9, {"cmd": b"show lb"})
    number = TABLE["cli_inband_f8377302"]
    head = {"_vl_msg_id": number, "client_index": 7, "context": 9}
    assert packed == STOCK["cli_inband"].pack({**head, "cmd": "show lb"})
    reply = struct.pack(">HIiI", TABLE["cli_inband_reply_05879051"], 9, 0, 3) + b"abc"
    assert CATALOGUE.by_name["cli_inband_reply"].unpack(reply)["reply"] == b"abc"
    assert CATALOGUE.by_name["cli_inband_reply"].unpack(reply + b"\0")["reply"] == b"abc"
    with pytest.raises(BadMessage, match="cut off"):
        CATALOGUE.by_name["cli_inband_reply"].unpack(reply[:-1])


def test_a_definition_with_another_crc_is_refused() -> None:
    apis = json.loads(all_api_json().replace("0x2d89bdbd", "0x00000000"))
    with pytest.raises(ValueError, match="lb_as_set_weight is defined with CRC 0x00000000"):
        messages.build_catalogue_from([message_definitions.api_json(), *apis], TABLE)


def test_fields_have_to_be_the_messages_own() -> None:
    message = CATALOGUE.by_name["lb_conf"]
    with pytest.raises(ValueError, match="ip6_src_address"):
        message.pack(0, 0, {"ip4_src_address": b""})


def test_an_answer_that_is_too_short_is_no_such_answer() -> None:
    with pytest.raises(BadMessage, match="lb_conf_reply of 3 bytes, not 10"):
        CATALOGUE.by_name["lb_conf_reply"].unpack(b"abc")


def test_missing_messages_are_named_with_their_crc() -> None:
    assert messages.missing_messages(TABLE) == []
    older = {key.replace("2d89bdbd", "00000000"): number for key, number in TABLE.items()}
    del older["lb_conf_get_51077d14"]
    assert messages.missing_messages(older) == ["lb_conf_get_51077d14", "lb_as_set_weight_2d89bdbd"]


@contextmanager
def foreign_type(name: str) -> Iterator[None]:
    """Have vpp_papi remember a type of another VPP's under this name."""
    saved = dict(vpp_serializer.types)
    VPPApiJSONFiles._process_json(
        {"types": [[name, ["u64", "one"], ["u64", "other"]]], "messages": []}
    )
    try:
        yield
    finally:
        vpp_serializer.types.clear()
        vpp_serializer.types.update(saved)


def test_types_of_another_vpp_in_this_process_do_not_matter_and_stay_as_they_were() -> None:
    with foreign_type("lb_vip"):
        before = dict(vpp_serializer.types)
        ours = messages.build_catalogue(TABLE).by_name["lb_vip_details"]
        assert dict(vpp_serializer.types) == before
    assert ours.unpack(bytes(50)[: STOCK["lb_vip_details"].size])["vip.port"] == 0


def test_registration_is_message_15_with_our_name() -> None:
    request = ClientRegistration().pack_request("vpplb")
    assert request == struct.pack(">HI64s", 15, 0, b"vpplb")


def test_a_registration_that_is_refused_or_garbage_is_not_accepted() -> None:
    head = struct.pack(">HIIiIH", 16, 0, 0, -1, 7, 0)
    for message in (head, b"\0\x10", b"\0\x11" + bytes(40)):
        with pytest.raises(BadMessage):
            ClientRegistration().unpack_reply(message)


def test_a_registration_tells_our_index_and_the_ids() -> None:
    entries = struct.pack(">H64s", 42, b"control_ping_51077d14")
    message = struct.pack(">HIIiIH", 16, 0, 0, 0, 7, 1) + entries
    assert ClientRegistration().unpack_reply(message) == (7, {"control_ping_51077d14": 42})
