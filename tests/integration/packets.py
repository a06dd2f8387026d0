"""Packets for the VPP of a stage, whichever it is."""

import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.stage import Stage
from vpplb.simulator.flows import TCP, FiveTuple


def send(stage: Stage, flows: Sequence[FiveTuple], directory: Path) -> None:
    """Send a packet of each flow through VPP."""
    if os.environ.get("VPPLB_TEST_VPP"):
        _generate(stage.vpp.socket, flows, directory)
    else:
        _forward(stage.vpp.socket.with_name("control"), flows)


def _forward(control: Path, flows: Sequence[FiveTuple]) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(control))
        with sock.makefile("rw") as file:
            for flow in flows:
                file.write(json.dumps(_command(flow)) + "\n")
                file.flush()
                answer = json.loads(file.readline())
                assert answer["ok"], answer


def _command(flow: FiveTuple) -> dict[str, object]:
    assert flow.protocol == TCP
    return {
        "do": "forward",
        "protocol": "tcp",
        "source": str(flow.source),
        "destination": str(flow.destination),
        "source_port": flow.source_port,
        "destination_port": flow.destination_port,
    }


def _generate(api_socket: Path, flows: Sequence[FiveTuple], directory: Path) -> None:
    from vpp_papi import VPPApiClient

    from lab.packet_generator import PacketGenerator

    client: Any = VPPApiClient(use_socket=True, server_address=str(api_socket), bootstrapapi=True)
    client.connect("packets")
    try:
        PacketGenerator(client, directory).send(flows)
    finally:
        client.disconnect()
