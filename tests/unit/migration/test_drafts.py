"""Drafts: names, weights, and rules of manifests said with the lines of a configuration."""

import pytest

from vpplb.migration.drafts import (
    DraftedMember,
    DraftedPool,
    ImportedSet,
    choose_free,
    fit_name,
    load_drafts,
)
from vpplb.model.names import ObjectKind
from vpplb.resources.allowances import NOTHING


@pytest.mark.parametrize(
    ("text", "name", "label"),
    [
        ("web", "web", "web"),
        ("Web_Front End", "web-front-end", "web-front-end"),
        ("nginx0.ams", "nginx0.ams", "nginx0-ams"),
        ("-a-.-b-", "a.b", "a-b"),
        ("...", "unnamed", "unnamed"),
        ("ü", "unnamed", "unnamed"),
        ("x" * 300, "x" * 253, "x" * 63),
    ],
)
def test_a_name_is_made_to_fit(text: str, name: str, label: str) -> None:
    assert (fit_name(text), fit_name(text, dots=False)) == (name, label)


def test_a_name_that_is_taken_gets_a_number() -> None:
    assert choose_free("a", ()) == "a"
    assert choose_free("a", {"a", "a-2"}) == "a-3"


@pytest.mark.parametrize(
    ("given", "fitted"),
    [([1, 2], [1, 2]), ([256, 128, 1, 0], [100, 50, 1, 0]), ([0, 0], [0, 0]), ([], [])],
)
def test_weights_are_scaled_only_where_one_is_too_large(
    given: list[int], fitted: list[int]
) -> None:
    members = tuple(DraftedMember(backend=f"b{n}", weight=w, line=1) for n, w in enumerate(given))
    assert DraftedPool(name="p", members=members, line=1).fit_weights() == fitted


def test_the_same_finding_is_told_once() -> None:
    imported = ImportedSet()
    for _ in range(2):
        imported.add_loss(3, "key", "is not known")
        imported.add_note(3, "key", "is new")
    assert [str(one) for one in imported.findings] == [
        "3: key: not carried: is not known",
        "3: key: note: is new",
    ]


def test_what_the_rules_of_manifests_refuse_is_said_with_the_line_it_comes_from() -> None:
    imported = ImportedSet()
    draft = imported.add_draft(ObjectKind.FRONTEND, "web", 4)
    draft.put_field("address", "224.0.0.1", 5)
    draft.put_field("protocol", "TCP", 6)
    draft.put_field("port", None, 7)
    member = DraftedMember(backend="Bad_Name", weight=1, line=9)
    draft.put_pools([DraftedPool(name="main", members=(member,), line=8)])
    loaded = load_drafts(imported, "some.cfg", "lb", NOTHING)
    assert [str(one) for one in loaded.findings] == [
        "some.cfg:5: Frontend lb/web: spec.address: must not be multicast: it names no one host",
        "some.cfg:9: Frontend lb/web: spec.pools[0].backends[0].name: must be a name of"
        ' lower-case letters, digits, - and . (RFC 1123), not "Bad_Name"',
    ]
    assert "port" not in draft.spec


def test_a_dataplane_has_no_namespace() -> None:
    draft = ImportedSet().add_draft(ObjectKind.DATAPLANE, "node", 1)
    assert draft.make_manifest("lb")["metadata"] == {"name": "node"}
