"""Faults of the connection, on a simulated VPP that misbehaves."""

import asyncio
import gc
import re
import struct
from ipaddress import ip_network
from pathlib import Path

import pytest

from lab.simulated_vpp import hang_up, send_raw, simulated_vpp
from vpplb.model.vip import Encap, LbConf, VipId, VipProtocol, VipSettings
from vpplb.plan.ops import AddVip, SetConf
from vpplb.simulator.faults import (
    DelayAnswer,
    Fault,
    PlainFault,
)
from vpplb.simulator.messages import ApiVersion
from vpplb.simulator.server import VppSimulator
from vpplb.sync.ports import LoadBalancerGone, LoadBalancerUnsuitable
from vpplb.vpp import client, codec
from vpplb.vpp.client import ApiConnection, Request
from vpplb.vpp.framing import frame_message
from vpplb.vpp.pacing import MOST_CALLS

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

PING: Request = ("control_ping", {})
WEB = VipId(ip_network("192.0.2.1/32"), VipProtocol.TCP, 80)


async def connect(
    vpp: VppSimulator, *, timeout: float = 5.0, most: int = MOST_CALLS
) -> ApiConnection:
    return await client.open_connection(
        vpp.api_socket, on_call=lambda _name, _retval: None, timeout=timeout, most=most
    )


async def all_gone(*tasks: asyncio.Task[object]) -> str:
    """Wait for tasks that must all fail, soon, for one reason; return it."""
    async with asyncio.timeout(3):
        results = await asyncio.gather(*tasks, return_exceptions=True)
    reasons = {str(result) for result in results if isinstance(result, LoadBalancerGone)}
    assert all(isinstance(result, LoadBalancerGone) for result in results)
    (reason,) = reasons
    return reason


def start(connection: ApiConnection, count: int = 3) -> list[asyncio.Task[object]]:
    """Have calls under way, and a dump."""
    calls = [asyncio.create_task(connection.call_many([PING] * 5)) for _ in range(count)]
    dump = asyncio.create_task(connection.dump("lb_as_v2_dump", codec.EVERYTHING))
    return [*calls, dump]


async def test_answers_come_in_the_order_of_the_requests(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp, most=4)
        requests = [PING, ("lb_conf_get", {}), ("show_version", {})] * 20
        answers = await connection.call_many(requests)
        shapes = ["vpe_pid" in a for a in answers], ["version" in a for a in answers]
        assert shapes == ([True, False, False] * 20, [False, False, True] * 20)
        connection.abort("end")


async def test_no_more_than_a_burst_and_its_ping_is_under_way(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp, most=4)
        vpp.faults.arm(PlainFault.DROP, times=None)
        seen = len(vpp.calls)
        task = asyncio.create_task(connection.call_many([PING] * 50))
        await asyncio.sleep(0.1)
        assert len(vpp.calls) - seen <= 1 + 4
        assert len(vpp.calls) - seen >= 1 + 1
        connection.abort("end")
        assert await all_gone(task) == "end"


async def test_what_waits_while_vpp_does_not_answer_is_not_sent(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp)
        vpp.hang()
        task = asyncio.create_task(connection.call_many([PING] * 20_000))
        await asyncio.sleep(0.3)
        assert not task.done()
        assert len(connection._pending) <= 1 + MOST_CALLS
        connection.abort("end")
        assert await all_gone(task) == "end"


async def test_urgent_calls_go_before_those_that_wait(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp, most=2)
        bulk = asyncio.create_task(connection.call_many([PING] * 50))
        await asyncio.sleep(0)
        await connection.call_many([("show_version", {})] * 3, urgent=True)
        assert not bulk.done()
        await bulk
        connection.abort("end")


async def test_calls_that_wait_are_not_sent_when_they_are_given_up(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp, most=2)
        task = asyncio.create_task(connection.call_many([("show_version", {})] * 50))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await connection.call_many([PING])
        assert [call.message for call in vpp.calls].count("show_version") <= 2
        connection.abort("end")


async def test_a_dump_that_does_not_end_is_given_up_though_details_keep_coming(
    tmp_path: Path,
) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp, timeout=0.2)
        vpp.faults.arm(PlainFault.DROP, times=None)
        task = asyncio.create_task(connection.dump("lb_as_v2_dump", codec.EVERYTHING))
        await asyncio.sleep(0.1)
        detail = a_detail(connection)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while not task.done() and loop.time() < begin + 3:
            send_raw(vpp, detail)
            await asyncio.sleep(0.1)
        assert await all_gone(task) == "no end of lb_as_v2_dump in 1.2 s"
        assert loop.time() - begin < 1.3


async def test_a_dump_with_more_details_than_can_be_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST_DETAILS", 1000)
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp)
        vpp.faults.arm(PlainFault.DROP, times=None)
        task = asyncio.create_task(connection.dump("lb_as_v2_dump", codec.EVERYTHING))
        await asyncio.sleep(0.1)
        send_raw(vpp, a_detail(connection) * 1001)
        assert await all_gone(task) == (
            "this is not VPP's binary API: lb_as_v2_dump with over 1000 details"
        )


def a_detail(connection: ApiConnection) -> bytes:
    """Make a detail for the dump under way."""
    dump = next(iter(connection._pending.values()))
    details = connection._catalogue.by_name["lb_as_v2_details"]
    size = struct.calcsize(details.struct_form[0])
    head = struct.pack(">HI", details.number, dump.context)
    return frame_message(head + bytes(size - len(head)))


async def test_end_of_stream_fails_every_pending_call(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp)
        vpp.faults.arm(PlainFault.DROP, times=None)
        tasks = start(connection)
        await asyncio.sleep(0.05)
        hang_up(vpp)
        assert await all_gone(*tasks) == "VPP closed the connection"
        with pytest.raises(LoadBalancerGone, match="VPP closed the connection"):
            await connection.call(*PING)


async def test_silence_fails_every_pending_call_after_the_timeout(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp, timeout=0.3)
        vpp.faults.arm(PlainFault.DROP, times=None)
        tasks = start(connection)
        assert await all_gone(*tasks) == "no answer to control_ping in 0.3 s"


async def test_an_idle_connection_stays(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp, timeout=0.2)
        await connection.call(*PING)
        await asyncio.sleep(0.5)
        await connection.call(*PING)
        connection.abort("end")


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a frame of"),
        (bytes(8) + b"\xff\xff\xff\xff" + bytes(4), "a frame of 4294967295 bytes"),
        (bytes(16), "a frame of 0 bytes"),
        (frame_message(b"\xff\xffhello"), "message 65535 was not asked for"),
    ],
)
async def test_garbage_fails_every_pending_call(
    tmp_path: Path, garbage: bytes, reason: str
) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp)
        vpp.faults.arm(PlainFault.DROP, times=None)
        tasks = start(connection)
        await asyncio.sleep(0.05)
        send_raw(vpp, garbage)
        assert reason in await all_gone(*tasks)


async def test_an_answer_to_nothing_ends_the_connection(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp)
        number = connection._catalogue.by_name["control_ping_reply"].number
        vpp.faults.arm(PlainFault.DROP, times=None)
        tasks = start(connection)
        await asyncio.sleep(0.05)
        send_raw(vpp, frame_message(struct.pack(">HIiII", number, 99999, 0, 0, 1)))
        assert "control_ping_reply with context 99999 answers no call" in await all_gone(*tasks)


async def test_an_answer_of_the_wrong_kind_ends_the_connection(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp)
        number = connection._catalogue.by_name["lb_conf_reply"].number
        vpp.faults.arm(PlainFault.DROP, times=None)
        task = asyncio.create_task(connection.call(*PING))
        await asyncio.sleep(0.05)
        send_raw(vpp, frame_message(struct.pack(">HIi", number, connection._context, 0)))
        assert "lb_conf_reply with context" in await all_gone(task)


async def test_a_cut_in_the_middle_of_a_frame_is_no_answer(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp)
        vpp.faults.arm(PlainFault.CUT)
        task = asyncio.create_task(connection.call(*PING))
        assert await all_gone(task) == "VPP closed the connection"


async def test_a_call_that_is_given_up_does_not_disturb_the_others(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp)
        given_up = start(connection)
        await asyncio.sleep(0)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        assert await connection.call(*PING)
        assert connection.lost is None
        connection.abort("end")


async def test_calls_that_fail_unwatched_make_no_noise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp)
        vpp.faults.arm(PlainFault.DROP, times=None)
        tasks = start(connection)
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        connection.abort("end")
        await asyncio.gather(*tasks, return_exceptions=True)
    gc.collect()
    await asyncio.sleep(0)
    assert caplog.records == []


async def test_no_vpp_is_said_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(LoadBalancerGone, match=f"{tmp_path}/none.sock: No such file"):
        await client.open_connection(tmp_path / "none.sock", on_call=lambda _name, _retval: None)


async def test_a_vpp_that_does_not_answer_is_gone_after_the_timeout(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        vpp.faults.arm(PlainFault.DROP, times=None)
        with pytest.raises(LoadBalancerGone, match=r"does not answer in 0\.2 s"):
            await connect(vpp, timeout=0.2)


async def test_another_program_on_the_socket_is_not_vpp(tmp_path: Path) -> None:
    class Ssh(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.write(b"SSH-2.0-OpenSSH_9.6 and some more\r\n")
            transport.close()

    path = tmp_path / "api.sock"
    async with await asyncio.get_running_loop().create_unix_server(Ssh, path):
        with pytest.raises(LoadBalancerGone, match="not VPP's binary API"):
            await client.open_connection(path, on_call=lambda _name, _retval: None)


async def test_a_vpp_that_closes_at_once_is_gone(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        vpp.faults.arm(PlainFault.CUT, "sockclnt_create")
        with pytest.raises(LoadBalancerGone, match="closed the connection"):
            await connect(vpp)


async def test_an_older_vpp_is_unsuitable_and_told_which_message_and_version_it_lacks(
    tmp_path: Path,
) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        await vpp.restart(api_version=ApiVersion(other_crcs=frozenset({"lb_as_set_weight"})))
        with pytest.raises(LoadBalancerUnsuitable) as caught:
            await connect(vpp)
        assert str(caught.value) == (
            "VPP lacks lb_as_set_weight_2d89bdbd: VPP 26.10 or newer (lb API 1.2) with the lb "
            "plugin is needed"
        )


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (PlainFault.WRONG_CONTEXT, r"control_ping_reply with context \d+ answers no call"),
        (PlainFault.WRONG_ID, "message 65535 was not asked for"),
        (PlainFault.OVERSIZE, "a frame of 4294967295 bytes"),
        (PlainFault.CUT, "VPP closed the connection"),
        (PlainFault.DIE, "VPP closed the connection"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_every_misbehaviour_of_vpp_fails_every_pending_call(
    tmp_path: Path, fault: Fault, reason: str
) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp)
        vpp.faults.arm(fault, "control_ping")
        assert re.search(reason, await all_gone(*start(connection)))


async def test_answers_out_of_order_go_to_their_own_calls(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp)
        vpp.faults.arm(PlainFault.LATE, "lb_conf_get")
        conf, pong = await connection.call_many([("lb_conf_get", {}), PING])
        assert ("flow_timeout" in conf, "vpe_pid" in pong) == (True, True)
        connection.abort("end")


async def test_details_that_come_after_the_end_of_their_dump_end_the_connection(
    tmp_path: Path,
) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp)
        _, add = codec.encode_op(AddVip(vip=WEB, settings=VipSettings(encap=Encap.GRE4)))
        await connection.call("lb_add_del_vip_v2", add)
        vpp.faults.arm(PlainFault.LATE, "lb_vip_dump")
        dump = await connection.dump("lb_vip_dump", codec.EVERY_VIP)
        assert dump == []
        assert "lb_vip_details with context" in await all_gone(
            asyncio.create_task(connection.call(*PING))
        )


async def test_an_answer_may_be_slow_but_not_too_slow(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        connection = await connect(vpp, timeout=0.3)
        vpp.faults.arm(DelayAnswer(seconds=0.1), "control_ping")
        assert await connection.call(*PING)
        vpp.faults.arm(DelayAnswer(seconds=0.6), "control_ping")
        task = asyncio.create_task(connection.call(*PING))
        assert await all_gone(task) == "no answer to control_ping in 0.3 s"


async def test_the_hook_is_told_each_answer_and_its_retval(tmp_path: Path) -> None:
    calls: list[tuple[str, int]] = []
    async with simulated_vpp(tmp_path) as vpp:
        connection = await client.open_connection(
            vpp.api_socket, on_call=lambda name, retval: calls.append((name, retval))
        )
        await connection.dump("lb_as_v2_dump", codec.EVERYTHING)
        _, conf = codec.encode_op(SetConf(conf=LbConf(sticky_buckets_per_core=3)))
        await connection.call("lb_conf", conf)
        connection.abort("end")
    assert calls == [("lb_as_v2_dump", 0), ("lb_conf", -70)]
