"""The CRDs in a real API server: what they refuse, naming the field, and what they accept."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from support.control_plane import ControlPlane
from support.kubectl import Kubectl

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "tests" / "scenarios"


def _cases(file: str) -> list[Any]:
    cases = yaml.safe_load((SCENARIOS / file).read_text())
    return [pytest.param(case, id=case["name"].replace(" ", "-")) for case in cases]


@pytest.mark.parametrize("case", _cases("refused.yaml"))
def test_a_bad_object_is_refused_and_the_field_named(
    namespace: Kubectl, case: dict[str, Any]
) -> None:
    said = namespace.refusal(case["object"])
    assert case["field"] in said
    assert "panic" not in said


@pytest.mark.parametrize("case", _cases("accepted.yaml"))
def test_a_good_object_is_accepted(namespace: Kubectl, case: dict[str, Any]) -> None:
    namespace.apply(case["object"])


@pytest.mark.parametrize(
    "example", [pytest.param(path, id=path.stem) for path in sorted(ROOT.glob("examples/*.yaml"))]
)
def test_every_example_is_accepted(namespace: Kubectl, example: Path) -> None:
    namespace.apply(example)


def test_the_quickstart_is_accepted(namespace: Kubectl) -> None:
    namespace.apply(ROOT / "examples" / "quickstart")


@pytest.mark.parametrize("kind", ["frontends", "backends", "healthchecks", "dataplanes"])
def test_kubectl_explains_every_field(control_plane: ControlPlane, kind: str) -> None:
    explained = control_plane.kubectl("explain", f"{kind}.spec", "--recursive")
    assert "FIELDS" in explained


@pytest.mark.parametrize("short", ["vfe", "vbe", "vhc", "vdp", "vpplb"])
def test_short_names_and_the_category_list(namespace: Kubectl, short: str) -> None:
    namespace("get", short)
