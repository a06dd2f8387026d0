"""What may be asked for, and what a request that makes no sense is told."""

from datetime import timedelta

import pytest

from vpplb.acting.action_request import (
    MOST_BACKENDS,
    ActionRequest,
    BadRequest,
    PersonalAction,
    parse_request,
)
from vpplb.model.names import ObjectKey

A, B = ObjectKey("shop", "a"), ObjectKey("shop", "b")
WEIGHT = {
    "action": "weight",
    "backends": ["shop/a"],
    "frontend": "shop/web",
    "weight": 5,
}


def test_an_action_names_its_backends_each_once() -> None:
    asked = {"action": "pause", "backends": ["shop/a", "shop/b", "shop/a"], "dryRun": True}
    assert parse_request(asked) == ActionRequest(
        action=PersonalAction.PAUSE, backends=(A, B), dry_run=True
    )


@pytest.mark.parametrize(
    "name", ["shop/a\nlevel=error forged", "shop/a\n", "Shop/a", "shop/" + "a" * 313]
)
def test_no_name_forges_or_fills_a_log(name: str) -> None:
    with pytest.raises(BadRequest, match="as namespace/name"):
        parse_request({"action": "pause", "backends": [name]})


def test_a_weight_is_of_a_frontend_and_if_wanted_of_one_pool() -> None:
    web = ObjectKey("shop", "web")
    asked = parse_request({**WEIGHT, "pool": "main"})
    assert (asked.frontend, asked.pool, asked.weight) == (web, "main", 5)
    assert parse_request({**WEIGHT, "weight": 5.0}) == parse_request(WEIGHT)


def test_a_drain_says_for_how_long_flows_may_end() -> None:
    asked = {"action": "drain", "backends": ["shop/a"]}
    assert parse_request(asked).grace == timedelta(minutes=1)
    assert parse_request({**asked, "grace": "10m"}).grace == timedelta(minutes=10)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("pause", "not a JSON object"),
        ({}, "action: one of pause, resume"),
        ({"action": "reboot", "backends": ["shop/a"]}, "action: one of"),
        ({"action": ["pause"], "backends": ["shop/a"]}, "action: one of"),
        ({"action": "pause"}, "backends: a list of 1 to"),
        ({"action": "pause", "backends": []}, "backends: a list of 1 to"),
        ({"action": "pause", "backends": ["a"]}, "backends: as namespace/name"),
        ({"action": "pause", "backends": [{"a": 1}]}, "backends: as namespace/name"),
        ({"action": "pause", "backends": ["n/a"] * (MOST_BACKENDS + 1)}, "a list of 1 to"),
        ({"action": "pause", "backends": ["shop/a"], "weight": 5}, "weight: only with"),
        ({"action": "pause", "backends": ["shop/a"], "grace": "1m"}, "grace: only with"),
        ({"action": "pause", "backends": ["shop/a"], "dryrun": True}, "there is no field dryrun"),
        ({"action": "pause", "backends": ["shop/a"], "dryRun": "no"}, "dryRun: true or false"),
        ({"action": "drain", "backends": ["shop/a"], "grace": "2h"}, "grace: 1h at most"),
        ({"action": "drain", "backends": ["shop/a"], "grace": 60}, "grace: not a duration"),
        ({**WEIGHT, "weight": 101}, "weight: a whole number from 0 to 100"),
        ({**WEIGHT, "weight": True}, "weight: a whole number"),
        ({**WEIGHT, "weight": 1.5}, "weight: a whole number"),
        ({**WEIGHT, "weight": float("inf")}, "weight: a whole number"),
        ({**WEIGHT, "frontend": "web"}, "frontend: as namespace/name"),
        ({**WEIGHT, "pool": 1}, "pool: the name of a pool"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(asked: object, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        parse_request(asked)
