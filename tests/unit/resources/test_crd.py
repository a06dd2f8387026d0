"""The CRDs: as generated, structural, bounded, and with the contract's names."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.manifests import ROOT
from vpplb.resources.crd import crds, to_yaml

CRDS = crds()
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


@pytest.mark.parametrize("folder", ["crds", "charts/vpplb/crds"])
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
            [],
        ),
        (
            "backends.yaml",
            "Backend",
            "vbe",
            "Namespaced",
            ["Address", "Check", "State", "Code", "Since", "Age"],
            ["Detail", "Frontends"],
        ),
        (
            "frontends.yaml",
            "Frontend",
            "vfe",
            "Namespaced",
            ["VIP", "Protocol", "Port", "State", "Pool", "Ready", "Nodes", "Age"],
            [],
        ),
        (
            "dataplanes.yaml",
            "Dataplane",
            "vdp",
            "Cluster",
            ["Version", "Connected", "Frontends", "Synced", "Age"],
            [],
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
        assert "type" in node, path
        assert not node.keys() & {"$ref", "anyOf", "allOf", "title", "const", "$defs"}, path
        if path.startswith((".spec.", ".status.")) and not path.endswith("[]"):
            assert node.get("description", "").endswith("."), path


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
