"""What stands in the Lease of operators: what is believed, and what is passed over."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpplb.direct.messages import MOST_OPERATORS, OperatorAddress
from vpplb.direct.operator_directory import (
    MOST_CHARS,
    PREFIX,
    dump_operator,
    find_texts,
    name_annotation,
    parse_address,
    read_operators,
    read_release,
)
from vpplb.model.release_identity import ReleaseIdentity

PRINT = "0123456789abcdef" * 4


def operator(name: str = "op-1_0a", address: str = "10.1.2.3:9443") -> OperatorAddress:
    return OperatorAddress(identity=name, address=address, fingerprint=PRINT)


def entries(*operators: OperatorAddress, namespace: str = "system") -> dict[str, str]:
    return {
        name_annotation(one.identity): dump_operator(one, ReleaseIdentity(namespace), "1.0", "now")
        for one in operators
    }


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1))
def test_what_is_written_is_read_again(identity: str) -> None:
    one = operator(identity)
    assert read_operators(entries(one), ReleaseIdentity("system")) == (one,)


def test_operators_of_another_release_are_not_ours() -> None:
    mine, theirs = operator("mine"), operator("theirs")
    both = entries(mine) | entries(theirs, namespace="other")
    assert read_operators(both, ReleaseIdentity("system")) == (mine,)
    assert read_operators(both, ReleaseIdentity("other")) == (theirs,)
    assert len(find_texts(both)) == 2


def test_of_two_releases_in_one_namespace_each_finds_its_own() -> None:
    by_name = {
        name_annotation(name): dump_operator(
            operator(name), ReleaseIdentity("system", f"system/{name}"), "1.0", "now"
        )
        for name in ("blue", "green")
    }
    older = entries(operator("older"))  # which tells the namespace alone
    found = read_operators(by_name | older, ReleaseIdentity("system", "system/blue"))
    assert found == (operator("blue"), operator("older"))
    assert read_release(by_name | older, "green") == "system/green"
    assert read_release(by_name | older, "older") == "system"
    assert read_release(None, "green") == ""


def test_a_program_that_was_given_no_name_is_of_the_release_in_its_namespace() -> None:
    named, bare, other = operator("named"), operator("bare"), operator("other")
    all_of_them = {
        name_annotation(one.identity): dump_operator(
            one, ReleaseIdentity(namespace, name), "1.0", "now"
        )
        for one, namespace, name in (
            (named, "lb", "lb/vpplb"), (bare, "lb", "lb"), (other, "edge", "edge"),
        )
    }  # fmt: skip
    assert read_operators(all_of_them, ReleaseIdentity("lb", "lb")) == (bare, named)
    assert read_operators(all_of_them, ReleaseIdentity("lb", "lb/vpplb")) == (bare, named)
    assert read_operators(all_of_them, ReleaseIdentity("lb", "lb/second")) == (bare,)
    assert read_operators(all_of_them, ReleaseIdentity("edge", "edge")) == (other,)


def test_no_more_than_a_few_are_believed() -> None:
    many = entries(*(operator(f"op-{number}") for number in range(1000)))
    assert len(read_operators(many, ReleaseIdentity("system"))) == MOST_OPERATORS


def _entry(**changed: object) -> str:
    whole = {
        "identity": "op-1_0a",
        "address": "10.1.2.3:9443",
        "fingerprint": PRINT,
        "namespace": "system",
    }
    return json.dumps({key: value for key, value in (whole | changed).items() if value is not None})


def test_fields_that_are_not_known_are_passed_over() -> None:
    newer = {name_annotation("op-1_0a"): _entry(weight=3, version=["2"])}
    assert read_operators(newer, ReleaseIdentity("system")) == (operator(),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '"x"',
        "1" * 5000,
        "[" * 2000,
        "\ud800",
        _entry(identity=None),
        _entry(identity=""),
        _entry(identity=7),
        _entry(identity="op\n1"),
        _entry(identity="another"),
        _entry(address=None),
        _entry(address="10.1.2.3"),
        _entry(address="10.1.2.3:"),
        _entry(address="10.1.2.3:0"),
        _entry(address="10.1.2.3:65536"),
        _entry(address="10.1.2.3:" + "9" * 1900),
        _entry(address="user@evil/path?:9443"),
        _entry(address="a b:9443"),
        _entry(address="[10.1.2.3]:9443"),
        _entry(address="[fe80::1%eth0]:9443"),
        _entry(address=["10.1.2.3:9443"]),
        _entry(fingerprint=None),
        _entry(fingerprint="00"),
        _entry(fingerprint=PRINT.upper()),
        _entry(fingerprint=PRINT + "\n"),
        _entry(namespace=None),
        _entry(namespace={"system": 1}),
        _entry(padding="x" * MOST_CHARS),
    ],
)
def test_what_is_no_entry_is_passed_over_and_hides_no_other(text: str) -> None:
    other = operator("other")
    annotations = {name_annotation("op-1_0a"): text} | entries(other)
    assert read_operators(annotations, ReleaseIdentity("system")) == (other,)


@pytest.mark.parametrize("annotations", [None, [], "x", 7, {7: "x", PREFIX: None, f"{PREFIX}1": 5}])
def test_annotations_of_any_shape_name_nobody(annotations: object) -> None:
    assert read_operators(annotations, ReleaseIdentity("system")) == ()


@given(st.dictionaries(st.text().map(PREFIX.__add__), st.text()))
def test_nothing_that_stands_there_is_an_error(annotations: dict[str, str]) -> None:
    assert read_operators(annotations, ReleaseIdentity("system")) == ()


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("10.1.2.3:9443", "10.1.2.3:9443"),
        ("fd00::1:9443", "[fd00::1]:9443"),
        ("[fd00::1]:9443", "[fd00::1]:9443"),
        ("fd00:0:0:0:0:0:0:1:9443", "[fd00::1]:9443"),
        ("vpplb.example.org:443", "vpplb.example.org:443"),
        ("host:00443", "host:443"),
    ],
)
def test_an_address_of_a_pod_may_lack_its_brackets(given: str, read: str) -> None:
    assert parse_address(given) == read


@pytest.mark.parametrize("given", ["", ":9443", "host", "fd00::1", "[fd00::1", "x:y", "-x:1"])
def test_an_address_without_a_host_or_a_port_is_none(given: str) -> None:
    with pytest.raises(ValueError):
        parse_address(given)
