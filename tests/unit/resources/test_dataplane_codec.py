"""`status.dataplane` says all of a VIP, and its revision changes exactly when anything does."""

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.examples import examples
from vpplb.model.decision_order import LATEST, LATEST_BELIEVED, UNORDERED, DecisionOrder
from vpplb.model.vip import AppServer, Encap, IPAddress, Vip, VipId, VipProtocol, VipSettings
from vpplb.resources.dataplane_codec import dump_dataplane, dump_order, load_dataplane, load_order

VIP = VipId(ip_network("192.0.2.1/32"), VipProtocol.TCP, 80)
WANTED = Vip(
    settings=VipSettings(encap=Encap.GRE4),
    servers={
        ip_address("10.0.0.10"): AppServer(weight=100),
        ip_address("10.0.0.9"): AppServer(weight=0, flush_epoch=3),
    },
)

addresses: st.SearchStrategy[IPAddress] = st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(
    0, 2**128 - 1
).map(IPv6Address)
vip_ids = st.builds(
    VipId,
    st.tuples(addresses, st.integers(0, 32)).map(lambda p: ip_network(p, strict=False)),
    st.sampled_from(VipProtocol),
    st.integers(0, 65535),
)
vips = st.builds(
    Vip,
    settings=st.builds(
        VipSettings,
        encap=st.sampled_from(Encap),
        dscp=st.integers(0, 63),
        target_port=st.integers(0, 65535),
        src_ip_sticky=st.booleans(),
        table_length=st.integers(0, 16).map(lambda n: 1 << n),
    ),
    servers=st.dictionaries(
        addresses,
        st.builds(
            AppServer,
            weight=st.integers(0, 100),
            flush_epoch=st.integers(0, 2**40),
            buckets=st.none(),
        ),
        max_size=5,
    ),
)


def test_has_everything_and_nothing_else_servers_in_numeric_order() -> None:
    assert dump_dataplane(VIP, WANTED) == {
        "prefix": "192.0.2.1/32",
        "protocol": "TCP",
        "port": 80,
        "encap": "GRE4",
        "dscp": 0,
        "targetPort": 0,
        "srcIPSticky": False,
        "flowTableLength": 1024,
        "servers": [
            {"address": "10.0.0.9", "weight": 0, "flushEpoch": 3},
            {"address": "10.0.0.10", "weight": 100, "flushEpoch": 0},
        ],
        "revision": "094347abc818",
    }


@pytest.mark.slow
@settings(max_examples=examples(40))
@given(vip_id=vip_ids, vip=vips)
def test_what_is_read_is_what_was_written(vip_id: VipId, vip: Vip) -> None:
    written = json.loads(json.dumps(dump_dataplane(vip_id, vip)))
    assert load_dataplane({"dataplane": written}) == (vip_id, vip, written["revision"])


@pytest.mark.slow
@settings(max_examples=examples(40))
@given(one=st.tuples(vip_ids, vips), other=st.tuples(vip_ids, vips))
def test_revisions_are_equal_exactly_where_all_else_is(
    one: tuple[VipId, Vip], other: tuple[VipId, Vip]
) -> None:
    same = dump_dataplane(*one)["revision"] == dump_dataplane(*other)["revision"]
    assert same == (one == other)


@pytest.mark.parametrize(
    ("vip_id", "vip"),
    [
        (VIP._replace(port=81), WANTED),
        (VIP._replace(protocol=VipProtocol.UDP), WANTED),
        (VIP, replace(WANTED, settings=VipSettings(encap=Encap.GRE4, src_ip_sticky=True))),
        (VIP, replace(WANTED, settings=VipSettings(encap=Encap.GRE4, table_length=2048))),
        (VIP, replace(WANTED, servers={**WANTED.servers, ip_address("::1"): AppServer(weight=0)})),
        (
            VIP,
            replace(
                WANTED,
                servers={
                    **WANTED.servers,
                    ip_address("10.0.0.9"): AppServer(weight=0, flush_epoch=4),
                },
            ),
        ),
    ],
)
def test_revision_changes_with_each_part(vip_id: VipId, vip: Vip) -> None:
    assert dump_dataplane(vip_id, vip)["revision"] != dump_dataplane(VIP, WANTED)["revision"]


@pytest.mark.parametrize("status", [None, {}, {"dataplane": None}, {"state": "up"}])
def test_nothing_is_read_where_nothing_was_computed(status: dict[str, object] | None) -> None:
    assert load_dataplane(status) is None


def test_what_a_newer_version_adds_is_ignored() -> None:
    written = dump_dataplane(VIP, WANTED) | {"color": "red"}
    assert load_dataplane({"dataplane": written}) == (VIP, WANTED, written["revision"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prefix": "x"}, "prefix must be an address or a prefix"),
        ({"prefix": None}, "prefix must be an address or a prefix"),
        ({"encap": "GRE5"}, "encap must be GRE4"),
        ({"servers": [{"address": "a", "weight": 1, "flushEpoch": 0}]}, "servers[0].address"),
        ({"servers": [{"address": "::1", "weight": 500, "flushEpoch": 0}]}, "servers[0].weight"),
        ({"flowTableLength": 0}, "flowTableLength must be at least 1"),
    ],
)
def test_what_cannot_be_read_raises_and_says_what(change: dict[str, object], says: str) -> None:
    broken = dump_dataplane(VIP, WANTED) | change
    with pytest.raises(ValueError, match="dataplane") as caught:
        load_dataplane({"dataplane": broken})
    assert says in str(caught.value)


# --- the order ----------------------------------------------------------------------------------


def test_the_order_stands_beside_the_revision_and_is_no_part_of_it() -> None:
    order = DecisionOrder(1_767_323_045_000_006, 12)
    plain, ordered = dump_dataplane(VIP, WANTED), dump_dataplane(VIP, WANTED, (), order)
    assert ordered == plain | {"term": 1_767_323_045_000_006, "sequence": 12}
    assert load_order({"dataplane": json.loads(json.dumps(ordered))}) == order


def test_where_the_vip_must_not_exist_the_order_says_since_which_decision() -> None:
    order = DecisionOrder(7, 2)
    assert load_order({"withdrawn": dump_order(order)}) == order
    assert dump_order(UNORDERED) == {}


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"term": 5},
        {"sequence": 5},
        {"term": 0, "sequence": 5},
        {"term": "5", "sequence": 5},
        {"term": 5.0, "sequence": 5},
        {"term": LATEST_BELIEVED + 1, "sequence": 5},
        {"term": True, "sequence": 5},
        {"term": 5, "sequence": -1},
        {"term": 5, "sequence": None},
        {"term": LATEST + 1, "sequence": 5},
    ],
)
def test_an_order_that_makes_no_sense_is_none_and_spoils_nothing(
    order: dict[str, object],
) -> None:
    written = dump_dataplane(VIP, WANTED) | order
    assert load_order({"dataplane": written}) == load_order({"withdrawn": order}) == UNORDERED
    assert load_dataplane({"dataplane": written}) == (VIP, WANTED, written["revision"])


@pytest.mark.parametrize("status", [None, "nonsense", {}, {"dataplane": 5}, {"withdrawn": []}])
def test_a_status_without_a_decision_has_no_order(status: object) -> None:
    assert load_order(status) == UNORDERED
