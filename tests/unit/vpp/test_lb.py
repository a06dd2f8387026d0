import asyncio
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from lab.raw_client import RawClient
from lab.simulated_vpp import hang_up, simulated_vpp
from vpplb.model.vip import Encap, VipId, VipProtocol, VipSettings
from vpplb.plan.ops import AddServer, AddVip, Op
from vpplb.simulator.faults import PlainFault
from vpplb.sync.ports import LoadBalancerGone
from vpplb.vpp.lb import PapiLoadBalancer, in_words

pytestmark = [pytest.mark.looptime, pytest.mark.slow]


WEB = VipId(ip_network("192.0.2.1/32"), VipProtocol.TCP, 80)


async def test_outcomes_are_in_order_also_around_an_op_that_is_not_sent(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        lb = PapiLoadBalancer(vpp.api_socket)
        await lb.connect()
        ops: list[Op] = [
            AddVip(vip=WEB, settings=VipSettings(encap=Encap.GRE4)),
            AddServer(vip=WEB, address=ip_address("10.0.0.1"), weight=500),
            AddServer(vip=WEB, address=ip_address("10.0.0.2"), weight=5),
            AddServer(vip=WEB, address=ip_address("fd00::1"), weight=5),
        ]
        outcomes = await lb.apply_ops(ops)
        assert [outcome.op for outcome in outcomes] == ops
        assert [outcome.message for outcome in outcomes] == [
            "",
            "weight 500 is not from 0 to 100",
            "",
            "wrong address family for this encapsulation (-97)",
        ]
        assert [c.message for c in vpp.calls].count("lb_add_del_as_v2") == 2
        await lb.close()


async def test_what_changes_nothing_sends_nothing(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        lb = PapiLoadBalancer(vpp.api_socket)
        await lb.connect()
        seen = len(vpp.calls)
        assert await lb.apply_ops([]) == []
        assert len(vpp.calls) == seen
        await lb.close()


async def test_after_a_loss_it_connects_anew(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        lb = PapiLoadBalancer(vpp.api_socket)
        first = await lb.connect()
        hang_up(vpp)
        with pytest.raises(LoadBalancerGone):
            await lb.ping()
        assert await lb.connect() == first
        await lb.ping()
        assert [call.message for call in vpp.calls].count("sockclnt_create") == 2
        await lb.close()


async def test_closing_a_vpp_that_hangs_does_not_hang(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        lb = PapiLoadBalancer(vpp.api_socket)
        await lb.connect()
        vpp.faults.arm(PlainFault.DROP, times=None)
        vpp.hang()
        await lb.close()
        await lb.close()


async def test_the_flush_of_a_whole_vip_is_never_sent(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        lb = PapiLoadBalancer(vpp.api_socket)
        await lb.connect()
        assert "lb_flush_vip" not in lb._live_connection()._catalogue.by_name
        await lb.close()


async def test_closing_takes_leave(tmp_path: Path) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        lb = PapiLoadBalancer(vpp.api_socket)
        await lb.connect()
        await lb.close()
        assert [call.message for call in vpp.calls][-1] == "sockclnt_delete"


async def test_a_look_shows_all_with_where_the_counters_are_and_remembers_nothing(
    tmp_path: Path,
) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        lb = PapiLoadBalancer(vpp.api_socket)
        await lb.connect()
        await lb.apply_ops([AddVip(vip=WEB, settings=VipSettings(encap=Encap.GRE4))])
        observed, indexes = await lb.read_with_indexes()
        assert (set(observed.table), set(indexes)) == ({WEB}, {WEB})
        shown = [call.message for call in vpp.calls].count("cli_inband")
        assert await lb.vip_indexes() == indexes
        assert [call.message for call in vpp.calls].count("cli_inband") == shown + 1
        await lb.close()


async def test_connections_of_ours_that_vpp_has_besides_are_counted_at_each_reading(
    tmp_path: Path,
) -> None:
    counts: list[int] = []
    async with simulated_vpp(tmp_path) as vpp:
        lb = PapiLoadBalancer(vpp.api_socket, on_stale_clients=counts.append)
        await lb.connect()
        await lb.read()
        others = [PapiLoadBalancer(vpp.api_socket) for _ in range(3)]
        for other in others:
            await other.connect()
        await lb.read()
        for other in others:
            await other.close()
        await lb.read()
        await lb.close()
    assert counts == [0, 3, 0]


async def test_what_was_left_behind_before_is_noticed_when_the_next_one_connects(
    tmp_path: Path,
) -> None:
    async with simulated_vpp(tmp_path) as vpp:
        vpp.clients.on_replies([1 << 20])  # another program asked for much
        lb = PapiLoadBalancer(vpp.api_socket)
        for _ in range(3):
            stranger = await RawClient.connect(vpp.api_socket)
            await stranger.close()
        await asyncio.sleep(0.01)
        assert vpp.clients.show_clients().count("test") == 3
        await lb.connect()
        assert vpp.clients.show_clients().count("test") == 0
        await lb.close()


async def test_a_cli_answer_of_more_lines_than_can_be_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpplb.vpp.lb.MOST_LINES", 100)
    async with simulated_vpp(tmp_path) as vpp:
        monkeypatch.setattr(vpp.clients, "show_clients", lambda: "\n" * 101)
        lb = PapiLoadBalancer(vpp.api_socket)
        await lb.connect()
        with pytest.raises(LoadBalancerGone, match="VPP's CLI prints 101 lines, over 100"):
            await lb.read()
        with pytest.raises(LoadBalancerGone):
            await lb.ping()
        await lb.close()


def test_success_needs_no_words() -> None:
    assert in_words(0) == ""


def test_a_known_number_is_said_in_words_and_kept() -> None:
    assert in_words(-6) == "no such entry (-6)"
    assert in_words(-70) == "not a power of two (-70)"


def test_an_unknown_number_is_at_least_named() -> None:
    assert in_words(-4711) == "refused by VPP (-4711)"
