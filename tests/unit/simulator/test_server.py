import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from vpp_papi.vpp_stats import VPPStats

from lab.raw_client import RawClient
from lab.simulated_vpp import changing_calls
from vpplb.model.vip import Encap
from vpplb.simulator.flows import FiveTuple
from vpplb.simulator.messages import MESSAGE_IDS, MESSAGES
from vpplb.simulator.rows import NewVip, VipKey
from vpplb.simulator.server import RecordedCall, SocketInUse, StatsSocket, VppSimulator
from vpplb.simulator.wire import WireAddress, WirePrefix
from vpplb.sync.ports import LoadBalancerGone
from vpplb.vpp.stats import PapiVipCounters

WEB = {"pfx": WirePrefix(WireAddress.from_number(0xC0000201), 32), "protocol": 6, "port": 80}
ADD_WEB = {
    **WEB,
    "encap": 0,
    "dscp": 0,
    "type": 0,
    "target_port": 0,
    "node_port": 0,
    "new_flows_table_length": 1024,
    "src_ip_sticky": False,
    "is_del": False,
}


async def test_the_reply_to_a_new_client_lists_every_message(vpp: VppSimulator) -> None:
    client = await RawClient.open(vpp.api_socket)
    client.send("sockclnt_create", name="test", context=7)
    reply = await client.receive()
    assert reply[:2] == (16).to_bytes(2, "big")
    table = reply[20:]
    names = {
        table[i + 2 : i + 66].rstrip(b"\0").decode(): int.from_bytes(table[i : i + 2], "big")
        for i in range(0, len(table), 66)
    }
    assert names == {f"{m.name}_{m.crc:08x}": MESSAGE_IDS[m.name] for m in MESSAGES.values()}
    await client.close()


async def test_pipelined_calls_are_answered_in_order(client: RawClient) -> None:
    for context in range(100):
        client.send("control_ping", context=context)
    assert [(await client.answer())[1]["context"] for _ in range(100)] == list(range(100))


async def test_a_dump_ends_with_the_answer_to_the_ping_sent_after_it(client: RawClient) -> None:
    await client.call("lb_add_del_vip_v2", **ADD_WEB)
    client.send(
        "lb_vip_dump",
        **{**WEB, "pfx": WirePrefix(WireAddress.from_number(0), 0)},
        pfx_matcher=(255, 255),
        context=1,
    )
    client.send("control_ping", context=2)
    answers = [await client.answer(), await client.answer()]
    assert [(name, fields["context"]) for name, fields in answers] == [
        ("lb_vip_details", 1),
        ("control_ping_reply", 2),
    ]


async def test_clients_share_the_state_and_have_an_index_each(
    vpp: VppSimulator, client: RawClient
) -> None:
    other = await RawClient.connect(vpp.api_socket)
    assert other.index != client.index
    assert (await client.call("lb_add_del_vip_v2", **ADD_WEB))["retval"] == 0
    assert (await other.call("lb_add_del_vip_v2", **ADD_WEB))["retval"] == -81
    await other.close()


@pytest.mark.parametrize("number", [0, 1, MESSAGE_IDS["lb_conf_reply"], 60000])
async def test_an_unknown_message_is_dropped_with_a_line_in_the_log(
    number: int, client: RawClient, caplog: pytest.LogCaptureFixture
) -> None:
    client.send_raw(number.to_bytes(2, "big") + bytes(8))
    await client.call("control_ping")
    assert caplog.messages == [f"no handler for msg id {number}"]


async def test_a_truncated_message_is_dropped_with_a_line_in_the_log(
    client: RawClient, vpp: VppSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    client.send_raw(MESSAGE_IDS["lb_conf"].to_bytes(2, "big") + bytes(8))
    await client.call("control_ping")
    assert "truncated message dropped: lb_conf: 10 bytes of 38" in caplog.messages
    assert changing_calls(vpp) == []


async def test_a_message_of_no_client_is_dropped(
    client: RawClient, vpp: VppSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    client.send("lb_add_del_vip_v2", **ADD_WEB, client_index=5)
    await client.call("control_ping")
    assert vpp.lb.table() == {}
    assert caplog.messages == ["lb_add_del_vip_v2 dropped: no client 0x5"]


async def test_a_client_that_says_goodbye_is_answered_and_hung_up_on(
    vpp: VppSimulator,
) -> None:
    client = await RawClient.connect(vpp.api_socket)
    assert (await client.call("sockclnt_delete", index=client.index))["response"] == 1
    assert await client.rest() == b""
    await client.close()


async def test_an_index_that_is_nobodys_cannot_be_deleted(
    vpp: VppSimulator, client: RawClient
) -> None:
    assert (await client.call("sockclnt_delete", index=client.index + 9))["response"] == -1
    assert (await client.call("control_ping"))["retval"] == 0


async def test_a_client_that_is_hung_up_on_by_another_is_the_death_of_vpp(
    vpp: VppSimulator, client: RawClient
) -> None:
    other = await RawClient.connect(vpp.api_socket)
    assert (await other.call("sockclnt_delete", index=client.index))["response"] == 1
    assert await other.rest() == b""
    client.send("control_ping")
    assert await client.rest() == b""
    with pytest.raises(ConnectionRefusedError):
        await RawClient.connect(vpp.api_socket)
    await other.close()


async def test_a_server_of_an_all_port_nat_vip_is_its_death(
    vpp: VppSimulator, client: RawClient
) -> None:
    everything = {"pfx": WEB["pfx"], "protocol": 255, "port": 0}
    added = await client.call("lb_add_del_vip_v2", **ADD_WEB | everything | {"encap": 3})
    assert added["retval"] == 0
    server = {
        "as_address": WireAddress.from_number(0x0A000001),
        "weight": 1,
        "is_del": False,
        "is_flush": False,
    }
    client.send("lb_add_del_as_v2", **everything, **server)
    assert await client.rest() == b""
    with pytest.raises(ConnectionRefusedError):
        await RawClient.connect(vpp.api_socket)


async def test_who_vanishes_after_a_large_reply_is_kept_until_another_call_fails(
    vpp: VppSimulator, client: RawClient
) -> None:
    await client.call("get_api_json")
    for _ in range(15):
        await (await RawClient.connect(vpp.api_socket)).close()
    shown = (await client.call("cli_inband", cmd="show api clients"))["reply"]
    assert [line.split()[0] for line in shown.splitlines()] == ["Socket", "Name", *["test"] * 16]
    assert (await client.call("cli_inband", cmd="exec /nonexistent"))["retval"] == 2
    await (await RawClient.connect(vpp.api_socket)).close()
    shown = (await client.call("cli_inband", cmd="show api clients"))["reply"]
    assert shown.count("test") == 1


@pytest.mark.looptime
async def test_sixteen_who_vanished_unnoticed_are_the_end_of_all_service(
    vpp: VppSimulator, client: RawClient
) -> None:
    await client.call("get_api_json")
    for _ in range(16):
        await (await RawClient.connect(vpp.api_socket)).close()
    client.send("control_ping")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.answer()


async def test_calls_hold_what_was_received_with_its_retval(
    vpp: VppSimulator, client: RawClient
) -> None:
    await client.call("lb_flush_vip", **WEB)
    await client.call("control_ping")
    assert vpp.calls == [
        RecordedCall(message="sockclnt_create", args={"name": "test"}, retval=0),
        RecordedCall(
            message="lb_flush_vip",
            args={"pfx": "192.0.2.1/32", "protocol": 6, "port": 80},
            retval=0,
        ),
        RecordedCall(message="control_ping", args={}, retval=0),
    ]
    assert [call.message for call in changing_calls(vpp)] == ["lb_flush_vip"]


async def test_clearing_leaves_clients_connected_to_a_fresh_vpp(
    vpp: VppSimulator, client: RawClient
) -> None:
    await client.call("lb_add_del_vip_v2", **ADD_WEB)
    pid = (await client.call("control_ping"))["vpe_pid"]
    vpp.clear()
    assert vpp.calls == []
    assert (await client.call("control_ping"))["vpe_pid"] != pid
    assert (await client.call("lb_add_del_vip_v2", **ADD_WEB))["retval"] == 0


async def test_a_client_that_does_not_read_is_no_longer_read_from(
    vpp: VppSimulator, client: RawClient
) -> None:
    for _ in range(200):
        client.send("get_api_json")
    waiting = await RawClient.connect(vpp.api_socket)
    await waiting.call("control_ping")
    assert sum(call.message == "get_api_json" for call in vpp.calls) < 200
    for _ in range(200):
        await client.receive()
    await waiting.close()


async def test_stopping_hangs_up_on_clients_and_removes_the_socket(tmp_path: Path) -> None:
    vpp = VppSimulator(tmp_path / "api.sock")
    await vpp.start()
    client = await RawClient.connect(vpp.api_socket)
    await vpp.stop()
    assert await client.rest() == b""
    assert not vpp.api_socket.exists()
    await client.close()


async def test_stopping_hangs_up_on_those_who_never_said_who_they_are(tmp_path: Path) -> None:
    vpp = VppSimulator(tmp_path / "api.sock")
    await vpp.start()
    named = await RawClient.connect(vpp.api_socket)
    silent = await RawClient.open(vpp.api_socket)
    await named.call("control_ping")
    await vpp.stop()
    assert await silent.rest() == b""
    await silent.close()
    await named.close()


async def test_stopping_twice_or_before_the_start_is_nothing(tmp_path: Path) -> None:
    vpp = VppSimulator(tmp_path / "api.sock")
    await vpp.stop()
    await vpp.start()
    await vpp.stop()
    await vpp.stop()


async def test_a_socket_in_use_is_left_alone(vpp: VppSimulator, client: RawClient) -> None:
    with pytest.raises(SocketInUse, match=f"another process listens on {vpp.api_socket}"):
        await VppSimulator(vpp.api_socket).start()
    assert (await client.call("control_ping"))["retval"] == 0


async def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(SocketInUse, match="is not a socket"):
        await VppSimulator(file).start()
    assert file.read_text() == "precious"


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    vpp = VppSimulator(path, mode=0o600)
    await vpp.start()
    client = await RawClient.connect(path)
    assert path.stat().st_mode & 0o777 == 0o600
    await client.close()
    await vpp.stop()


@pytest.fixture(autouse=True)
def _log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="vpplb.simulator")


async def test_dying_leaves_a_socket_that_refuses(vpp: VppSimulator) -> None:
    client = await RawClient.connect(vpp.api_socket)
    vpp.die()
    vpp.die()
    assert await client.rest() == b""
    assert vpp.api_socket.exists()
    with pytest.raises(ConnectionRefusedError):
        await RawClient.open(vpp.api_socket)
    await client.close()


async def test_a_restarted_one_is_another_process_with_nothing(vpp: VppSimulator) -> None:
    client = await RawClient.connect(vpp.api_socket)
    await client.call("lb_add_del_vip_v2", **ADD_WEB)
    pid = (await client.call("control_ping"))["vpe_pid"]
    await vpp.restart()
    assert await client.rest() == b""
    await client.close()
    other = await RawClient.connect(vpp.api_socket)
    assert (await other.call("control_ping"))["vpe_pid"] == pid + 1
    assert vpp.lb.table() == {}
    await other.close()


async def test_a_restarted_one_can_have_all_that_was_configured(vpp: VppSimulator) -> None:
    client = await RawClient.connect(vpp.api_socket)
    server = {
        **WEB,
        "as_address": WireAddress.from_number(0x0A000001),
        "is_del": False,
        "is_flush": False,
    }
    await client.call("lb_add_del_vip_v2", **ADD_WEB)
    await client.call("lb_add_del_as_v2", **server, weight=7)
    await client.call("lb_add_del_vip_v2", **{**ADD_WEB, "port": 81, "encap": 3, "target_port": 8})
    await client.call("lb_add_del_vip_v2", **{**ADD_WEB, "port": 82, "is_del": True})
    flow = FiveTuple(ip_address("198.51.100.1"), ip_address("192.0.2.1"), 6, 1, 80)
    assert vpp.lb.forward_packet(flow) == ip_address("10.0.0.1")
    table, conf = vpp.lb.table(), vpp.lb.conf
    await vpp.restart(keep=True)
    assert (vpp.lb.table(), vpp.lb.conf) == (table, conf)
    assert vpp.lb.count_flows(1) == 0
    await client.close()


async def test_a_hung_one_comes_back_well(vpp: VppSimulator) -> None:
    vpp.hang()
    await vpp.restart()
    client = await RawClient.connect(vpp.api_socket)
    await client.close()


@pytest.mark.parametrize("again", ["clear", "restart"])
async def test_the_counters_of_a_fresh_vpp_are_in_a_fresh_segment(
    again: str, tmp_path: Path
) -> None:
    stats_socket = tmp_path / "stats.sock"
    vpp = VppSimulator(tmp_path / "api.sock", stats_socket=stats_socket)
    await vpp.start()
    flow = FiveTuple(ip_address("198.51.100.1"), ip_address("192.0.2.1"), 6, 1, 80)
    key = VipKey(0xC0000201, 128, 6, 80)
    for _ in range(2):
        vpp.lb.add_vip(key, NewVip(encap=Encap.GRE4))
        vpp.lb.forward_packet(flow)
        client = VPPStats(str(stats_socket))
        await asyncio.to_thread(client.connect)
        assert client["no server configured"] == [[0, 1]]
        if again == "clear":
            vpp.clear()
        else:
            await vpp.restart()
        fresh = VPPStats(str(stats_socket))
        await asyncio.to_thread(fresh.connect)
        assert fresh.directory == {}
        assert client["no server configured"] == [[0, 1]]
        fresh.disconnect()
        client.disconnect()
    await vpp.stop()
    assert not stats_socket.exists()


async def test_a_hung_vpp_does_not_hand_out_its_counters(tmp_path: Path) -> None:
    stats_socket = tmp_path / "stats.sock"
    vpp = VppSimulator(tmp_path / "api.sock", stats_socket=stats_socket)
    await vpp.start()
    vpp.hang()
    counters = PapiVipCounters(stats_socket, timeout=0.1)
    with pytest.raises(LoadBalancerGone, match="timed out"):
        await counters.read({})
    vpp.hang(False)
    assert await counters.read({}) == {}
    await vpp.stop()


@pytest.fixture
async def stats(tmp_path: Path) -> AsyncIterator[StatsSocket]:
    made = StatsSocket(tmp_path / "stats.sock", 0o600)
    descriptor = os.memfd_create("test")
    os.write(descriptor, b"counters")
    made.open(descriptor)
    yield made
    made.close()
    os.close(descriptor)


def ask(path: Path) -> bytes:
    """Connect as a client does, and read what is behind the descriptor that it is handed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(0.2)
        client.connect(str(path))
        data, (descriptor,), _, _ = socket.recv_fds(client, 0, 1)
        assert data == b""
        assert client.recv(10) == b""
    try:
        return os.pread(descriptor, 100, 0)
    finally:
        os.close(descriptor)


async def test_whoever_connects_is_handed_the_descriptor_and_hung_up_on(
    stats: StatsSocket, tmp_path: Path
) -> None:
    path = tmp_path / "stats.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    for _ in range(3):
        assert await asyncio.to_thread(ask, path) == b"counters"


async def test_a_client_that_is_gone_already_disturbs_nobody(
    stats: StatsSocket, tmp_path: Path
) -> None:
    path = tmp_path / "stats.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(str(path))
    assert await asyncio.to_thread(ask, path) == b"counters"


async def test_a_muted_one_lets_clients_wait(stats: StatsSocket, tmp_path: Path) -> None:
    stats.set_muted(True)
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(ask, tmp_path / "stats.sock")
    stats.set_muted(False)
    assert await asyncio.to_thread(ask, tmp_path / "stats.sock") == b"counters"


async def test_a_closed_one_leaves_its_socket_to_be_replaced(
    stats: StatsSocket, tmp_path: Path
) -> None:
    path = tmp_path / "stats.sock"
    with pytest.raises(SocketInUse):
        StatsSocket(path, 0o600).open(0)
    stats.close()
    stats.close()
    assert path.exists()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(ask, path)
    stats.open(stats.fd)
    assert await asyncio.to_thread(ask, path) == b"counters"
