"""Label selectors as kubectl takes them."""

import pytest

from vpplb.kube.user_api.label_selector import parse_selector

LABELS = {"tier": "web", "rack": "b7", "app.kubernetes.io/name": "nginx", "empty": ""}


@pytest.mark.parametrize(
    ("selector", "meets"),
    [
        ("", True),
        ("tier=web", True),
        ("tier==web", True),
        ("tier = web , rack=b7", True),
        ("tier=web,rack=b8", False),
        ("tier!=web", False),
        ("tier!=db,nothing!=x", True),
        ("app.kubernetes.io/name=nginx", True),
        ("tier in (db, web)", True),
        ("tier in (db)", False),
        ("tier notin (db,cache),rack in (b7)", True),
        ("tier notin (web)", False),
        ("nothing notin (x)", True),
        ("rack", True),
        ("nothing", False),
        ("!nothing", True),
        ("!rack", False),
        ("empty=", True),
        ("rack,tier=web,!nothing", True),
    ],
)
def test_a_selector_is_met_as_kubernetes_says(selector: str, meets: bool) -> None:
    assert parse_selector(selector)(LABELS) is meets


@pytest.mark.parametrize(
    "selector", ["=web", "tier=web rack=b7", "tier in web", "tier in (web", "a=b=c", "&", "tier>1"]
)
def test_what_is_none_is_refused(selector: str) -> None:
    with pytest.raises(ValueError, match="not a label selector"):
        parse_selector(selector)
