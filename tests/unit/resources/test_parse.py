"""Objects become values of the model, or a list of all that is wrong."""

from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.examples import examples
from data.manifests import (
    RefusedCase,
    accepted,
    backend,
    frontend,
    health_check,
    manifest,
    refused,
)
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Backend, Frontend
from vpplb.model.problem import Problem
from vpplb.resources.allowances import EVERYTHING, NOTHING, AddressAllowances
from vpplb.resources.dataplane import DataplaneSpec
from vpplb.resources.parse import PARSERS, ParsedDataplane, parse_object


def problems(raw: dict[str, object]) -> list[str]:
    parsed = parse_object(raw)
    assert isinstance(parsed, list), "accepted"
    return [f"{problem.field}: {problem.message}" for problem in parsed]


@pytest.mark.parametrize("case", refused(), ids=str)
def test_refuses_with_one_problem_that_names_the_field_and_says_why(case: RefusedCase) -> None:
    parsed = parse_object(case.object, EVERYTHING)
    assert isinstance(parsed, list), "accepted"
    assert [problem.field for problem in parsed] == [case.field]
    assert case.says in parsed[0].message
    assert parsed[0].reason == "Invalid"


@pytest.mark.parametrize("case", accepted(), ids=str)
def test_accepts_what_is_at_the_edge(case: RefusedCase) -> None:
    assert not isinstance(parse_object(case.object, EVERYTHING), list)


LOOPBACK = "must not be loopback: it never leaves a host (--allow-loopback allows it for trials)"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.255.255.254"])
def test_a_server_on_loopback_is_refused_unless_it_is_asked_for(address: str) -> None:
    raw = backend(address=address)
    assert problems(raw) == [f"spec.address: {LOOPBACK}"]
    assert isinstance(parse_object(raw, AddressAllowances(loopback=True)), Backend)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.0/8", "127.9.0.0/16"])
def test_a_vip_on_loopback_is_refused_unless_it_is_asked_for(address: str) -> None:
    raw = frontend(address=address)
    assert problems(raw) == [f"spec.address: {LOOPBACK}"]
    assert isinstance(parse_object(raw, AddressAllowances(loopback=True)), Frontend)


@pytest.mark.parametrize(("encap", "address"), [("NAT4", "192.0.2.1"), ("NAT6", "2001:db8::1")])
def test_a_vip_by_nat_is_refused_unless_it_is_asked_for(encap: str, address: str) -> None:
    raw = frontend(encap=encap, address=address)
    [problem] = problems(raw)
    assert problem.startswith("spec.encap: must not be NAT4 or NAT6: VPP (seen up to 26.10) ")
    assert "--allow-nat" in problem
    assert isinstance(parse_object(raw, AddressAllowances(nat=True)), Frontend)


def test_names_of_cases_are_unique() -> None:
    names = [case.name for case in (*refused(), *accepted())]
    assert len(names) == len(set(names))


def test_says_all_that_is_wrong_at_once() -> None:
    raw = frontend(port=None, dscp=3, x=1, flowTableLength=3, pools=[{"name": "a", "y": 2}])
    assert problems(raw) == [
        "spec.flowTableLength: must be a power of two from 1 to 65536, not 3",
        "spec.pools[0].y: is not a known field",
        "spec.x: is not a known field",
        "spec.port: is required with protocol TCP or UDP",
        "spec.dscp: must be absent unless encap is L3DSR",
    ]


def test_draws_no_conclusions_from_a_field_that_is_wrong_itself() -> None:
    assert problems(frontend(encap="GRE5", dscp=3)) == [
        'spec.encap: must be GRE4, GRE6, L3DSR, NAT4 or NAT6, not "GRE5"'
    ]
    assert problems(frontend(port="80")) == ['spec.port: must be a whole number, not "80"']


def test_null_is_the_same_as_absent_as_for_the_api_server() -> None:
    raw = manifest("Backend", "a", {"address": "192.0.2.1", "paused": None, "typo": None})
    assert parse_object(raw) == parse_object(backend())


def test_long_values_are_not_repeated() -> None:
    long = "x" * 100
    assert problems(backend(address=long)) == ["spec.address: must be an IPv4 or IPv6 address"]


@pytest.mark.parametrize("spec", [[], "text", 3])
def test_refuses_a_spec_that_is_no_mapping(spec: object) -> None:
    [problem] = problems(manifest("Backend", "a", spec))
    assert problem.startswith("spec: must be a mapping of fields")


def test_requires_a_spec_but_of_a_dataplane() -> None:
    assert problems(manifest("Backend", "a", None)) == ["spec: is required"]
    assert parse_object(manifest("Dataplane", "n1", None)) == ParsedDataplane(
        node="n1", spec=DataplaneSpec()
    )


def test_refuses_unknown_fields_beside_the_spec() -> None:
    assert problems(backend() | {"sepc": {}}) == ["sepc: is not a known field"]


def test_refuses_other_versions_and_unknown_kinds() -> None:
    assert problems(
        {"apiVersion": "vpplb.dev/v2", "kind": "Backends", "metadata": {"name": "a"}}
    ) == [
        "apiVersion: must be vpplb.dev/v1alpha1",
        "kind: must be one of HealthCheck, Backend, Frontend, Dataplane",
    ]


def test_reads_what_it_needs_of_the_metadata_and_ignores_the_rest() -> None:
    raw = frontend()
    raw["metadata"] = {
        "name": "web",
        "namespace": "shop",
        "uid": "u-1",
        "generation": 7,
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "managedFields": [{"manager": "kubectl"}],
        "something": {"new": True},
    }
    parsed = parse_object(raw)
    assert isinstance(parsed, Frontend)
    assert parsed.key == ObjectKey("shop", "web")
    assert parsed.generation == 7
    assert parsed.created == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_status_is_no_concern_of_it() -> None:
    assert parse_object(backend() | {"status": {"any": "thing"}}) == parse_object(backend())


def test_a_description_alone_is_no_change() -> None:
    assert parse_object(frontend(description="for people")) == parse_object(frontend())


def test_references_are_to_the_own_namespace() -> None:
    raw = backend(healthCheckRef={"name": "c"})
    raw["metadata"] = {"name": "a", "namespace": "shop"}
    assert parse_object(raw) == Backend(
        key=ObjectKey("shop", "a"),
        address=ip_address("192.0.2.1"),
        health_check=ObjectKey("shop", "c"),
    )


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
bases = st.sampled_from([frontend(), backend(), health_check(), manifest("Dataplane", "n", {})])


@pytest.mark.slow
@given(raw=st.dictionaries(st.sampled_from(["apiVersion", "kind", "metadata", "spec"]), json))
def test_never_raises_whatever_the_object(raw: dict[str, object]) -> None:
    assert all(isinstance(problem, Problem) for problem in _list(parse_object(raw)))


@pytest.mark.slow
@settings(max_examples=examples(60))
@given(base=bases, metadata=json, data=st.data())
def test_never_raises_whatever_a_field(
    base: dict[str, object], metadata: object, data: st.DataObject
) -> None:
    spec = dict(base["spec"])  # type: ignore[call-overload]  # is a mapping in all bases
    field = data.draw(st.sampled_from([*spec, "http", "tls", "nodeSelector", "new"]))
    spec[field] = data.draw(json)
    raw = base | {"spec": spec, "metadata": metadata}
    for problem in _list(PARSERS[str(base["kind"])](raw, NOTHING)):
        assert problem.field.split(".")[0].split("[")[0] in ("spec", "metadata")
        assert "pydantic" not in problem.message
        assert "Input" not in problem.message


def _list(parsed: object) -> list[Problem]:
    return parsed if isinstance(parsed, list) else []
