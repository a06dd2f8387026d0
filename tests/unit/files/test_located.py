"""Fields know their lines, and scalars mean what they mean to kubectl."""

import pytest

from vpplb.files.located import Document, Unparseable, documents


def only(text: str) -> Document:
    [document] = documents(text)
    return document


def test_each_field_knows_its_line() -> None:
    document = only("a:\n  b: 1\n  c:\n    - d: 2\n    - e\n")
    assert document.value == {"a": {"b": 1, "c": [{"d": 2}, "e"]}}
    assert document.lines == {"a": 1, "a.b": 2, "a.c": 3, "a.c[0]": 4, "a.c[0].d": 4, "a.c[1]": 5}


def test_lines_go_on_through_the_documents_of_a_file() -> None:
    first, second = documents("a: 1\n---\n# comment\nb: 2\n")
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
    assert document.repeated == ()


def test_repeated_fields_are_found_with_their_line() -> None:
    assert only("a:\n  b: 1\n  c: 2\n  b: 3\n").repeated == (("a.b", 4),)


def test_json_is_yaml() -> None:
    assert only('{"a":\n {"b": [1]}}').lines == {"a": 1, "a.b": 2, "a.b[0]": 2}


def test_an_entry_of_a_list_is_a_document_with_the_same_lines() -> None:
    item = only("items:\n  - a: 1\n  - b:\n      c: 2\n").item(1)
    assert (item.value, item.line) == ({"b": {"c": 2}}, 3)
    assert item.lines == {"b": 3, "b.c": 4}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3),
        ("a: 1\n b: 2\n", 2),
        ("a:\n\t- b\n", 2),
        ("a: *nobody\n", 1),
        ("a: !!python/object:os.system x\n", 1),
        ("a: 1\n[b]: 2\n", 2),
        ("a: 1\nb: \x01\n", 2),
    ],
)
def test_what_is_no_yaml_is_refused_with_the_line(text: str, line: int) -> None:
    with pytest.raises(Unparseable) as caught:
        list(documents(text))
    assert caught.value.line == line
    assert caught.value.message


def test_documents_before_the_bad_one_are_read() -> None:
    reading = documents("a: 1\n---\nb: [\n")
    assert next(reading).value == {"a": 1}
    with pytest.raises(Unparseable):
        next(reading)


@pytest.mark.parametrize("text", ["a: &x\n  b: *x\n", "a: " + "[" * 100 + "]" * 100])
def test_what_never_ends_or_is_too_deep_is_refused(text: str) -> None:
    with pytest.raises(Unparseable, match="nested"):
        list(documents(text))
