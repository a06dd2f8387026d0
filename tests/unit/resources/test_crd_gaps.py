"""What older definitions lack, and what is no lack."""

from copy import deepcopy

import pytest

from vpplb.model.names import ObjectKind
from vpplb.resources.crd import make_schemas
from vpplb.resources.crd_gaps import KEEPS_UNKNOWN, find_gaps
from vpplb.resources.schema import Schema

FRONTEND = make_schemas([ObjectKind.FRONTEND])[ObjectKind.FRONTEND]


def changed(**properties: Schema | None) -> Schema:
    """Return Frontend's schema with other properties of its spec; None takes one away."""
    schema = deepcopy(FRONTEND)
    for name, one in properties.items():
        if one is None:
            del schema["properties"]["spec"]["properties"][name]
        else:
            schema["properties"]["spec"]["properties"][name] = one
    return schema


def test_a_definition_of_this_version_lacks_nothing() -> None:
    assert list(find_gaps(FRONTEND, FRONTEND)) == []


def test_fields_and_values_that_are_missing_are_named() -> None:
    older = changed(dscp=None, protocol={"type": "string", "enum": ["TCP"]})
    del older["properties"]["spec"]["properties"]["pools"]["items"]["properties"]["backends"]
    assert list(find_gaps(FRONTEND, older)) == [
        "spec.protocol UDP",
        "spec.protocol Any",
        "spec.dscp",
        "spec.pools[].backends",
    ]


def test_a_newer_definition_has_more_and_lacks_nothing() -> None:
    newer = changed(announce={"type": "object"}, protocol={"type": "string"})
    assert list(find_gaps(FRONTEND, newer)) == []


def test_what_keeps_all_that_it_does_not_know_lacks_nothing() -> None:
    anything: Schema = {"type": "object", KEEPS_UNKNOWN: True}
    assert list(find_gaps(FRONTEND, {"properties": {"spec": anything, "status": anything}})) == [
        "apiVersion",
        "kind",
        "metadata",
    ]


@pytest.mark.parametrize("kind", [ObjectKind.FRONTEND, ObjectKind.DATAPLANE])
def test_a_part_of_a_status_that_would_be_pruned_is_a_lack(kind: ObjectKind) -> None:
    needed = make_schemas([kind])[kind]
    older = deepcopy(needed)
    del older["properties"]["status"]["properties"]["conditions"][KEEPS_UNKNOWN]
    assert list(find_gaps(needed, older)) == ["status.conditions"]
