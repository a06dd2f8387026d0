"""The CRDs in a real API server: what they refuse, naming the field, and what they accept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.control_plane import ControlPlane, fresh_namespace
from cluster.kubectl import Kubectl

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "tests" / "scenarios"


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Iterator[Kubectl]:
    """Give one namespace to all of these tests."""
    with fresh_namespace(control_plane) as kubectl:
        yield kubectl


def _cases(file: str) -> list[Any]:
    cases = yaml.safe_load((SCENARIOS / file).read_text())
    return [pytest.param(case, id=case["name"].replace(" ", "-")) for case in cases]


@pytest.mark.parametrize("case", _cases("refused.yaml"))
def test_a_bad_object_is_refused_and_the_field_named(
    kubectl: Kubectl, case: dict[str, Any]
) -> None:
    said = kubectl.refusal(case["object"])
    assert case["field"] in said
    assert "panic" not in said


@pytest.mark.parametrize("case", _cases("accepted.yaml"))
def test_a_good_object_is_accepted(kubectl: Kubectl, case: dict[str, Any]) -> None:
    kubectl.apply(case["object"], "--dry-run=server")


@pytest.mark.parametrize(
    "example", [pytest.param(path, id=path.stem) for path in sorted(ROOT.glob("examples/*.yaml"))]
)
def test_every_example_is_accepted(kubectl: Kubectl, example: Path) -> None:
    kubectl.apply(example)


def test_the_quickstart_is_accepted(kubectl: Kubectl) -> None:
    kubectl.apply(ROOT / "examples" / "quickstart")


@pytest.mark.parametrize("kind", ["frontends", "backends", "healthchecks", "dataplanes"])
def test_kubectl_explains_every_field(kubectl: Kubectl, kind: str) -> None:
    explained = kubectl("explain", f"{kind}.spec", "--recursive")
    assert "FIELDS" in explained


def test_kubectl_explains_what_is_composed_in_a_status_in_words(kubectl: Kubectl) -> None:
    explained = kubectl("explain", "frontends.status.dataplane")
    assert "flushEpoch (integer): Grows each time its flows are to be cut." in explained


@pytest.mark.parametrize("short", ["vfe", "vbe", "vhc", "vdp", "vpplb"])
def test_short_names_and_the_category_list(kubectl: Kubectl, short: str) -> None:
    kubectl("get", short)


# --- kubectl explain ------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted((ROOT / "crds").glob("*.yaml")), ids=lambda one: one.stem)
def test_kubectl_explains_every_field_of_a_spec_in_all_its_words(
    control_plane: ControlPlane, file: Path
) -> None:
    """Its default among them: a test of the definitions looks that each stands there."""
    definition = yaml.safe_load(file.read_text())["spec"]
    spec = definition["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    silent = []
    for path, fields in _list_composed(f"{file.stem}.spec", spec):
        explained = " ".join(control_plane.kubectl("explain", path).split())
        silent += [
            f"{path}.{name}"
            for name, field in fields.items()
            if " ".join(field["description"].split()) not in explained
        ]
    assert silent == []


def _list_composed(path: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the paths of a node and all below it that have fields, with these."""
    inside = node.get("items", node)
    if fields := inside.get("properties"):
        yield path, fields
        for name, field in fields.items():
            yield from _list_composed(f"{path}.{name}", field)


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("healthcheck.spec.interval", "Default: 2s."),
        ("healthcheck.spec.rise", "Default: 2. From 1 to 100."),
        ("frontend.spec.flushOnDown", "Default: true."),
        ("frontend.spec.pools.backends.weight", "Default: 100. From 0 to 100."),
        ("frontend.status.dataplane", "revision (string): Hash of everything above."),
        ("dataplane.spec", "stickyBucketsPerCore"),
    ],
)
def test_kubectl_explains_fields_with_their_defaults(
    control_plane: ControlPlane, field: str, says: str
) -> None:
    explained = control_plane.kubectl("explain", field)
    assert says in " ".join(explained.split())
