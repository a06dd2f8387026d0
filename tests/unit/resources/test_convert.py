"""Defaults that depend on other fields, and how specs become values of the model."""

from typing import Any

import pytest

from data.manifests import backend, frontend
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Backend, Frontend, Pool, PoolMember
from vpplb.model.vip import Encap
from vpplb.resources.allowances import EVERYTHING
from vpplb.resources.parse import parse_object


def fronted(**spec: Any) -> Frontend:
    parsed = parse_object(frontend(**spec), EVERYTHING)
    assert isinstance(parsed, Frontend), parsed
    return parsed


def test_backend_is_enabled_and_unpaused_by_default() -> None:
    parsed = parse_object(backend())
    assert isinstance(parsed, Backend)
    assert (parsed.enabled, parsed.paused, parsed.health_check) == (True, False, None)


@pytest.mark.parametrize(
    ("spec", "vip"),
    [
        ({}, "198.51.100.1/32 tcp/80"),
        ({"address": "198.51.100.77/24"}, "198.51.100.0/24 tcp/80"),
        ({"address": "2001:db8::1", "protocol": "UDP"}, "2001:db8::1/128 udp/80"),
        ({"protocol": "Any", "port": None}, "198.51.100.1/32 any"),
        ({"protocol": "Any", "port": 0}, "198.51.100.1/32 any"),
    ],
)
def test_vip_of_a_frontend(spec: dict[str, object], vip: str) -> None:
    assert str(fronted(**spec).vip) == vip


def test_target_port_is_by_default_that_of_the_vip_and_only_with_nat() -> None:
    assert fronted().target_port == 0
    assert fronted(encap="NAT4").target_port == 80
    assert fronted(encap="NAT4", targetPort=8080).target_port == 8080


def test_encapsulation_and_table_length_are_left_open_unless_given() -> None:
    assert (fronted().encap, fronted().table_length) == (None, None)
    given = fronted(encap="GRE6", flowTableLength=2048)
    assert (given.encap, given.table_length) == (Encap.GRE6, 2048)


def test_pools_keep_their_order_and_weights_are_100_by_default() -> None:
    pools = [
        {"name": "z", "backends": [{"name": "b"}, {"name": "a", "weight": 0}]},
        {"name": "a"},
    ]
    assert fronted(pools=pools).pools == (
        Pool(
            name="z",
            members=(
                PoolMember(ObjectKey("default", "b"), 100),
                PoolMember(ObjectKey("default", "a"), 0),
            ),
        ),
        Pool(name="a", members=()),
    )


def test_node_selector_is_sorted() -> None:
    assert fronted(nodeSelector={"b": "1", "a": "2"}).node_selector == (("a", "2"), ("b", "1"))
