"""Metadata is read leniently: only a name or namespace can be wrong."""

import pytest

from vpplb.model.names import ObjectKey
from vpplb.resources.meta import ObjectMeta, read_meta


def test_the_namespace_is_default_where_none_is_given() -> None:
    meta, wrong = read_meta({"metadata": {"name": "a"}})
    assert (meta.key, wrong) == (ObjectKey("default", "a"), [])


def test_a_cluster_scoped_object_has_no_namespace() -> None:
    meta, wrong = read_meta({"metadata": {"name": "n1", "namespace": "x"}}, namespaced=False)
    assert (meta.key, wrong) == (ObjectKey("", "n1"), [])


@pytest.mark.parametrize("raw", [{}, {"metadata": None}, {"metadata": 3}, {"metadata": {}}])
def test_a_name_is_required(raw: dict[str, object]) -> None:
    assert read_meta(raw)[1] == [(("metadata", "name"), "is required")]


@pytest.mark.parametrize("name", ["A", "a_b", "-a", "a.", 3, "a" * 254])
def test_a_name_must_be_one_that_kubernetes_accepts(name: object) -> None:
    [(loc, says)] = read_meta({"metadata": {"name": name}})[1]
    assert loc == ("metadata", "name")
    assert says.startswith("must be a name")


@pytest.mark.parametrize("namespace", ["A", "a.b", "a" * 64])
def test_a_namespace_must_be_one_that_kubernetes_accepts(namespace: str) -> None:
    [(loc, _)] = read_meta({"metadata": {"name": "a", "namespace": namespace}})[1]
    assert loc == ("metadata", "namespace")


def test_whatever_else_makes_no_sense_counts_as_absent() -> None:
    metadata = {"name": "a", "uid": 3, "generation": "x", "creationTimestamp": "then"}
    assert read_meta({"metadata": metadata}) == (ObjectMeta(key=ObjectKey("default", "a")), [])
