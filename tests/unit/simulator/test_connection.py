"""How each fault shows to a client, on the wire."""

import asyncio
from ipaddress import IPv4Address, IPv6Address

import pytest

from lab.raw_client import RawClient
from lab.simulated_vpp import changing_calls, hang_up, send_raw
from vpplb.simulator.faults import (
    DelayAnswer,
    Fault,
    PlainFault,
    RefuseRequest,
)
from vpplb.simulator.messages import MESSAGES, ApiVersion
from vpplb.simulator.server import VppSimulator

pytestmark = pytest.mark.looptime


async def contexts(client: RawClient, count: int) -> list[int]:
    """Return the contexts of the next answers."""
    return [int((await client.answer())[1]["context"]) for _ in range(count)]


def ping(client: RawClient, count: int) -> None:
    for context in range(count):
        client.send("control_ping", context=context)


async def test_a_delayed_answer_comes_later_and_so_do_all_after_it(
    vpp: VppSimulator, client: RawClient
) -> None:
    vpp.faults.arm(DelayAnswer(seconds=0.05))
    loop = asyncio.get_running_loop()
    start = loop.time()
    ping(client, 3)
    assert await contexts(client, 3) == [0, 1, 2]
    assert loop.time() - start >= 0.05


async def test_a_client_may_leave_while_its_answer_is_delayed(
    vpp: VppSimulator, client: RawClient
) -> None:
    other = await RawClient.connect(vpp.api_socket)
    vpp.faults.arm(DelayAnswer(seconds=0.05), "control_ping")
    ping(other, 1)
    await asyncio.sleep(0.02)
    await other.close()
    await asyncio.sleep(0.05)
    assert [call.message for call in vpp.calls].count("control_ping") == 1
    assert (await client.call("control_ping"))["retval"] == 0


async def test_a_dropped_answer_was_done_all_the_same(vpp: VppSimulator, client: RawClient) -> None:
    vpp.faults.arm(PlainFault.DROP, "control_ping")
    ping(client, 3)
    assert await contexts(client, 2) == [1, 2]
    assert [call.message for call in vpp.calls].count("control_ping") == 3


async def test_what_is_refused_is_not_done(vpp: VppSimulator, client: RawClient) -> None:
    vpp.faults.arm(RefuseRequest(retval=-30), "lb_conf", times=2)
    conf = {
        "ip4_src_address": IPv4Address("10.0.0.1"),
        "ip6_src_address": IPv6Address("fd00::1"),
        "sticky_buckets_per_core": 64,
        "flow_timeout": 7,
    }
    answers = [(await client.call("lb_conf", **conf))["retval"] for _ in range(3)]
    assert answers == [-30, -30, 0]
    assert [call.retval for call in changing_calls(vpp)] == answers


@pytest.mark.parametrize(
    "name", [m.name for m in MESSAGES.values() if m.kind == "request" and m.name[:3] != "soc"]
)
async def test_every_request_can_be_refused(
    name: str, vpp: VppSimulator, client: RawClient
) -> None:
    vpp.faults.arm(RefuseRequest(retval=-99), name)
    assert (await client.call_blank(name))["retval"] == -99


async def test_a_late_answer_comes_after_the_next(vpp: VppSimulator, client: RawClient) -> None:
    vpp.faults.arm(PlainFault.LATE, "control_ping")
    ping(client, 3)
    assert await contexts(client, 3) == [1, 0, 2]


async def test_a_wrong_context_is_one_that_the_client_did_not_use(
    vpp: VppSimulator, client: RawClient
) -> None:
    vpp.faults.arm(PlainFault.WRONG_CONTEXT)
    ping(client, 1)
    assert await contexts(client, 1) == [0xFFFFFFFF]


async def test_a_wrong_id_is_that_of_no_message(vpp: VppSimulator, client: RawClient) -> None:
    vpp.faults.arm(PlainFault.WRONG_ID)
    ping(client, 1)
    assert (await client.receive())[:2] == b"\xff\xff"


async def test_an_oversize_frame_says_that_it_is_4_gib_long(
    vpp: VppSimulator, client: RawClient
) -> None:
    vpp.faults.arm(PlainFault.OVERSIZE)
    ping(client, 1)
    assert (await client.read(16))[8:12] == b"\xff\xff\xff\xff"


async def test_a_cut_answer_is_half_a_frame_and_the_end(
    vpp: VppSimulator, client: RawClient
) -> None:
    vpp.faults.arm(PlainFault.CUT)
    ping(client, 2)
    rest = await client.rest()
    assert 0 < len(rest) < 34
    other = await RawClient.connect(vpp.api_socket)
    await other.close()


async def test_the_message_that_vpp_dies_of_is_not_done(
    vpp: VppSimulator, client: RawClient
) -> None:
    vpp.faults.arm(PlainFault.DIE, "lb_conf")
    client.send_blank("lb_conf")
    assert await client.rest() == b""
    assert changing_calls(vpp) == []
    with pytest.raises(ConnectionRefusedError):
        await RawClient.connect(vpp.api_socket)


async def test_a_client_can_be_left_without_its_registration(vpp: VppSimulator) -> None:
    vpp.faults.arm(PlainFault.DROP, "sockclnt_create")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await RawClient.connect(vpp.api_socket)


async def test_a_hung_vpp_takes_clients_but_nothing_from_them(
    vpp: VppSimulator, client: RawClient
) -> None:
    vpp.hang()
    ping(client, 1)
    late = asyncio.create_task(RawClient.connect(vpp.api_socket))
    await asyncio.sleep(0.05)
    assert [call.message for call in vpp.calls] == ["sockclnt_create"]
    vpp.hang(False)
    assert await contexts(client, 1) == [0]
    await (await late).close()


async def test_hanging_up_leaves_vpp_to_be_connected_to(
    vpp: VppSimulator, client: RawClient
) -> None:
    hang_up(vpp)
    assert await client.rest() == b""
    other = await RawClient.connect(vpp.api_socket)
    await other.close()


async def test_what_is_said_out_of_turn_reaches_every_client(
    vpp: VppSimulator, client: RawClient
) -> None:
    send_raw(vpp, b"hello")
    assert await client.read(5) == b"hello"


async def test_other_ids_are_those_that_the_client_is_told(vpp: VppSimulator) -> None:
    await vpp.restart(api_version=ApiVersion(shift=300))
    client = await RawClient.connect(vpp.api_socket, ApiVersion(shift=300))
    assert (await client.call("control_ping"))["retval"] == 0
    await client.close()


@pytest.mark.parametrize("fault", [PlainFault.OVERSIZE, PlainFault.WRONG_ID])
async def test_where_there_is_no_answer_there_is_none_to_spoil(
    fault: Fault, vpp: VppSimulator, client: RawClient
) -> None:
    vpp.faults.arm(fault, "lb_vip_dump")
    client.send_blank("lb_vip_dump")
    ping(client, 1)
    assert await contexts(client, 1) == [0]
