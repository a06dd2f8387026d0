"""Every kind of VIP, made, failed over, adopted, made anew and removed; simulated and real VPP.

But for VIPs by NAT, which stay as they were made.
"""

import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lab.live_syncer import SyncerEar, read, row, syncing, vip, without_buckets
from lab.simulated_vpp import simulated_vpp
from vpplb.model.names import ObjectKey
from vpplb.model.vip import AppServer, Encap, Vip, VipId, VipProtocol
from vpplb.plan.maglev_table import count_buckets
from vpplb.sync.ports import VipReport
from vpplb.sync.syncer import VppSyncer

pytestmark = pytest.mark.slow

WEB = ObjectKey("shop", "web")
V4 = {"10.0.0.1": 100, "10.0.0.2": 50, "10.0.0.10": 0}
V6 = {"fd00::1": 100, "fd00::2": 50, "fd00::10": 0}
UDP = VipProtocol.UDP
ADDRESS, ADDRESS6 = "192.0.2.1/32", "2001:db8::1/128"

KINDS: Mapping[str, tuple[VipId, Vip]] = {
    "IPv4 TCP": (vip(ADDRESS), row(V4)),
    "IPv4 UDP": (vip(ADDRESS, 53, UDP), row(V4)),
    "IPv4 all ports": (vip(ADDRESS, 0), row(V4)),
    "IPv4 prefix": (vip("192.0.2.0/24"), row(V4)),
    "IPv4 prefix, all ports": (vip("192.0.2.0/24", 0), row(V4)),
    "every IPv4 address": (vip("0.0.0.0/0"), row(V4)),
    "IPv4 sticky": (vip(ADDRESS), row(V4, src_ip_sticky=True)),
    "IPv4 to IPv6 servers": (vip(ADDRESS), row(V6, Encap.GRE6)),
    "IPv6 TCP": (vip(ADDRESS6), row(V6, Encap.GRE6)),
    "IPv6 UDP": (vip(ADDRESS6, 53, UDP), row(V6, Encap.GRE6)),
    "IPv6 all ports": (vip(ADDRESS6, 0), row(V6, Encap.GRE6)),
    "IPv6 prefix": (vip("2001:db8::/48"), row(V6, Encap.GRE6)),
    "IPv6 sticky": (vip(ADDRESS6), row(V6, Encap.GRE6, src_ip_sticky=True)),
    "IPv6 to IPv4 servers": (vip(ADDRESS6), row(V4)),
    "L3DSR": (vip(ADDRESS, 0), row(V4, Encap.L3DSR, dscp=7)),
    "NAT4": (vip(ADDRESS), row(V4, Encap.NAT4, target_port=8080)),
    "NAT4 UDP": (vip(ADDRESS, 53, UDP), row(V4, Encap.NAT4, target_port=5353)),
    "NAT6": (vip(ADDRESS6), row(V6, Encap.NAT6, target_port=8080)),
    "a short table": (vip(ADDRESS), row(V4, length=1)),
    "a long table": (vip(ADDRESS), row(V4, length=32768)),
}


@pytest.fixture(params=["simulator", pytest.param("real", marks=pytest.mark.real_vpp)])
async def socket(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Path]:
    """The API socket of an empty VPP."""
    if request.param == "simulator":
        async with simulated_vpp(tmp_path) as simulator:
            yield simulator.api_socket
    else:
        from lab.real_vpp import start_vpp

        with start_vpp(Path(os.environ["VPPLB_TEST_VPP"]), tmp_path) as path:
            yield path


def reversed_weights(have: Vip) -> Vip:
    """The same servers, the last to serve alone."""
    weights = [0] * (len(have.servers) - 1) + [100]
    servers = {a: AppServer(weight=w) for a, w in zip(have.servers, weights, strict=True)}
    return Vip(settings=have.settings, servers=servers)


async def becomes(syncer: VppSyncer, ear: SyncerEar, on: VipId, want: Vip, revision: str) -> None:
    syncer.set_desired(WEB, on, want, revision)
    await ear.settled(VipReport(key=WEB, vip=on, revision=revision))


async def has(socket: Path, on: VipId, want: Vip) -> None:
    """VPP has just this, and gives each server the buckets that are computed for it."""
    table = (await read(socket)).table
    assert without_buckets(table) == {on: want}
    weights = {address: server.weight for address, server in want.servers.items()}
    buckets = {address: server.buckets for address, server in table[on].servers.items()}
    assert buckets == count_buckets(weights, want.settings.table_length)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_vip_of_this_kind_is_programmed_exactly(socket: Path, kind: str) -> None:
    on, want = KINDS[kind]
    async with syncing(socket, {WEB: (on, want)}) as (syncer, ear):
        await has(socket, on, want)
        await becomes(syncer, ear, on, reversed_weights(want), "r2")
        await has(socket, on, reversed_weights(want))
        ear.counts.clear()
        longer = replace(want.settings, table_length=2048)
        anew = Vip(settings=longer, servers=want.servers)
        if want.settings.encap in (Encap.NAT4, Encap.NAT6):  # VPP quirk: NAT made anew
            syncer.set_desired(WEB, on, anew, "r3")
            await ear.until(lambda: "cannot make a NAT VIP anew" in ear.reports[-1].error)
            anew = want
        else:
            await becomes(syncer, ear, on, anew, "r3")
            assert ear.remade == [(WEB, on, longer)]
        await has(socket, on, anew)
    async with syncing(socket, {WEB: (on, anew)}) as (syncer, ear):
        assert ear.counts == {}, "a VIP of this kind is not recognised as what it is"
        syncer.remove_frontend(WEB)
        await ear.until(lambda: not syncer.vips.owned_state.owned)
        assert (await read(socket)).table == {}
