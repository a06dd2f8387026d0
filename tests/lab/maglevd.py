"""A stand-in for maglevd 1.0, as far as VPP can tell: one sync of its file, by vpp_papi.

It does what its documents say of a sync: settings of the plugin first, then VIPs with a table of
1024, servers in the order of their addresses, weights where they differ, and at last the removal
of VIPs that are not in its file, servers first. All backends count as up but those that are
disabled or told to be down. It reads its file with PyYAML and shares no code with vpplb.

`maglevd.py SOCKET FILE [DOWN...]` syncs once and prints the calls that changed VPP, as JSON.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import yaml

_PROTOCOLS = {"tcp": 6, "udp": 17}
_ALL = 255
_TABLE_LENGTH = 1024
_BUCKETS, _FLOW_TIMEOUT = 65536, 40


def sync_maglevd(socket: Path, file: Path, down: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Have a maglevd sync once, and stop; return its calls that changed VPP."""
    argv = [sys.executable, __file__, str(socket), str(file), *down]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    calls: list[dict[str, Any]] = json.loads(done.stdout)
    return calls


Row = tuple[str, int, int]
"""A VIP: prefix, protocol, port."""


class _Sync:
    """One sync over a connected client; `calls` are those that changed something."""

    def __init__(self, client: Any, config: dict[str, Any], down: Sequence[str]) -> None:
        self._client, self._config, self._down = client, config, down
        self.calls: list[dict[str, Any]] = []

    def run(self) -> None:
        self._sync_conf()
        wanted = {self._row(one): one for one in self._config["frontends"].values()}
        present, servers = self._read()
        for row, frontend in wanted.items():
            self._sync_vip(row, frontend, present, servers.get(row, {}))
        for row in present:
            if row not in wanted:
                self._remove(row, servers.get(row, {}))

    def _call(self, message: str, **arguments: Any) -> None:
        answer = getattr(self._client.api, message)(**arguments)
        self.calls.append({"message": message, **{k: str(v) for k, v in arguments.items()}})
        assert answer.retval == 0, f"{self.calls[-1]}: {answer.retval}"

    def _sync_conf(self) -> None:
        given = self._config["vpp"]["lb"]
        now = self._client.api.lb_conf_get()
        wanted = {
            "ip4_src_address": given["ipv4-src-address"],
            "ip6_src_address": given["ipv6-src-address"],
            "sticky_buckets_per_core": given.get("sticky-buckets-per-core", _BUCKETS),
            "flow_timeout": _FLOW_TIMEOUT,
        }
        if any(str(getattr(now, name)) != str(value) for name, value in wanted.items()):
            self._call("lb_conf", **wanted)

    def _row(self, frontend: dict[str, Any]) -> Row:
        port = frontend.get("port", 0)
        protocol = _PROTOCOLS[frontend["protocol"]] if port else _ALL
        return str(ip_network(frontend["address"])), protocol, port

    def _read(self) -> tuple[list[Row], dict[Row, dict[str, int]]]:
        vips = [_row_of(one.vip) for one in self._client.api.lb_vip_dump()]
        servers: dict[Row, dict[str, int]] = {}
        for one in self._client.api.lb_as_v2_dump():
            if one.flags & 1:
                servers.setdefault(_row_of(one.vip), {})[str(one.app_srv)] = one.weight
        return vips, servers

    def _weights(self, frontend: dict[str, Any]) -> dict[str, int]:
        """Return the weight of each server by its address: that of the first pool that is up."""
        weights: dict[str, int] = {}
        active = False
        for pool in frontend["pools"]:
            serving = False
            for name, settings in pool["backends"].items():
                backend = self._config["backends"][name]
                up = backend.get("enabled", True) and name not in self._down
                weight = (settings or {}).get("weight", 100) if up and not active else 0
                serving |= weight > 0
                weights[backend["address"]] = max(weights.get(backend["address"], 0), weight)
            active |= serving
        return dict(sorted(weights.items(), key=lambda one: ip_address(one[0]).packed))

    def _sync_vip(
        self, row: Row, frontend: dict[str, Any], present: list[Row], have: dict[str, int]
    ) -> None:
        vip = _arguments(row)
        want = self._weights(frontend)
        if row not in present:
            self._call(
                "lb_add_del_vip_v2",
                **vip,
                encap=ip_address(next(iter(want))).version == 6,
                new_flows_table_length=_TABLE_LENGTH,
                src_ip_sticky=frontend.get("src-ip-sticky", False),
            )
        for address, weight in want.items():
            if address not in have:
                self._call("lb_add_del_as_v2", **vip, as_address=address, weight=weight)
            elif have[address] != weight:
                self._call("lb_as_set_weight", **vip, as_address=address, weight=weight)
        for address in have.keys() - want.keys():
            self._call("lb_add_del_as_v2", **vip, as_address=address, is_del=True, is_flush=True)

    def _remove(self, row: Row, have: dict[str, int]) -> None:
        for address in have:
            self._call(
                "lb_add_del_as_v2",
                **_arguments(row),
                as_address=address,
                is_del=True,
                is_flush=True,
            )
        self._call("lb_add_del_vip_v2", **_arguments(row), is_del=True)


def _row_of(vip: Any) -> Row:
    return str(vip.pfx), int(vip.protocol), int(vip.port)


def _arguments(row: Row) -> dict[str, Any]:
    prefix, protocol, port = row
    return {"pfx": prefix, "protocol": protocol, "port": port}


def _main(socket: str, file: str, *down: str) -> None:
    from vpp_papi import VPPApiClient

    client = VPPApiClient(use_socket=True, server_address=socket, bootstrapapi=True)
    client.connect("maglevd")
    sync = _Sync(client, yaml.safe_load(Path(file).read_text())["maglev"], down)
    sync.run()
    client.disconnect()
    print(json.dumps(sync.calls))  # noqa: T201  # its output


if __name__ == "__main__":
    _main(*sys.argv[1:])
