import asyncio
import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from lab.raw_client import RawClient
from vpplb.model.vip import Encap
from vpplb.simulator.control import ControlSocket
from vpplb.simulator.faults import BY_NAME, DelayAnswer, PlainFault, RefuseRequest
from vpplb.simulator.rows import NewVip, VipKey
from vpplb.simulator.server import SocketInUse, VppSimulator

WEB = VipKey(int(ip_address("192.0.2.1")), 128, 6, 80)
PACKET = {
    "do": "forward",
    "source": "198.51.100.1",
    "destination": "192.0.2.1",
    "protocol": "tcp",
    "source_port": 40000,
    "destination_port": 80,
}


@pytest.fixture
def control(vpp: VppSimulator, tmp_path: Path) -> ControlSocket:
    return ControlSocket(vpp, tmp_path / "control.sock", 0o600)


async def run(control: ControlSocket, **command: Any) -> Any:
    return await control.run_command(json.dumps(command))


async def test_a_command_a_line_is_answered_by_a_line_a_command(
    control: ControlSocket, tmp_path: Path
) -> None:
    await control.start()
    assert (tmp_path / "control.sock").stat().st_mode & 0o777 == 0o600
    reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
    writer.write(b'{"do": "hang"}\nnonsense\n{"do": "heal"}\n')
    answers = [json.loads(await reader.readline()) for _ in range(3)]
    assert [answer["ok"] for answer in answers] == [True, False, True]
    await control.stop()
    assert await reader.read() == b""
    assert not (tmp_path / "control.sock").exists()
    writer.close()
    await writer.wait_closed()


async def test_a_socket_in_use_is_left_alone(control: ControlSocket, vpp: VppSimulator) -> None:
    await control.stop()
    with pytest.raises(SocketInUse):
        await ControlSocket(vpp, vpp.api_socket).start()


async def test_faults_are_armed_by_name_message_and_number(
    control: ControlSocket, vpp: VppSimulator
) -> None:
    ok = {"ok": True}
    refuse = {"fault": "refuse", "message": "lb_conf", "retval": -7, "times": 2}
    assert await run(control, do="fault", **refuse) == ok
    assert await run(control, do="fault", fault="delay", seconds=2) == ok
    assert await run(control, do="fault", fault="drop", times=None) == ok
    struck = [vpp.faults.take_fault(m) for m in ("lb_conf", "lb_conf", "lb_conf", "lb_conf")]
    assert struck == [
        RefuseRequest(retval=-7),
        RefuseRequest(retval=-7),
        DelayAnswer(seconds=2),
        PlainFault.DROP,
    ]
    assert await run(control, do="heal") == ok
    assert vpp.faults.take_fault("lb_conf") is None


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - {"delay", "refuse"}))
async def test_every_other_fault_needs_nothing_but_its_name(
    name: str, control: ControlSocket, vpp: VppSimulator
) -> None:
    assert await run(control, do="fault", fault=name) == {"ok": True}
    assert vpp.faults.take_fault("control_ping") == BY_NAME[name]


async def test_hanging_lasts_until_healed(control: ControlSocket, vpp: VppSimulator) -> None:
    await run(control, do="hang")
    assert vpp.hung
    await run(control, do="heal")
    assert not vpp.hung


async def test_after_death_it_comes_back_as_told(control: ControlSocket, vpp: VppSimulator) -> None:
    vpp.lb.add_vip(WEB, NewVip(encap=Encap.GRE4))
    await run(control, do="die")
    with pytest.raises(ConnectionRefusedError):
        await RawClient.open(vpp.api_socket)
    command = {"keep": True, "shift_ids": 9, "other_crcs": ["lb_conf"]}
    assert await run(control, do="restart", **command) == {"ok": True}
    api_version = vpp.service.api_version
    assert (api_version.shift, api_version.other_crcs) == (9, frozenset({"lb_conf"}))
    assert len(vpp.lb.table()) == 1
    await run(control, do="restart")
    assert (vpp.service.api_version.shift, vpp.lb.table()) == (0, {})


async def test_a_packet_is_forwarded(control: ControlSocket, vpp: VppSimulator) -> None:
    assert await control.run_command(json.dumps(PACKET)) == {"ok": True, "server": None}
    vpp.lb.add_vip(WEB, NewVip(encap=Encap.GRE4))
    vpp.lb.add_server(WEB, int(ip_address("10.0.0.1")), 100)
    assert await control.run_command(json.dumps(PACKET)) == {"ok": True, "server": "10.0.0.1"}
    sctp = {**PACKET, "protocol": 132}
    assert await control.run_command(json.dumps(sctp)) == {"ok": True, "server": None}


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ([], "a command is a JSON object"),
        ({}, "'do' is missing"),
        ({"do": "explode"}, "there is no command 'explode'"),
        ({"do": "fault"}, "'fault' is missing"),
        ({"do": "fault", "fault": "bug"}, "there is no fault 'bug', but delay, drop, "),
        ({"do": "fault", "fault": "delay"}, "delay takes seconds"),
        ({"do": "fault", "fault": "drop", "seconds": 1}, "drop takes nothing more"),
        ({"do": "fault", "fault": "delay", "seconds": "long"}, "not supported between"),
        ({"do": "fault", "fault": "drop", "message": "x"}, "clients do not send x"),
        ({"do": "restart", "other_crcs": ["x"]}, "no such message: x"),
        ({**PACKET, "source": "nowhere"}, "'nowhere' does not appear to be an IPv4 or IPv6"),
        ({**PACKET, "destination": "::1"}, "not of one family"),
        ({**PACKET, "destination_port": -1}, "can't convert negative int to unsigned"),
        ({**PACKET, "thread": 1}, "list index out of range"),
        ({"do": "forward"}, "'protocol' is missing"),
    ],
)
async def test_what_cannot_be_done_is_said_and_not_done(
    command: object, error: str, control: ControlSocket, vpp: VppSimulator
) -> None:
    vpp.lb.add_vip(WEB, NewVip(encap=Encap.GRE4))
    answer = await control.run_command(json.dumps(command))
    assert not answer["ok"]
    assert error in answer["error"]
    assert vpp.faults.take_fault("control_ping") is None
