"""Fields know their lines, and scalars mean what they mean to kubectl."""

from itertools import pairwise

import pytest

from vpplb.files.yaml_documents import (
    DEEPEST,
    UnparseableYaml,
    YamlDocument,
    YamlFault,
    parse_documents,
)


def only(text: str) -> YamlDocument:
    [document] = parse_documents(text)
    return document


def test_each_field_knows_its_line() -> None:
    document = only("a:\n  b: 1\n  c:\n    - d: 2\n    - e\n")
    assert document.value == {"a": {"b": 1, "c": [{"d": 2}, "e"]}}
    assert document.lines == {"a": 1, "a.b": 2, "a.c": 3, "a.c[0]": 4, "a.c[0].d": 4, "a.c[1]": 5}


def test_lines_go_on_through_the_documents_of_a_file() -> None:
    first, second = parse_documents("a: 1\n---\n# comment\nb: 2\n")
    assert (first.line, second.line) == (1, 4)
    assert second.lines == {"b": 4}


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("spec.pools[0].name", 4),
        ("spec.pools[0].weight", 4),
        ("spec.pools[7].name", 3),
        ("spec.address", 2),
        ('spec.labels["x/y"]', 5),
        ('spec.labels["x.y"]', 5),
        ("metadata.name", 1),
        ("", 1),
    ],
)
def test_a_field_that_is_missing_is_placed_at_the_nearest_that_is_there(
    field: str, line: int
) -> None:
    text = 'kind: A\nspec:\n  pools:\n    - name: a\n  labels: {"x/y": z}\n'
    assert only(text).line_of(field) == line


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("12:30:45", "12:30:45"),
        ("2001:db8::1", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("2026-01-02", "2026-01-02"),
        ("80", 80),
        ("'80'", "80"),
        ("0x50", 80),
        ("-1", -1),
        ("1.5", 1.5),
        ("1s", "1s"),
        ("true", True),
        ("off", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("=", "="),
    ],
)
def test_scalars(text: str, value: object) -> None:
    assert only(f"a: {text}\n").value == {"a": value}


def test_keys_are_text() -> None:
    assert only("80: a\ntrue: b\n").value == {"80": "a", "true": "b"}


def test_anchors_and_merges_are_understood() -> None:
    document = only("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n")
    assert document.value == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}
    assert document.faults == ()


def test_repeated_fields_are_found_with_their_line() -> None:
    assert only("a:\n  b: 1\n  c: 2\n  b: 3\n").faults == (
        YamlFault("a.b", 4, "is there twice in the same mapping"),
    )


def test_json_is_yaml() -> None:
    assert only('{"a":\n {"b": [1]}}').lines == {"a": 1, "a.b": 2, "a.b[0]": 2}


def test_an_entry_of_a_list_is_a_document_with_the_same_lines() -> None:
    item = only("items:\n  - a: 1\n  - b:\n      c: 2\n").list_items()[1]
    assert (item.value, item.line) == ({"b": {"c": 2}}, 3)
    assert item.lines == {"b": 3, "b.c": 4}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3),
        ("a: 1\n b: 2\n", 2),
        ("a:\n\t- b\n", 2),
        ("a: *nobody\n", 1),
        ("a: 1\n[b]: 2\n", 2),
        ("a: 1\nb: \x01\n", 2),
    ],
)
def test_what_is_no_yaml_is_refused_with_the_line(text: str, line: int) -> None:
    with pytest.raises(UnparseableYaml) as caught:
        list(parse_documents(text))
    assert caught.value.line == line
    assert caught.value.message


def test_documents_before_the_bad_one_are_read() -> None:
    reading = parse_documents("a: 1\n---\nb: [\n")
    assert next(reading).value == {"a": 1}
    with pytest.raises(UnparseableYaml):
        next(reading)


@pytest.mark.parametrize("text", ["a: &x\n  b: *x\n", "a: " + "[" * 100 + "]" * 100])
def test_what_never_ends_or_is_too_deep_is_refused(text: str) -> None:
    with pytest.raises(UnparseableYaml, match="nested"):
        list(parse_documents(text))


BROKEN = {
    "w: !!int foo": "is not a whole number: foo",
    "w: " + "9" * 5000: "is not a whole number: " + "9" * 40,
    "w: !!bool maybe": "is not a boolean: maybe",
    "w: !!float abc": "is not a number: abc",
    "w: .inf": "is not a number: .inf",
    "w: .nan": "is not a number: .nan",
    "w: 1" + "0" * 400 + ".0": "is not a number: 1" + "0" * 39,
    "w: !!timestamp foo": "has a tag that Kubernetes does not know: tag:yaml.org,2002:timestamp",
    "w: !!python/object:os.system x": "has a tag that Kubernetes does not know:"
    " tag:yaml.org,2002:python/object:os.system",
    "w: !mine x": "has a tag that Kubernetes does not know: !mine",
    "w: !!set {a, b}": "has a tag that Kubernetes does not know: tag:yaml.org,2002:set",
    "w: !!omap [a: 1]": "has a tag that Kubernetes does not know: tag:yaml.org,2002:omap",
    "w: !!str {a: b}": "has a tag that Kubernetes does not know: tag:yaml.org,2002:str",
    "w: !!map foo": "has a tag that Kubernetes does not know: tag:yaml.org,2002:map",
}


@pytest.mark.parametrize(("text", "message"), BROKEN.items(), ids=lambda one: str(one)[:30])
def test_a_value_that_is_not_what_its_tag_says_is_a_fault_with_its_line(
    text: str, message: str
) -> None:
    document = only(f"a: 1\n{text}\nb: 2\n")
    assert document.faults == (YamlFault("w", 2, message, broken=True),)
    assert isinstance(document.value, dict)
    assert document.value["b"] == 2, "the rest is read on"


@pytest.mark.parametrize("text", ["0b_", "0x_", "-0x__", "+", "1e5", "0o7", "08", "1_0:2"])
def test_what_only_looks_like_a_number_is_text(text: str) -> None:
    assert only(f"w: {text}").value == {"w": text}


def test_merged_mappings_are_read_as_kubectl_reads_them() -> None:
    document = only("a: &a {x: 1, y: 1}\nb: &b {y: 2}\nc: {<<: [*b, *a], z: 3, x: 9}\n")
    assert document.value == {"a": {"x": 1, "y": 1}, "b": {"y": 2}, "c": {"x": 9, "y": 2, "z": 3}}
    assert document.lines["c.y"] == 2


@pytest.mark.parametrize("text", ["a: {<<: 1}", "a: {<<: [1]}", "a: &a {<<: *a, b: 1}"])
def test_what_cannot_be_merged_is_refused(text: str) -> None:
    with pytest.raises(UnparseableYaml):
        list(parse_documents(text))


def test_merging_over_and_over_costs_what_is_written() -> None:
    names = "abcdefghijklmnop"
    lines = ["a: &a {x: 1}"]
    lines += [
        f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}" for old, new in pairwise(names)
    ]
    assert only("\n".join(lines)).value == {name: {"x": 1} for name in names}


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused_before_it_costs_anything(opening: str) -> None:
    with pytest.raises(UnparseableYaml, match="nested"):
        list(parse_documents(opening * 100_000))
    only("[" * (DEEPEST - 1) + "]" * (DEEPEST - 1))
