"""What VPP's debug CLI prints, for the few commands that are of use with the lb plugin.

Line ends, double blanks and the missing line end behind NAT's `target_port` are VPP's.
"""

from ipaddress import IPv6Address

from vpplb.model.vip import Encap
from vpplb.simulator.counters import NAMES, PacketKind
from vpplb.simulator.lb import LoadBalancerState
from vpplb.simulator.rows import VipKey, VipRow, to_address

VERSION = "26.10-simulator"
BUILD_DATE = "1970-01-01T00:00:00"


_HEAP = (
    "Thread 0 vpp_main\n  base 0x7f0000000000, size 1g, name 'main heap'\n"
    "    total: 1023.99M, used: 46.06M, free: 977.94M, trimmable: 976.86M\n"
)


def run_command(command: str, state: LoadBalancerState) -> str | None:
    """Return what a command prints; None for an unknown command."""
    match command.split():
        case ["show", "lb"]:
            return _show_main(state)
        case ["show", "lb", "vips"]:
            return "".join(_vip_line(row) for _, row in state.vip_rows())
        case ["show", "lb", "vips", "verbose"]:
            return "".join(_vip_block(state, index, row) for index, row in state.vip_rows())
        case ["show", "memory", "main-heap"]:
            return _HEAP
        case ["show", "threads"]:
            names = ["vpp_main", *(f"vpp_wk_{n}" for n in range(len(state.flow_tables()) - 1))]
            rows = (f" {n}\x1b[0m {name}\x1b[0m\n" for n, name in enumerate(names))
            return f"\x1b[33mID\x1b[0m \x1b[33mName\x1b[0m\n{''.join(rows)}"
        case ["show", "version"]:
            return f"vpp v{VERSION} built by vpplb on simulator at {BUILD_DATE}\n"
        case _:
            return None


def _show_main(state: LoadBalancerState) -> str:
    cores = "".join(
        f"core {thread}\n  timeout: {state.conf.flow_timeout}s\n  usage: {used} / {size}\n"
        for thread, used, size in state.flow_tables()
    )
    return (
        f"lb_main ip4-src-address: {state.conf.ipv4_source} \n"
        f" ip6-src-address: {state.conf.ipv6_source} \n"
        f" #vips: {len(state.vips)}\n"
        f" #ass: {len(state.servers) - 1}\n{cores}"
    )


def _vip_line(row: VipRow) -> str:
    port = f"  protocol:{row.key.protocol} port:{row.key.port} " if row.key.port else ""
    return (
        f"{row.type} {_prefix_text(row.key)} new_size:{row.table_length} #as:{len(row.servers)}"
        f"{_removed_mark(row.used)}{port}{_encap_arguments(row)}\n"
    )


def _vip_block(state: LoadBalancerState, index: int, row: VipRow) -> str:
    sticky = " src_ip_sticky" if row.src_ip_sticky else ""
    port = f"  protocol:{row.key.protocol} port:{row.key.port}\n" if row.key.port else ""
    encap = _encap_arguments(row)
    match row.type.encap:
        case Encap.L3DSR:
            encap = f"{encap}\n"
        case Encap.NAT4 | Encap.NAT6:
            encap = f" {encap}"
    counters = "".join(
        f"    {NAMES[kind]}: {state.counters.total_packets(kind, index)}\n" for kind in PacketKind
    )
    return (
        f" {row.type} [{index}] {_prefix_text(row.key)}{sticky}{_removed_mark(row.used)}\n"
        f"  new_size:{row.table_length}\n"
        f"{port}{encap}  counters:\n{counters}"
        f"  #as:{len(row.servers)}\n"
        f"{''.join(_server_line(state, row, index) for index in state.server_indexes(row))}\n"
    )


def _server_line(state: LoadBalancerState, row: VipRow, index: int) -> str:
    server = state.servers[index]
    buckets = state.vip_shares(row).get(to_address(server.address), 0) if server.used else 0
    return (
        f"    {to_address(server.address)} weight:{server.weight} buckets:{buckets}"
        f" flows:{state.count_flows(index)} dpo:{index}"
        f" {'used' if server.used else ' removed'}\n"
    )


def _encap_arguments(row: VipRow) -> str:
    match row.type.encap:
        case Encap.L3DSR:
            return f"  dscp:{row.encap_byte}"
        case Encap.NAT4 | Encap.NAT6:
            # VPP quirk: the port is printed with its bytes swapped.
            return f" type:clusterip port:{swap_bytes(row.key.port)} target_port:{row.target_port}"
        case _:
            return ""


def swap_bytes(number: int) -> int:
    """Swap the bytes of a 16-bit number, as VPP does once too often with some ports."""
    return (number & 0xFF) << 8 | number >> 8


def _removed_mark(used: bool) -> str:
    return "" if used else " removed"


def _prefix_text(key: VipKey) -> str:
    if key.is_ip4:
        return f"{to_address(key.address)}/{key.length - 96}"
    return f"{IPv6Address(key.address)}/{key.length}"
