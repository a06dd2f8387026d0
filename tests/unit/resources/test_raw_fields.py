"""Fields of objects as JSON."""

import pytest

from vpplb.resources.raw_fields import check_selector, find_time, node_labels, parse_time, spec_of


@pytest.mark.parametrize(
    ("raw", "spec"),
    [
        ({"spec": {"a": None, "b": [{"c": None, "d": 1}]}}, {"b": [{"d": 1}]}),
        ({"spec": 7}, {}),
        ({}, {}),
    ],
)
def test_a_spec_is_without_nulls_and_empty_where_there_is_none(
    raw: dict[str, object], spec: dict[str, object]
) -> None:
    assert spec_of(raw) == spec


def test_a_selector_that_is_not_of_texts_is_not_understood() -> None:
    assert check_selector(None) == {}
    assert check_selector({"a": "b"}) == {"a": "b"}
    assert check_selector({"a": 1}) is None
    assert check_selector(["a"]) is None


def test_labels_of_the_node_are_those_that_the_agent_names() -> None:
    labels = {"a": "1", "b": "2"}
    assert node_labels({"labels": labels}) == labels
    named = {"annotations": {"vpplb.dev/node-labels": "b,c"}, "labels": labels}
    assert node_labels(named) == {"b": "2"}


@pytest.mark.parametrize("text", ["", "2025-01-01T12:00:00", "0001-01-01T00:00:00+14:00", 7, None])
def test_a_time_has_a_zone(text: object) -> None:
    with pytest.raises(ValueError, match=r"RFC 3339|isoformat"):
        parse_time(text)
    assert find_time(text) is None


def test_a_time_that_is_one_is_found() -> None:
    found = find_time("2025-01-01T13:00:00+01:00")
    assert found == parse_time("2025-01-01T12:00:00Z")
