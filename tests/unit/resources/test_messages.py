"""Errors are put in words for people, and paths as users spell them."""

import pytest

from data.manifests import backend, frontend, health_check
from vpplb.resources.base import Loc
from vpplb.resources.messages import spell_path
from vpplb.resources.parse import parse_object


@pytest.mark.parametrize(
    ("loc", "text"),
    [
        ((), ""),
        (("spec",), "spec"),
        (("spec", "pools", 0, "backends", 12, "weight"), "spec.pools[0].backends[12].weight"),
        (("spec", "nodeSelector", "a.b/c"), 'spec.nodeSelector["a.b/c"]'),
        (("items", 3, "spec"), "items[3].spec"),
    ],
)
def test_paths_are_spelled_as_users_write_them(loc: Loc, text: str) -> None:
    assert spell_path(loc) == text


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (frontend(adress="x"), "is not a known field; did you mean address?"),
        (frontend(srcIpSticky=True), "is not a known field; did you mean srcIPSticky?"),
        (frontend(zebra=1), "is not a known field"),
        (backend(healthCheckRef={"nam": "c"}), "is not a known field; did you mean name?"),
        (
            health_check(type="HTTP", http={"responseCodes": {"mn": 200}}),
            "is not a known field; did you mean min?",
        ),
        (
            health_check(type="HTTP", http={"headers": [{"nme": "a"}]}),
            "is not a known field; did you mean name?",
        ),
    ],
)
def test_a_misspelt_field_comes_with_the_one_that_was_meant(
    raw: dict[str, object], says: str
) -> None:
    problems = parse_object(raw)
    assert isinstance(problems, list)
    assert says in [problem.message for problem in problems]
