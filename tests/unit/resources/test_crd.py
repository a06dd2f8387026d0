"""The CRDs: as generated, structural, bounded, and with the contract's names."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any

import jsonschema
import pytest

from data.manifests import ROOT
from vpplb.model.health import BackendHealth, HealthState, HealthTransition
from vpplb.model.names import ObjectKey
from vpplb.model.vip import AppServer, Encap, Vip, VipId, VipProtocol, VipSettings
from vpplb.resources.backend import BACKEND, dump_health
from vpplb.resources.base import KindDefinition
from vpplb.resources.conditions import StatusCondition, set_condition
from vpplb.resources.crd import make_crds, make_structural, show_default, to_yaml
from vpplb.resources.dataplane import (
    DATAPLANE,
    DataplaneError,
    DataplaneFrontends,
    DataplaneStatus,
    DataplaneVpp,
)
from vpplb.resources.dataplane_codec import dump_dataplane
from vpplb.resources.frontend import (
    FRONTEND,
    FrontendBackend,
    FrontendNodes,
    FrontendStatus,
)
from vpplb.resources.healthcheck import HEALTH_CHECK, HealthCheckStatus

CRDS = make_crds()
DEFINITIONS: list[KindDefinition[Any]] = [FRONTEND, BACKEND, HEALTH_CHECK, DATAPLANE]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
Schema = dict[str, Any]


def spec_of(file: str) -> Schema:
    spec: Schema = _version(file)["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return spec


def _version(file: str) -> Schema:
    version: Schema = CRDS[file]["spec"]["versions"][0]
    return version


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    for below in ("items", "additionalProperties"):
        if below in schema:
            yield from walk(schema[below], f"{path}[]")


@pytest.mark.parametrize("folder", ["crds", "charts/vpplb/files/crds"])
def test_the_files_are_as_generated(folder: str) -> None:
    files = {path.name: path.read_text() for path in (ROOT / folder).glob("*.yaml")}
    assert files == {name: to_yaml(crd) for name, crd in CRDS.items()}, "run `make crds`"


@pytest.mark.parametrize(
    ("file", "kind", "short", "scope", "columns", "wide"),
    [
        (
            "healthchecks.yaml",
            "HealthCheck",
            "vhc",
            "Namespaced",
            ["Type", "Port", "Interval", "Rise", "Fall", "Backends", "Age"],
            ["Accepted"],
        ),
        (
            "backends.yaml",
            "Backend",
            "vbe",
            "Namespaced",
            ["Address", "Check", "State", "Code", "Since", "Problem", "Age"],
            ["Detail", "Frontends", "Accepted"],
        ),
        (
            "frontends.yaml",
            "Frontend",
            "vfe",
            "Namespaced",
            ["VIP", "Protocol", "Port", "State", "Pool", "Ready", "Nodes", "Problem", "Age"],
            ["Encap", "Accepted", "Programmed"],
        ),
        (
            "dataplanes.yaml",
            "Dataplane",
            "vdp",
            "Cluster",
            ["Version", "Connected", "Frontends", "Synced", "Operator", "Age"],
            ["Changed", "Release", "Reason"],
        ),
    ],
)
def test_names_and_columns_are_those_of_the_contract(
    file: str, kind: str, short: str, scope: str, columns: list[str], wide: list[str]
) -> None:
    spec = CRDS[file]["spec"]
    assert (spec["group"], spec["scope"]) == ("vpplb.dev", scope)
    assert spec["names"]["kind"] == kind
    assert spec["names"]["shortNames"] == [short]
    assert spec["names"]["categories"] == ["vpplb"]
    assert spec["versions"][0]["subresources"] == {"status": {}}
    shown = _version(file)["additionalPrinterColumns"]
    assert [c["name"] for c in shown if not c.get("priority")] == columns
    assert [c["name"] for c in shown if c.get("priority")] == wide


@pytest.mark.parametrize("file", CRDS)
def test_schemas_are_structural_and_every_field_is_explained(file: str) -> None:
    schema = _version(file)["schema"]["openAPIV3Schema"]
    for path, node in walk(schema):
        untyped = node.get("x-kubernetes-preserve-unknown-fields", False)
        assert path.startswith(".status.") if untyped else "type" in node, path
        assert not node.keys() & {"$ref", "anyOf", "allOf", "title", "const", "$defs"}, path
        if path.startswith((".spec.", ".status.")) and not path.endswith("[]"):
            assert node.get("description", "").endswith("."), path


@pytest.mark.parametrize("file", CRDS)
def test_every_field_that_may_be_left_out_says_what_is_then(file: str) -> None:
    """`kubectl explain` shows descriptions, and no defaults of its own."""
    spec = _version(file)["schema"]["openAPIV3Schema"]["properties"]["spec"]
    silent = []
    for path, node in walk(spec):
        for name, field in node.get("properties", {}).items():
            said = " ".join(field["description"].split())
            default = f" Default: {re.escape(show_default(field.get('default')))}\\."
            says = default if "default" in field else r"\b(by default|without it|absent)\b"
            if not re.search(says, said) and name not in node.get("required", ()):
                silent.append(f"{path}.{name}: {said}")
    assert silent == []


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda one: one.kind)
def test_what_is_composed_in_a_status_is_not_typed(
    definition: KindDefinition[Any],
) -> None:
    told = _version(f"{definition.kind.plural}.yaml")["schema"]["openAPIV3Schema"]
    fields = make_structural(definition.status, defaults=False)["properties"]
    shown = told["properties"]["status"]["properties"]
    assert shown.keys() == fields.keys()
    for name, field in fields.items():
        if field["type"] not in ("object", "array"):
            assert shown[name] == field
            continue
        assert shown[name]["x-kubernetes-preserve-unknown-fields"] is True
        assert not shown[name].keys() & {"properties", "items", "additionalProperties"}


def test_the_words_name_every_field_below_with_its_kind_and_choice() -> None:
    schema = _version("frontends.yaml")["schema"]["openAPIV3Schema"]["properties"]["status"]
    assert schema["properties"]["dataplane"]["description"].splitlines() == [
        "All that nodes program, and when that was decided.",
        "It has:",
        "  prefix (string): Prefix of the VIP.",
        "  protocol (string): Protocol of the VIP. One of TCP, UDP, Any.",
        "  port (integer): Port of the VIP; 0 with protocol Any.",
        "  encap (string): How packets get to the servers. One of GRE4, GRE6, L3DSR, NAT4, NAT6.",
        "  dscp (integer): DSCP; 0 but with L3DSR.",
        "  targetPort (integer): Port of the servers; 0 but with NAT.",
        "  srcIPSticky (boolean): Whether a client's flows all go to one server.",
        "  flowTableLength (integer): Buckets of the table of new flows.",
        "  nodeSelector (object): Labels of the nodes that carry it; absent: those of the spec.",
        "  servers (array): The application servers, IPv4 before IPv6, then in numeric order.",
        "    A list; each has:",
        "      address (string): Its address.",
        "      weight (integer): Its entries in the table of new flows.",
        "      flushEpoch (integer): Grows each time its flows are to be cut.",
        "      undecided (boolean): Not known to be up or down: a tentative VIP keeps its weight.",
        "  anyFlowTableLength (boolean): Whether a VIP that is there keeps its own.",
        "  tentative (boolean): Not all servers have a verdict: a VIP that serves keeps them.",
        "  revision (string): Hash of everything above.",
        "  term (integer): When the operator that decided it began to lead, in microseconds since"
        " 1970.",
        "  sequence (integer): Counts that operator's decisions, on all frontends: the later term,"
        " then sequence, counts.",
    ]


@pytest.mark.parametrize("file", CRDS)
def test_everything_that_users_write_is_bounded(file: str) -> None:
    for path, node in walk(spec_of(file)):
        match node["type"]:
            case "string":
                assert "maxLength" in node or "enum" in node, path
            case "array":
                assert "maxItems" in node, path
            case "integer":
                assert "maximum" in node or "x-kubernetes-validations" in node, path


@pytest.mark.parametrize("file", CRDS)
def test_rules_blame_a_field_that_exists(file: str) -> None:
    spec = spec_of(file)
    paths = {path for path, _ in walk(spec)}
    for rule in spec.get("x-kubernetes-validations", []):
        assert rule["fieldPath"] in paths


def test_defaults_are_in_the_schema() -> None:
    found = {
        path: node["default"]
        for file in CRDS
        for path, node in walk(_version(file)["schema"]["openAPIV3Schema"])
        if "default" in node
    }
    assert found == {
        ".status": {"observedGeneration": 0},
        ".spec.interval": "2s",
        ".spec.timeout": "1s",
        ".spec.rise": 2,
        ".spec.fall": 3,
        ".spec.http.path": "/",
        ".spec.http.method": "GET",
        ".spec.http.headers": [],
        ".spec.http.responseCodes.min": 200,
        ".spec.http.responseCodes.max": 399,
        ".spec.tls.insecureSkipVerify": False,
        ".spec.enabled": True,
        ".spec.paused": False,
        ".spec.protocol": "TCP",
        ".spec.srcIPSticky": False,
        ".spec.flushOnDown": True,
        ".spec.pools[].backends": [],
        ".spec.pools[].backends[].weight": 100,
    }


CONDITIONS = set_condition(
    (),
    StatusCondition(type="A", status="True", reason="B", message="c", observed_generation=1),
    NOON,
)
TRANSITION = HealthTransition(
    backend=ObjectKey("default", "a"),
    from_state=HealthState.UNKNOWN,
    to_state=HealthState.UP,
    at=NOON,
    code="L7OK",
    detail="200 OK",
)
PROGRAM = dump_dataplane(
    VipId(ip_network("192.0.2.1/32"), VipProtocol.TCP, 80),
    Vip(
        settings=VipSettings(encap=Encap.GRE4),
        servers={ip_address("10.0.0.1"): AppServer(weight=100, flush_epoch=1)},
    ),
)
STATUSES = {
    "healthchecks.yaml": HealthCheckStatus(
        conditions=CONDITIONS, backends=1, observed_generation=1
    ),
    "backends.yaml": dump_health(
        BackendHealth(
            state=HealthState.UNKNOWN,
            since=NOON,
            code="L4TOUT",
            detail="no answer",
            held=True,
            transitions=(TRANSITION,),
        )
    ).model_copy(update={"conditions": CONDITIONS, "frontends": 1, "observed_generation": 1}),
    "frontends.yaml": FrontendStatus(
        state="up",
        active_pool="main",
        ready="1/1",
        backends=(
            FrontendBackend(
                name="a",
                address="10.0.0.1",
                pool="main",
                state=HealthState.UP,
                weight=100,
                effective_weight=100,
            ),
        ),
        dataplane=PROGRAM,
        nodes=FrontendNodes.summarize_nodes(1, 1),
        conditions=CONDITIONS,
        observed_generation=1,
    ),
    "dataplanes.yaml": DataplaneStatus(
        vpp=DataplaneVpp(version="26.10", pid=1, connected=True, since=NOON),
        frontends=DataplaneFrontends.summarize_frontends(1, 1),
        programmed={"default/web": "094347abc818"},
        errors=(DataplaneError(frontend="default/b", message="no"),),
        last_change=NOON,
        conditions=CONDITIONS,
        observed_generation=1,
    ),
}


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda one: one.kind)
def test_a_status_has_what_its_schema_tells_and_nothing_else(
    definition: KindDefinition[Any],
) -> None:
    file = f"{definition.kind.plural}.yaml"
    dumped = STATUSES[file].dump_json()
    shown = _version(file)["schema"]["openAPIV3Schema"]["properties"]["status"]
    jsonschema.validate(dumped, shown)
    whole = make_structural(definition.status, defaults=False)
    jsonschema.validate(dumped, whole)
    assert paths_of(dumped, whole) <= {path for path, _ in walk(whole)}


def paths_of(value: object, schema: Schema, path: str = "") -> set[str]:
    """Give the paths of a JSON value as `walk` gives those of its schema."""
    match value:
        case dict() if "additionalProperties" in schema:
            below = schema["additionalProperties"]
            parts = [paths_of(child, below, f"{path}[]") for child in value.values()]
        case dict():
            known = schema.get("properties", {})
            parts = [paths_of(v, known.get(k, {}), f"{path}.{k}") for k, v in value.items()]
        case list():
            parts = [paths_of(child, schema.get("items", {}), f"{path}[]") for child in value]
        case _:
            parts = []
    return {path}.union(*parts)
