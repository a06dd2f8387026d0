"""Ops as the fields of messages, and details as values: where VPP's spelling ends.

Fields are named as `vpplb.vpp.messages` flattens them. Each work-around for VPP is marked
`VPP quirk` and listed in docs/vpp-quirks.md.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import assert_never

from vpplb.model.vip import (
    AppServer,
    Encap,
    IPAddress,
    IPNetwork,
    LbConf,
    StrangeVip,
    Vip,
    VipId,
    VipProtocol,
    VipSettings,
    VipTable,
)
from vpplb.plan.ops import AddServer, AddVip, DelServer, DelVip, Op, SetConf, SetWeight
from vpplb.vpp.cli_output import PROTOCOL_OF, VipListing
from vpplb.vpp.message_fields import Fields, Value

_ENCAPS = (Encap.GRE4, Encap.GRE6, Encap.L3DSR, Encap.NAT4, Encap.NAT6)
"""By number (lb_types.api, lb_encap_type)."""
_PROTOCOLS = {protocol: number for number, protocol in PROTOCOL_OF.items()}
_NATS = (Encap.NAT4, Encap.NAT6)
_IP4, _IP6 = 0, 1
_LIVE = 1
"""Bit of `flags` of lb_as_v2_details (lb.h, LB_AS_FLAGS_USED)."""
MAX_WEIGHT = 100
"""VPP quirk: weights above 100. VPP takes them up to 255, though its documentation does not."""
MAX_TABLE_LENGTH = 65536

EVERYTHING: Mapping[str, Value] = {
    # VPP quirk: dump filter. A prefix here loses the IPv4 entries; the zero prefix is no filter.
    "pfx.address.af": _IP4,
    "pfx.address.un": b"",
    "pfx.len": 0,
    "protocol": 0,
    "port": 0,
}
"""Fields of a dump of servers; a dump of VIPs has the matcher besides."""
EVERY_VIP: Fields = {**EVERYTHING, "pfx_matcher.le": 0, "pfx_matcher.ge": 0}
SHOW_CLIENTS: Fields = {"cmd": b"show api clients"}


class NotSendable(ValueError):
    """An op that VPP would take but must not be given."""


def encode_op(op: Op) -> tuple[str, Fields]:
    """Return the message of an op and its fields; NotSendable when VPP must not see it."""
    match op:
        case SetConf(conf=conf):
            _check_range("sticky buckets", conf.sticky_buckets_per_core, 0xFFFFFFFF)
            _check_range("flow timeout", conf.flow_timeout, 0xFFFFFFFF)
            return "lb_conf", {
                "ip4_src_address": conf.ipv4_source.packed,
                "ip6_src_address": conf.ipv6_source.packed,
                "sticky_buckets_per_core": conf.sticky_buckets_per_core,
                "flow_timeout": conf.flow_timeout,
            }
        case AddVip() | DelVip():
            return "lb_add_del_vip_v2", _encode_vip_op(op)
        case AddServer(weight=weight):
            _check_range("weight", weight, MAX_WEIGHT)
            server = _encode_server(op.vip, op.address)
            return "lb_add_del_as_v2", server | {"weight": weight, "is_del": 0, "is_flush": 0}
        case DelServer():
            server = _encode_server(op.vip, op.address)
            return "lb_add_del_as_v2", server | {"weight": 0, "is_del": 1, "is_flush": op.flush}
        case SetWeight(weight=weight):
            _check_range("weight", weight, MAX_WEIGHT)
            server = _encode_server(op.vip, op.address)
            return "lb_as_set_weight", server | {"weight": weight, "is_flush": op.flush}
        case _:
            assert_never(op)


def _encode_vip_op(op: AddVip | DelVip) -> Fields:
    settings = op.settings
    length = settings.table_length
    # VPP quirk: table length 0. It is taken for a power of two, and memory is allocated without
    # bound; so the length is checked here, also where VPP would.
    if not 1 <= length <= MAX_TABLE_LENGTH or length & (length - 1):
        raise NotSendable(f"flow table length {length} is not a power of two from 1 to 65536")
    # VPP quirk: IPv4 encapsulations of IPv6 VIPs. They are taken, and come out as GRE6.
    if op.vip.prefix.version == 6 and settings.encap in (Encap.L3DSR, Encap.NAT4):
        raise NotSendable(f"{settings.encap} is for IPv4 VIPs")
    _check_range("DSCP", settings.dscp, 63)
    _check_range("target port", settings.target_port, 0xFFFF)
    return {
        **_encode_vip(op.vip),
        "encap": _ENCAPS.index(settings.encap),
        "dscp": settings.dscp,
        "type": 0,
        "target_port": settings.target_port,
        "node_port": 0,
        "new_flows_table_length": length,
        "src_ip_sticky": settings.src_ip_sticky,
        "is_del": isinstance(op, DelVip),
    }


def _check_range(what: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise NotSendable(f"{what} {value} is not from 0 to {most}")


def _encode_vip(vip: VipId) -> dict[str, Value]:
    _check_range("port", vip.port, 0xFFFF)
    return {
        "pfx.address.af": _IP4 if vip.prefix.version == 4 else _IP6,
        "pfx.address.un": vip.prefix.network_address.packed,
        "pfx.len": vip.prefix.prefixlen,
        "protocol": _PROTOCOLS[vip.protocol],
        "port": vip.port,
    }


def _encode_server(vip: VipId, address: IPAddress) -> dict[str, Value]:
    fields = _encode_vip(vip)
    fields["as_address.af"] = _IP4 if address.version == 4 else _IP6
    fields["as_address.un"] = address.packed
    return fields


def decode_table(
    vips: Iterable[Fields], servers: Iterable[Fields], listing: VipListing
) -> tuple[VipTable, tuple[StrangeVip, ...]]:
    """Make a table of `lb_vip_details`, `lb_as_v2_details`, and what the CLI lists.

    Beside it come the VIPs that it cannot hold: those of protocols that no frontend has, of
    encapsulations that are not known here, and those that read back as what they are not.
    """
    rows: dict[VipId, dict[IPAddress, AppServer]] = {}
    settings: dict[VipId, VipSettings] = {}
    strange: list[StrangeVip] = []
    for fields in vips:
        vip = _vip_id(fields)
        if vip is None or vip in listing.misread or _read_int(fields, "encap") >= len(_ENCAPS):
            strange.append(
                _decode_strange_vip(fields, None if vip is None else listing.misread.get(vip))
            )
        else:
            rows[vip] = {}
            settings[vip] = _decode_settings(fields, vip in listing.sticky)
    for fields in servers:
        # VPP quirk: lingering servers. Removed ones are listed until their flows have gone.
        if not _read_int(fields, "flags") & _LIVE:
            continue
        vip = _vip_id(fields)
        if vip in rows:
            rows[vip][_read_address(fields, "app_srv")] = AppServer(
                weight=_read_int(fields, "weight"), buckets=_read_int(fields, "num_buckets")
            )
    found = {vip: Vip(settings=settings[vip], servers=row) for vip, row in rows.items()}
    return found, tuple(strange)


def lingering_servers(servers: Iterable[Fields]) -> Iterator[tuple[VipId | None, IPAddress]]:
    """Yield the removed servers of `lb_as_v2_details`, with their VIPs."""
    for fields in servers:
        if not _read_int(fields, "flags") & _LIVE:
            yield _vip_id(fields), _read_address(fields, "app_srv")


def _decode_strange_vip(fields: Fields, shown: str | None) -> StrangeVip:
    """Describe a VIP that a table cannot hold; `shown` is its true prefix."""
    address, length = _read_address(fields, "vip.pfx.address"), _read_int(fields, "vip.pfx.len")
    protocol, port = _read_int(fields, "vip.protocol"), _read_int(fields, "vip.port")
    prefix = _make_prefix(address, length)
    if shown is None:
        # VPP quirk: low IPv6 prefixes. Those from ::/33 to ::/95 read back as 0.0.0.0 of that
        # length.
        shown = f"{'::' if prefix is None and address.version == 4 else address}/{length}"
    ports = f"protocol {protocol} port {port}" if port else "all ports"
    encap, misread = _read_int(fields, "encap"), shown != str(prefix)
    return StrangeVip(
        text=f"{shown} {ports}",
        prefix=prefix,
        all_ports=port == 0,
        encap=None if misread or encap >= len(_ENCAPS) else _ENCAPS[encap],
    )


def _decode_settings(fields: Fields, sticky: bool) -> VipSettings:
    encap = _ENCAPS[_read_int(fields, "encap")]
    # VPP quirk: target port. It is in network byte order twice over (8080 reads 36895); and
    # it shares memory with the DSCP, so that each is only to be read with its encapsulation.
    swapped = _read_int(fields, "target_port")
    target_port = (swapped & 0xFF) << 8 | swapped >> 8
    return VipSettings(
        encap=encap,
        dscp=_read_int(fields, "dscp") if encap is Encap.L3DSR else 0,
        target_port=target_port if encap in _NATS else 0,
        src_ip_sticky=sticky,
        # VPP quirk: table length in 16 bits. 65536 reads back as 0.
        table_length=_read_int(fields, "flow_table_length") or MAX_TABLE_LENGTH,
    )


def _vip_id(fields: Fields) -> VipId | None:
    protocol = PROTOCOL_OF.get(_read_int(fields, "vip.protocol"))
    port = _read_int(fields, "vip.port")
    if protocol is None or (protocol is VipProtocol.ANY) != (port == 0):
        return None
    return _vip_of(
        _read_address(fields, "vip.pfx.address"), _read_int(fields, "vip.pfx.len"), protocol, port
    )


# A dump names each VIP once for each of its servers, and most servers in many VIPs: making the
# same values over and over would be most of the work, and of the memory.
@lru_cache(maxsize=1 << 14)
def _vip_of(address: IPAddress, length: int, protocol: VipProtocol, port: int) -> VipId | None:
    prefix = _make_prefix(address, length)
    return None if prefix is None else VipId(prefix, protocol, port)


def _make_prefix(address: IPAddress, length: int) -> IPNetwork | None:
    """Return the prefix; None where the address is too short for that length."""
    return ip_network((address, length), strict=False) if length <= address.max_prefixlen else None


@lru_cache(maxsize=1 << 14)
def _make_address(family: int, raw: bytes) -> IPAddress:
    return IPv4Address(raw[:4]) if family == _IP4 else IPv6Address(raw)


def _read_address(fields: Fields, path: str) -> IPAddress:
    raw = fields[f"{path}.un"]
    assert isinstance(raw, bytes)
    return _make_address(_read_int(fields, f"{path}.af"), raw)


def _read_int(fields: Fields, name: str) -> int:
    value = fields[name]
    assert isinstance(value, int)
    return value


def decode_conf(fields: Fields) -> LbConf:
    ipv4, ipv6 = fields["ip4_src_address"], fields["ip6_src_address"]
    assert isinstance(ipv4, bytes)
    assert isinstance(ipv6, bytes)
    return LbConf(
        ipv4_source=IPv4Address(ipv4),
        ipv6_source=IPv6Address(ipv6),
        sticky_buckets_per_core=_read_int(fields, "sticky_buckets_per_core"),
        flow_timeout=_read_int(fields, "flow_timeout"),
    )


def count_clients(name: str, text: str) -> int:
    return sum(
        line.rsplit(maxsplit=1)[0].strip() == name for line in text.splitlines() if line.strip()
    )
