"""What each message does: from fields to the state and back. Sans-I/O.

Byte order: VPP's handlers forget to swap some fields (`type` of lb_add_del_vip, `srv_type` and
`target_port` of lb_vip_details); the answers here are as VPP's.
"""

from collections.abc import Callable, Sequence

from vpplb.model.vip import Encap
from vpplb.simulator import cli_text
from vpplb.simulator.cli_text import swap_bytes
from vpplb.simulator.lb import LoadBalancerState
from vpplb.simulator.messages import ApiVersion, all_api_json
from vpplb.simulator.rows import IP4_BITS, IP6_BITS, NewVip, VipKey, VipRow, VppRetval, to_address
from vpplb.simulator.wire import VipName, WireAddress, WireFields, WirePrefix

AnswerMessage = tuple[str, WireFields]
"""Name and own fields (without header fields) of a message to the client."""

_ENCAPS = (Encap.GRE4, Encap.GRE6, Encap.L3DSR, Encap.NAT4, Encap.NAT6)  # lb_types.api
_KEEP = 0xFFFFFFFF
_SERVER_USED = 1  # lb_as_v2_details.flags


class MessageHandlers:
    """Answers every message but those about the connection itself. `pid` is VPP's."""

    def __init__(
        self, state: LoadBalancerState, pid: int, api_version: ApiVersion | None = None
    ) -> None:
        self.state = state
        self.pid = pid
        self.api_version = api_version or ApiVersion()
        self._handlers: dict[str, Callable[[WireFields], VppRetval]] = {
            "lb_conf": self._set_conf,
            "lb_add_del_vip": self._add_del_vip,
            "lb_add_del_vip_v2": self._add_del_vip,
            "lb_add_del_as": self._add_del_as,
            "lb_add_del_as_v2": self._add_del_as,
            "lb_as_set_weight": self._set_weight,
            "lb_flush_vip": self._flush_vip,
            "lb_add_del_intf_nat4": self._set_interface,
            "lb_add_del_intf_nat6": self._set_interface,
        }

    def answer_message(self, name: str, fields: WireFields) -> Sequence[AnswerMessage]:
        """Do what a message asks and return the answers in order."""
        self.state.collect_garbage()
        if handler := self._handlers.get(name):
            return [(f"{name}_reply", {"retval": handler(fields)})]
        match name:
            case "lb_vip_dump":
                return [_vip_details(row) for _, row in self.state.vip_rows() if row.used]
            case "lb_as_dump" | "lb_as_v2_dump":
                return self._server_details(name.removesuffix("_dump") + "_details", fields)
            case "lb_conf_get":
                return [self._conf_get()]
            case "cli_inband":
                return [self._run_cli(fields["cmd"])]
            case "control_ping":
                pong = {"retval": 0, "client_index": fields["client_index"], "vpe_pid": self.pid}
                return [("control_ping_reply", pong)]
            case "show_version":
                return [_show_version()]
            case "get_api_json":
                return [
                    ("get_api_json_reply", {"retval": 0, "json": all_api_json(self.api_version)})
                ]
            case _:
                raise KeyError(name)

    def _set_conf(self, fields: WireFields) -> VppRetval:
        buckets, timeout = fields["sticky_buckets_per_core"], fields["flow_timeout"]
        return self.state.set_settings(
            fields["ip4_src_address"],
            fields["ip6_src_address"],
            None if buckets == _KEEP else buckets,
            None if timeout == _KEEP else timeout,
        )

    def _conf_get(self) -> AnswerMessage:
        conf = self.state.conf
        return "lb_conf_get_reply", {
            "retval": 0,
            "ip4_src_address": conf.ipv4_source,
            "ip6_src_address": conf.ipv6_source,
            "sticky_buckets_per_core": conf.sticky_buckets_per_core,
            "flow_timeout": conf.flow_timeout,
        }

    def _add_del_vip(self, fields: WireFields) -> VppRetval:
        key = _vip_key(fields)
        if key is None:
            return VppRetval.UNSPECIFIED
        if fields["is_del"]:
            return self.state.delete_vip(key)
        encap = fields["encap"]
        new = NewVip(
            encap=_ENCAPS[encap] if encap < len(_ENCAPS) else None,
            dscp=fields["dscp"] & 0x3F,
            # VPP quirk: the number's bytes are not swapped, so NODEPORT arrives as CLUSTERIP.
            service_type=fields["type"] >> 24,
            target_port=fields["target_port"],
            table_length=fields["new_flows_table_length"],
            src_ip_sticky=fields.get("src_ip_sticky", False),
        )
        return self.state.add_vip(key, new)

    def _add_del_as(self, fields: WireFields) -> VppRetval:
        key = _vip_key(fields)
        if key is None:
            return VppRetval.UNSPECIFIED
        address = fields["as_address"].number
        flush = fields["is_flush"]
        if fields["is_del"]:
            return self.state.delete_server(key, address, flush=flush)
        if "weight" not in fields:  # lb_add_del_as, which never flushes when it adds
            return self.state.add_server(key, address, 100)
        return self.state.add_server(key, address, fields["weight"], flush=flush)

    def _set_weight(self, fields: WireFields) -> VppRetval:
        key = _vip_key(fields)
        if key is None:
            return VppRetval.UNSPECIFIED
        address, weight = fields["as_address"].number, fields["weight"]
        return self.state.set_weight(key, address, weight, flush=fields["is_flush"])

    def _flush_vip(self, fields: WireFields) -> VppRetval:
        key = _vip_key(fields)
        return VppRetval.OK if key is None else self.state.flush_vip(key)

    def _set_interface(self, fields: WireFields) -> VppRetval:
        """Accept local0, the one interface that every VPP has."""
        return VppRetval.OK if fields["sw_if_index"] == 0 else VppRetval.INVALID_SW_IF_INDEX

    def _server_details(self, details: str, fields: WireFields) -> Sequence[AnswerMessage]:
        # VPP quirk: the prefix of the request is compared as 16 raw bytes, in which an IPv4
        # address is left-aligned, with stored ones, in which it is right-aligned.
        wanted = int.from_bytes(fields["pfx"].address.raw, "big")
        return [
            (details, self._server_fields(row, index))
            for _, row in self.state.vip_rows()
            if not wanted
            or (wanted, fields["protocol"], fields["port"])
            == (row.key.address, row.key.protocol, row.key.port)
            for index in self.state.server_indexes(row)
        ]

    def _server_fields(self, row: VipRow, index: int) -> WireFields:
        server = self.state.servers[index]
        buckets = (
            self.state.vip_shares(row).get(to_address(server.address), 0) if server.used else 0
        )
        return {
            "vip": _vip_name(row),
            "app_srv": WireAddress.from_number(server.address),
            "flags": _SERVER_USED if server.used else 0,
            "in_use_since": server.last_used,
            "weight": server.weight,
            "num_buckets": buckets,
        }

    def _run_cli(self, command: str) -> AnswerMessage:
        text = cli_text.run_command(command, self.state)
        if text is None:
            unknown = f"unknown input `{command}'\n"
            return "cli_inband_reply", {"retval": VppRetval.UNSPECIFIED, "reply": unknown}
        return "cli_inband_reply", {"retval": 0, "reply": text}


def _vip_key(fields: WireFields) -> VipKey | None:
    """Return what names the VIP; None for a prefix that is none (VPP does not look)."""
    prefix: WirePrefix = fields["pfx"]
    bits = IP4_BITS if prefix.address.is_ip4 else IP6_BITS
    if prefix.length > bits:
        return None
    length = prefix.length + IP6_BITS - bits
    return VipKey(prefix.address.number, length, fields["protocol"], fields["port"])


def _vip_name(row: VipRow) -> VipName:
    key = row.key
    length = key.length - (IP6_BITS - IP4_BITS) if key.is_ip4 else key.length
    return VipName(WirePrefix(WireAddress.from_number(key.address), length), key.protocol, key.port)


def _vip_details(row: VipRow) -> AnswerMessage:
    return "lb_vip_details", {
        "vip": _vip_name(row),
        "encap": _ENCAPS.index(row.type.encap),
        "dscp": row.encap_byte,
        "srv_type": row.encap_byte << 24,  # VPP quirk: bytes not swapped
        "target_port": swap_bytes(row.target_port),  # VPP quirk: bytes swapped twice
        "flow_table_length": row.table_length & 0xFFFF,  # VPP quirk: 65536 does not fit
    }


def _show_version() -> AnswerMessage:
    return "show_version_reply", {
        "retval": 0,
        "program": "vpe",
        "version": cli_text.VERSION,
        "build_date": cli_text.BUILD_DATE,
        "build_directory": "",
    }
