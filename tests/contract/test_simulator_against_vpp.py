"""The simulator and a real VPP, told the same at random, answer the same.

It goes where no transcript goes: prefixes with host bits or in other families, encapsulations
that do not fit, rows used again, in an order nobody would think of.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vpp_papi import VPPApiClient

from data import transcripts
from lab.real_vpp import start_vpp
from lab.simulated_vpp import run_in_thread
from vpplb.simulator.server import VppSimulator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_vpp,
    pytest.mark.filterwarnings("ignore:open_text is deprecated:DeprecationWarning"),
]

PREFIXES = ("192.0.2.1/32", "192.0.2.0/24", "192.0.2.77/24", "2001:db8::1/128", "2001:db8::/64")
PREFIXES_ALIKE = ("::1/128", "::1.2.3.4/120", "0.0.0.0/0")  # VPP tells families by their bits
SERVERS = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "fd00::1", "::5")

Request = tuple[str, dict[str, Any]]

READ: tuple[Request, ...] = (
    ("lb_vip_dump", {}),
    ("lb_as_dump", {}),
    ("lb_as_v2_dump", {}),
    ("lb_conf_get", {}),
    ("cli_inband", {"cmd": "show lb"}),
    ("cli_inband", {"cmd": "show lb vips"}),
    ("cli_inband", {"cmd": "show lb vips verbose"}),
)


def requests(seed: int) -> Iterator[Request]:
    """Give changes at random, and after some of them all that can be read."""
    choose = random.Random(seed)
    known: list[dict[str, Any]] = []
    for number in range(400):
        yield change(choose, known)
        if number % 10 == 0:
            yield from READ
            yield "lb_as_v2_dump", vip(choose)
    yield from READ


def vip(choose: random.Random) -> dict[str, Any]:
    prefixes = PREFIXES if choose.random() < 0.8 else PREFIXES_ALIKE
    return {
        "pfx": choose.choice(prefixes),
        "protocol": choose.choices((6, 17, 255), (8, 1, 1))[0],
        "port": choose.choices((80, 443, 0), (8, 4, 1))[0],
    }


def change(choose: random.Random, known: list[dict[str, Any]]) -> Request:
    """Give a change; servers are mostly of the last few VIPs that were spoken of."""
    kind = choose.choices(("vip", "as", "as_v2", "weight", "conf"), (4, 1, 14, 4, 1))[0]
    if kind == "vip":
        name, args = choose.choice(("lb_add_del_vip", "lb_add_del_vip_v2")), new_vip(choose)
        if not args["is_del"]:
            known.append({key: args[key] for key in ("pfx", "protocol", "port")})
        return name, args
    if kind == "conf":
        return "lb_conf", {
            "ip4_src_address": "10.9.9.9",
            "ip6_src_address": choose.choice(("::", "fd00::9")),
            "sticky_buckets_per_core": choose.choice((0, 1, 3, 4096, 0xFFFFFFFF)),
            "flow_timeout": choose.choice((0, 30, 0xFFFFFFFF)),
        }
    server = {
        **(choose.choice(known[-4:]) if known and choose.random() < 0.9 else vip(choose)),
        "as_address": choose.choice(SERVERS),
        "is_flush": choose.random() < 0.3,
    }
    weight = choose.choice((0, 1, 10, 100, 255))
    is_del = choose.random() < 0.3
    if kind == "as":
        return "lb_add_del_as", {**server, "is_del": is_del}
    if kind == "as_v2":
        return "lb_add_del_as_v2", {**server, "weight": weight, "is_del": is_del}
    return "lb_as_set_weight", {**server, "weight": weight}


def new_vip(choose: random.Random) -> dict[str, Any]:
    return {
        **vip(choose),
        "encap": choose.choices((0, 1, 2, 3, 4, 5), (8, 3, 1, 1, 1, 1))[0],
        "dscp": choose.choice((0, 10, 7, 255)),
        "target_port": choose.choice((0, 8080)),
        "new_flows_table_length": choose.choices((1, 64, 1000, 1024, 65536), (2, 4, 1, 4, 1))[0],
        "is_del": choose.random() < 0.2,
    }


def answers(api_socket: Path, seed: int) -> list[tuple[Request, Any]]:
    """Tell all to whoever listens, and return what was said."""
    client: Any = VPPApiClient(use_socket=True, server_address=str(api_socket), bootstrapapi=True)
    client.connect("test")
    said = [
        ((name, args), transcripts.comparable(name, transcripts.plain(call(client, name, args))))
        for name, args in requests(seed)
    ]
    client.disconnect()
    return said


def call(client: Any, name: str, args: dict[str, Any]) -> Any:
    return getattr(client.api, name)(**args)


@pytest.mark.parametrize("seed", range(6))
def test_the_simulator_says_what_a_real_vpp_says(seed: int, tmp_path: Path) -> None:
    with start_vpp(Path(os.environ["VPPLB_TEST_VPP"]), tmp_path / "v") as api_socket:
        real = answers(api_socket, seed)
    simulator = VppSimulator(tmp_path / "api.sock")
    with run_in_thread(simulator):
        simulated = answers(simulator.api_socket, seed)
    for number, (theirs, ours) in enumerate(zip(real, simulated, strict=True)):
        assert ours == theirs, f"request {number}"
