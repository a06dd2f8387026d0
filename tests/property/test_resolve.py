"""Whatever frontends share a prefix: what is programmed of them never contradicts VPP's rules."""

from hypothesis import given
from hypothesis import strategies as st

from data.objects import backend, frontend, key, vip
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Frontend, Pool, PoolMember
from vpplb.model.vip import Encap, VipProtocol
from vpplb.plan.resolve import resolve_group

SERVERS = [
    *(backend(n, f"10.0.0.{ord(n)}") for n in "ab"),
    *(backend(n, f"fd00::{n}") for n in "cd"),
]
BACKENDS = {one.key: one for one in SERVERS}
FAMILY = {Encap.GRE4: 4, Encap.GRE6: 6}
gre = st.sampled_from([None, Encap.GRE4, Encap.GRE6])

frontends = st.builds(
    lambda name, port, servers, encap: frontend(
        name,
        Pool(name="p", members=tuple(PoolMember(key(server), 1) for server in sorted(servers))),
        on=vip(port=port),
        age=-ord(name),
        encap=encap,
    ),
    st.sampled_from("uvwxyz"),
    st.sampled_from([0, 80, 443]),
    st.sets(st.sampled_from("abcde")),  # e does not exist
    gre,
)


@given(
    on_one_prefix=st.lists(frontends, max_size=6, unique_by=lambda one: one.key),
    present=st.dictionaries(st.sampled_from("uvwxyz").map(key), gre),
    data=st.data(),
)
def test_what_is_programmed_on_one_prefix_is_what_vpp_allows(
    on_one_prefix: list[Frontend], present: dict[ObjectKey, Encap | None], data: st.DataObject
) -> None:
    judged = resolve_group(on_one_prefix, BACKENDS.get, present.get)
    made = [one for one in judged.values() if not one.is_withdrawn]
    vips = [one.frontend.vip for one in made]
    assert len({one.encap for one in made}) <= 1
    assert len(set(vips)) == len(vips)
    assert len(made) <= 1 or all(one.protocol is not VipProtocol.ANY for one in vips)
    for one in made:
        assert {member.address.version for member in one.members} <= {FAMILY[one.encap]}
    shuffled = data.draw(st.permutations(on_one_prefix))
    assert resolve_group(shuffled, BACKENDS.get, present.get) == judged


@given(one=frontends, present=gre)
def test_who_is_alone_is_in_conflict_with_nobody(one: Frontend, present: Encap | None) -> None:
    found = resolve_group([one], BACKENDS.get, lambda _: present)[one.key]
    assert found.rejected is None or found.rejected.reason == "MixedFamilies"
