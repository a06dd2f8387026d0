"""Whatever frontends and servers there are: no packet comes back to where it was in VPP."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from data.examples import examples
from data.objects import backend, frontend, key, vip
from in_memory.world import Object, World
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Frontend, Pool, PoolMember
from vpplb.model.vip import Encap, IPAddress, VipId, VipProtocol
from vpplb.plan.resolve import resolve_objects
from vpplb.plan.resolved import ResolvedFrontend

BACKENDS, FRONTENDS = "abcd", "uvwxyz"
# Servers and VIPs are on the same few addresses, so that they meet.
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.2")
PREFIXES = (
    "10.0.0.1/32",
    "10.0.0.2/32",
    "10.0.1.1/32",
    "10.0.0.0/24",
    "10.0.1.0/24",
    "10.0.0.0/16",
)
GRE = 0
"""The port of a packet that is wrapped."""

backends = st.builds(
    lambda name, at: backend(name, at, None), st.sampled_from(BACKENDS), st.sampled_from(ADDRESSES)
)


def _frontend(
    name: str, prefix: str, kind: tuple[Encap | None, int, int], of: set[str]
) -> Frontend:
    encap, port, target = kind
    return frontend(
        name,
        Pool(name="p", members=tuple(PoolMember(key(one), 1) for one in sorted(of))),
        on=VipId(vip(prefix).prefix, VipProtocol.UDP if port else VipProtocol.ANY, port),
        age=-(FRONTENDS.index(name) // 2),  # some are as old as others
        encap=encap,
        target_port=target,
    )


frontends = st.builds(
    _frontend,
    st.sampled_from(FRONTENDS),
    st.sampled_from(PREFIXES),
    st.sampled_from(
        [
            (None, 0, 0),
            (None, 53, 0),
            (Encap.L3DSR, 0, 0),
            (Encap.NAT4, 53, 53),
            (Encap.NAT4, 53, 54),
            (Encap.NAT4, 54, 53),
        ]
    ),
    st.sets(st.sampled_from(BACKENDS), min_size=1),
)
# Something is put, or something of that name is removed.
steps = st.lists(st.tuples(st.one_of(backends, frontends, frontends), st.booleans()), max_size=14)


class Packet(NamedTuple):
    """A packet of UDP on its way in VPP, or one that is wrapped in GRE."""

    to: IPAddress
    port: int


Vips = Mapping[VipId, ResolvedFrontend]


def _next(packet: Packet, vips: Vips) -> Iterator[Packet]:
    """Give what VPP may make of a packet, plainly: the longest prefix, then the port."""
    around = [on for on in vips if packet.to in on.prefix]
    longest = max((on.prefix.prefixlen for on in around), default=None)
    for on in around:
        if on.prefix.prefixlen != longest or (on.port and on.port != packet.port):
            continue
        for member in vips[on].members:
            match vips[on].encap:
                case Encap.L3DSR:
                    yield Packet(member.address, packet.port)
                case Encap.NAT4:
                    yield Packet(member.address, vips[on].frontend.target_port)
                case _:
                    yield Packet(member.address, GRE)


def _comes_back(packet: Packet, vips: Vips) -> bool:
    seen, todo = set[Packet](), [packet]
    while todo:
        for one in _next(todo.pop(), vips):
            if one == packet:
                return True
            if one not in seen:
                seen.add(one)
                todo.append(one)
    return False


async def test_no_packet_comes_back_and_what_is_tied_is_judged_together() -> None:
    settings(max_examples=examples(60))(given(steps=steps)(_holds))()


def _holds(steps: list[tuple[Object, bool]]) -> None:
    world = World()
    for one, there in steps:
        (world.put if there else world.remove)(one)
    world.close()
    views = world.reconciler.views
    found = {name: view.config.resolved for name, view in views.items()}
    assert found == resolve_objects(world.store.frontends, world.store.backends, ()).frontends

    vips = {one.frontend.vip: one for one in found.values() if not one.is_withdrawn}
    for at in {member.address for one in vips.values() for member in one.members}:
        assert not any(_comes_back(Packet(at, port), vips) for port in (GRE, 53, 54)), at
        assert not any(on.prefix.prefixlen == 32 and at in on.prefix for on in vips), at
        assert len(_ports_by_nat(at, vips)) == len(set(_ports_by_nat(at, vips))), at
    for resolved in found.values():
        members = {member.backend for member in resolved.members}
        assert resolved.rejected or members == _named(resolved.frontend, world)


def _ports_by_nat(at: IPAddress, vips: Vips) -> list[int]:
    return [
        one.frontend.target_port
        for one in vips.values()
        if one.encap is Encap.NAT4 and at in {member.address for member in one.members}
    ]


def _named(one: Frontend, world: World) -> set[ObjectKey]:
    named = {member.backend for pool in one.pools for member in pool.members}
    return named & world.store.backends.keys()
