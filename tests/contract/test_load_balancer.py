"""What every LoadBalancer does: the fake, VPP's binary API on the simulator, and a real VPP."""

import os
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from fakes.load_balancer import FakeLoadBalancer
from in_memory.planned import diff
from lab.live_syncer import row, vip, without_buckets
from vpplb.model.vip import Encap, LbConf, VipProtocol, VipSettings, VipTable
from vpplb.plan.ops import AddServer, AddVip, DelServer, DelVip, Op, SetConf, SetWeight
from vpplb.simulator.server import VppSimulator
from vpplb.sync.ports import LoadBalancer, LoadBalancerGone
from vpplb.vpp.lb import PapiLoadBalancer

pytestmark = pytest.mark.slow


@pytest.fixture(
    params=["fake", "simulator", pytest.param("real", marks=pytest.mark.real_vpp)],
)
async def lb(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LoadBalancer]:
    """A connected load balancer without VIPs."""
    match request.param:
        case "fake":
            fake = FakeLoadBalancer()
            await fake.connect()
            yield fake
        case "simulator":
            simulator = VppSimulator(tmp_path / "api.sock")
            await simulator.start()
            papi = PapiLoadBalancer(tmp_path / "api.sock")
            await papi.connect()
            yield papi
            await papi.close()
            await simulator.stop()
        case _:
            from lab.real_vpp import start_vpp

            with start_vpp(Path(os.environ["VPPLB_TEST_VPP"]), tmp_path) as socket:
                papi = PapiLoadBalancer(socket)
                await papi.connect()
                yield papi
                await papi.close()


async def retvals(lb: LoadBalancer, *ops: Op) -> list[int]:
    outcomes = await lb.apply_ops(ops)
    assert [outcome.op for outcome in outcomes] == list(ops)
    assert all(outcome.message or outcome.ok for outcome in outcomes)
    return [outcome.retval for outcome in outcomes]


WEB = vip("192.0.2.10/32")
GRE4 = VipSettings(encap=Encap.GRE4)
A, B, C = (ip_address(f"10.1.0.{n}") for n in (1, 2, 3))
V6 = ip_address("fd00::1")


async def test_an_empty_one_reads_as_nothing_with_vpps_own_settings(lb: LoadBalancer) -> None:
    observed = await lb.read()
    assert observed.table == {}
    assert observed.conf == LbConf()


async def test_what_was_programmed_reads_back_in_full(lb: LoadBalancer) -> None:
    wanted: VipTable = {
        WEB: row({"10.1.0.1": 100, "10.1.0.2": 50, "10.1.0.3": 0}, src_ip_sticky=True),
        vip("192.0.2.10/32", 53, VipProtocol.UDP): row({"10.1.0.1": 1}),
        vip("192.0.2.0/24", 8080): row({"fd00::1": 10}, Encap.GRE6),
        vip("192.0.2.11/32", 0): row({"10.1.0.4": 100}, Encap.L3DSR, dscp=7),
        vip("192.0.2.12/32", 443): row({"10.1.0.5": 100}, Encap.NAT4, target_port=8080),
        vip("2001:db8::10/128"): row({"10.1.0.6": 100}),
        vip("2001:db8:1::/64", 0): row({"fd00::1": 100, "fd00::2": 33}, Encap.GRE6, length=4096),
        vip("2001:db8::12/128", 443): row({"fd00::5": 9}, Encap.NAT6, target_port=443),
        vip("192.0.2.13/32"): row({}, length=1),
        vip("192.0.2.14/32"): row({"10.1.0.7": 3}, length=65536),
    }
    plan = diff(wanted, {}, owned=(), flushed={})
    assert [o for o in await lb.apply_ops(plan.ops) if not o.ok] == []
    observed = await lb.read()
    assert without_buckets(observed.table) == wanted
    assert not diff(wanted, observed.table, owned=wanted, flushed={})


@pytest.mark.parametrize("prefix", ["::/0", "::/20", "::/32", "::/33", "::/64", "::/95"])
async def test_a_low_ipv6_prefix_made_by_hand_is_passed_over_and_named(
    lb: LoadBalancer, prefix: str
) -> None:
    low = vip(prefix)
    added = AddVip(vip=low, settings=VipSettings(encap=Encap.GRE6))
    server = AddServer(vip=low, address=V6, weight=7)
    assert await retvals(lb, added, server, AddVip(vip=WEB, settings=GRE4)) == [0, 0, 0]
    observed = await lb.read()
    assert list(observed.table) == [WEB]
    (strange,) = observed.strange
    assert strange.text == f"{prefix} protocol 6 port 80"
    like = ip_network(prefix.replace("::", "0.0.0.0")) if low.prefix.prefixlen <= 32 else None
    assert (strange.prefix, strange.encap) == (like, None)


async def test_it_tells_its_free_memory_and_its_threads(lb: LoadBalancer) -> None:
    heap = await lb.read_heap()
    assert heap is not None
    assert heap.free > 1 << 26
    assert heap.threads >= 1


async def test_buckets_are_vpps_true_shares(lb: LoadBalancer) -> None:
    adds: list[Op] = [
        AddServer(vip=WEB, address=a, weight=w)
        for a, w in zip((A, B, C), (100, 100, 50), strict=True)
    ]
    await retvals(lb, AddVip(vip=WEB, settings=GRE4), *adds)
    servers = (await lb.read()).table[WEB].servers
    buckets = [server.buckets for server in servers.values()]
    assert buckets == [408, 408, 208]


async def test_a_vip_is_added_once_and_deleted_once(lb: LoadBalancer) -> None:
    add, remove = AddVip(vip=WEB, settings=GRE4), DelVip(vip=WEB, settings=GRE4)
    assert await retvals(lb, add, add, remove, remove, add) == [0, -81, 0, -6, 0]


async def test_all_port_and_per_port_vips_exclude_each_other_on_a_prefix(lb: LoadBalancer) -> None:
    everything = vip("192.0.2.10/32", 0)
    first = [AddVip(vip=WEB, settings=GRE4), AddVip(vip=everything, settings=GRE4)]
    then: list[Op] = [DelVip(vip=WEB, settings=GRE4), AddVip(vip=everything, settings=GRE4)]
    assert await retvals(lb, *first, *then, first[0]) == [0, -81, 0, 0, -81]


async def test_vips_of_one_prefix_have_one_encapsulation(lb: LoadBalancer) -> None:
    other = vip("192.0.2.10/32", 443)
    gre6 = VipSettings(encap=Encap.GRE6)
    assert await retvals(
        lb,
        AddVip(vip=WEB, settings=GRE4),
        AddVip(vip=other, settings=gre6),
        AddVip(vip=other, settings=GRE4),
    ) == [0, -73, 0]


async def test_nat_is_of_the_vips_family(lb: LoadBalancer) -> None:
    nat6 = VipSettings(encap=Encap.NAT6, target_port=80)
    assert await retvals(lb, AddVip(vip=WEB, settings=nat6)) == [-97]


@pytest.mark.parametrize("encap", [Encap.NAT4, Encap.L3DSR])
async def test_an_encapsulation_that_would_come_out_as_another_is_not_sent(
    lb: LoadBalancer, encap: Encap
) -> None:
    add = AddVip(vip=vip("2001:db8::1/128"), settings=VipSettings(encap=encap))
    assert await retvals(lb, add) == [-10_000]


async def test_a_refused_op_does_not_stop_those_after_it(lb: LoadBalancer) -> None:
    assert await retvals(
        lb,
        AddServer(vip=WEB, address=A, weight=1),
        AddVip(vip=WEB, settings=GRE4),
        AddServer(vip=WEB, address=V6, weight=1),
        AddServer(vip=WEB, address=A, weight=1),
        AddServer(vip=WEB, address=A, weight=1),
    ) == [-6, 0, -97, 0, -81]


async def test_weights_are_set_on_live_servers_only(lb: LoadBalancer) -> None:
    assert await retvals(
        lb,
        AddVip(vip=WEB, settings=GRE4),
        AddServer(vip=WEB, address=A, weight=1),
        SetWeight(vip=WEB, address=A, weight=50, flush=True),
        SetWeight(vip=WEB, address=B, weight=50),
        DelServer(vip=WEB, address=A, flush=True),
        SetWeight(vip=WEB, address=A, weight=50),
    ) == [0, 0, 0, -6, 0, -6]


async def test_a_removed_server_is_not_read_though_vpp_remembers_it(lb: LoadBalancer) -> None:
    add, remove = AddServer(vip=WEB, address=A, weight=7), DelServer(vip=WEB, address=A)
    never = DelServer(vip=WEB, address=B)
    ops = (AddVip(vip=WEB, settings=GRE4), add, remove, remove, never)
    assert await retvals(lb, *ops) == [0, 0, 0, 0, -6]
    assert (await lb.read()).table[WEB].servers == {}
    assert await retvals(lb, add) == [0]
    assert [s.weight for s in (await lb.read()).table[WEB].servers.values()] == [7]


async def test_a_vip_deleted_and_added_again_has_no_old_servers(lb: LoadBalancer) -> None:
    add, server = AddVip(vip=WEB, settings=GRE4), AddServer(vip=WEB, address=A, weight=7)
    assert await retvals(lb, add, server, DelVip(vip=WEB, settings=GRE4), add) == [0, 0, 0, 0]
    assert (await lb.read()).table[WEB].servers == {}
    assert await retvals(lb, server) == [0]
    assert list((await lb.read()).table[WEB].servers) == [A]


@pytest.mark.parametrize("length", [0, 1000, 65537, 131072])
async def test_a_table_length_that_would_hurt_vpp_is_not_sent(
    lb: LoadBalancer, length: int
) -> None:
    settings = VipSettings(encap=Encap.GRE4, table_length=length)
    assert await retvals(lb, AddVip(vip=WEB, settings=settings)) == [-10_000]
    assert (await lb.read()).table == {}


async def test_a_weight_above_100_is_not_sent(lb: LoadBalancer) -> None:
    assert await retvals(
        lb, AddVip(vip=WEB, settings=GRE4), AddServer(vip=WEB, address=A, weight=101)
    ) == [0, -10_000]


async def test_settings_of_the_plugin_read_back(lb: LoadBalancer) -> None:
    conf = LbConf(
        ipv4_source=ip_address("10.0.0.1"),  # type: ignore[arg-type]  # it may be of either family
        ipv6_source=ip_address("fd00::1"),  # type: ignore[arg-type]  # likewise
        sticky_buckets_per_core=4096,
        flow_timeout=60,
    )
    bad = LbConf(sticky_buckets_per_core=1000)
    assert await retvals(lb, SetConf(conf=conf), SetConf(conf=bad)) == [0, -70]
    assert (await lb.read()).conf == conf


async def test_after_close_every_call_says_gone_until_it_connects_again(lb: LoadBalancer) -> None:
    await retvals(lb, AddVip(vip=WEB, settings=GRE4))
    await lb.close()
    await lb.close()
    for call in (lb.ping, lb.read):
        with pytest.raises(LoadBalancerGone):
            await call()
    with pytest.raises(LoadBalancerGone):
        await lb.apply_ops([])
    info = await lb.connect()
    assert info.version
    assert info.pid > 0
    await lb.ping()
    assert list((await lb.read()).table) == [WEB]


async def test_many_clients_that_came_and_went_leave_vpp_well(lb: LoadBalancer) -> None:
    for _ in range(24):
        await lb.connect()  # each takes leave of the connection before it
    await lb.ping()


async def test_agents_that_are_killed_after_large_dumps_leave_vpp_well(lb: LoadBalancer) -> None:
    ops: list[Op] = [AddVip(vip=WEB, settings=GRE4)]
    ops += [
        AddServer(vip=WEB, address=ip_address("10.1.0.0") + number, weight=1)
        for number in range(1, 501)
    ]
    assert set(await retvals(lb, *ops)) == {0}
    for _ in range(20):
        await lb.connect()
        assert len((await lb.read()).table[WEB].servers) == 500
        if isinstance(lb, PapiLoadBalancer):
            await lb.ping()
            lb._live_connection().abort("killed")
    await lb.connect()
    assert len((await lb.read()).table[WEB].servers) == 500
