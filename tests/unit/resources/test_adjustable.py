"""The fields that people adjust beside the files."""

from typing import Any

import pytest

from vpplb.resources.adjustable import adjust_spec, list_adjustable

FRONTEND: dict[str, Any] = {
    "address": "192.0.2.1",
    "pools": [
        {"name": "main", "backends": [{"name": "a", "weight": 7}, {"name": "b"}]},
        {"name": "spare", "backends": [{"name": "a"}]},
    ],
}


@pytest.mark.parametrize(
    ("kind", "spec", "values"),
    [
        ("Backend", {"address": "10.0.0.1"}, {"enabled": True, "paused": False}),
        ("Backend", {"paused": True, "enabled": False}, {"enabled": False, "paused": True}),
        (
            "Frontend",
            FRONTEND,
            {
                "pools[main].backends[a].weight": 7,
                "pools[main].backends[b].weight": 100,
                "pools[spare].backends[a].weight": 100,
            },
        ),
        ("Backend", {"paused": None, "enabled": None}, {"enabled": True, "paused": False}),
        (
            "Frontend",
            {"pools": [{"name": "main", "backends": [{"name": "a", "weight": None}]}]},
            {"pools[main].backends[a].weight": 100},
        ),
        ("HealthCheck", {"type": "ICMP"}, {}),
        ("Frontend", {}, {}),
    ],
)
def test_what_can_be_adjusted_has_a_name_and_its_value_or_default(
    kind: str, spec: dict[str, Any], values: dict[str, Any]
) -> None:
    assert list_adjustable(kind, spec) == values
    assert list_adjustable(kind, adjust_spec(kind, spec, values)) == values


def test_a_weight_is_found_by_names_wherever_its_pool_stands() -> None:
    turned = {**FRONTEND, "pools": FRONTEND["pools"][::-1]}
    adjusted = adjust_spec("Frontend", turned, {"pools[main].backends[b].weight": 5})
    assert adjusted["pools"][1]["backends"][1] == {"name": "b", "weight": 5}
    assert adjusted["pools"][0] == FRONTEND["pools"][1]


def test_what_is_not_there_is_not_made_and_what_was_given_is_left_alone() -> None:
    values = {"pools[main].backends[z].weight": 5, "address": 1}
    assert adjust_spec("Frontend", FRONTEND, values) == FRONTEND
    assert adjust_spec("Backend", {"address": "10.0.0.1"}, values) == {"address": "10.0.0.1"}
    adjust_spec("Frontend", FRONTEND, {"pools[main].backends[a].weight": 1})
    assert FRONTEND["pools"][0]["backends"][0]["weight"] == 7
