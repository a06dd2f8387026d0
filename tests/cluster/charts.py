"""The chart: rendered, copied in other versions, installed by helm; and its golden renders.

A golden render is what `helm template` makes of a set of values: `tests/data/chart/NAME.in.yaml`
are the values, `NAME.out.yaml` is what comes out. The first line of the values may say
`# release: NAMESPACE/NAME`. `make golden` writes them anew (`python -m cluster.charts`).
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import yaml

from cluster.binaries import KUBERNETES, ensure

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "vpplb"
GOLDEN = ROOT / "tests" / "data" / "chart"
FROM_FILES = ("CustomResourceDefinition", "PrometheusRule", "ConfigMap")
"""Kinds of which the chart has the content as files."""


class ReleaseName(NamedTuple):
    """A release of helm; together they are one of a cluster's only."""

    namespace: str
    name: str


DEFAULT = ReleaseName("vpplb-system", "vpplb")


class HelmError(Exception):
    """helm ended with an error; the text is what it said."""


def run_helm(helm: Path, *args: str | Path, stdin: str = "") -> str:
    """Run helm and return what it printed; HelmError when it complained."""
    done = subprocess.run([helm, *args], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HelmError(done.stderr.strip())
    return done.stdout


def template_chart(
    helm: Path, *args: str | Path, release: ReleaseName = DEFAULT, chart: Path = CHART
) -> str:
    """Return what `helm install` of the chart makes, as text."""
    where = ("--namespace", release.namespace, f"--kube-version={KUBERNETES}")
    return run_helm(helm, "template", release.name, chart, *where, *args)


def render_chart(
    helm: Path, *args: str | Path, release: ReleaseName = DEFAULT, chart: Path = CHART
) -> list[dict[str, Any]]:
    """Return the same as objects, without those that are made when it is uninstalled."""
    made = render_with_uninstalling(helm, *args, release=release, chart=chart)
    return [one for one in made if not _is_of_uninstalling(one)]


def render_with_uninstalling(
    helm: Path, *args: str | Path, release: ReleaseName = DEFAULT, chart: Path = CHART
) -> list[dict[str, Any]]:
    """Return all that a release ever makes, also when it is uninstalled."""
    text = template_chart(helm, *args, release=release, chart=chart)
    return [one for one in yaml.safe_load_all(text) if one]


def _is_of_uninstalling(made: dict[str, Any]) -> bool:
    annotations = made["metadata"].get("annotations") or {}
    return annotations.get("helm.sh/hook") == "post-delete"


def pods_of(objects: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the pods among what was rendered, or their templates, by their component."""
    templates = [
        one if one["kind"] == "Pod" else one["spec"]["template"]
        for one in objects
        if one["kind"] in ("Pod", "Deployment", "DaemonSet", "Job")
    ]
    component = "app.kubernetes.io/component"
    return {one["metadata"]["labels"][component]: one for one in templates}


def copy_chart(folder: Path, *, version: str = "") -> Path:
    """Copy the chart, of another version where one is given, and return the copy's path."""
    copy = shutil.copytree(CHART, folder / "vpplb")
    if version:
        about = copy / "Chart.yaml"
        about.write_text(
            re.sub(r"^(version|appVersion): .*$", rf"\1: {version}", about.read_text(), flags=re.M)
        )
    return copy


def make_old_chart(folder: Path) -> Path:
    """Copy the chart as those before it were: its definitions in `crds/`, which helm only makes."""
    copy = copy_chart(folder)
    (copy / "files" / "crds").rename(copy / "crds")
    (copy / "templates" / "crds.yaml").unlink()
    return copy


# --- golden renders ---------------------------------------------------------------------------


def golden_names() -> list[str]:
    """Return the names of all sets of values."""
    return sorted(path.name.removesuffix(".in.yaml") for path in GOLDEN.glob("*.in.yaml"))


def values_file(name: str) -> Path:
    return GOLDEN / f"{name}.in.yaml"


def rendered_file(name: str) -> Path:
    return GOLDEN / f"{name}.out.yaml"


def release_of(name: str) -> ReleaseName:
    """Return the release that a set of values is for."""
    said = re.match(r"# release: (\S+)/(\S+)\n", values_file(name).read_text())
    return ReleaseName(*said.groups()) if said else DEFAULT


def render_golden(helm: Path, name: str, chart: Path) -> str:
    """Render a set of values; of what the chart has as files only the heads.

    `chart` is a copy whose version is the same for ever.
    """
    text = template_chart(
        helm, f"--values={values_file(name)}", release=release_of(name), chart=chart
    )
    return "---\n".join(_cut_file(one) for one in re.split(r"^---\n", text, flags=re.M))


def _cut_file(document: str) -> str:
    """Return the head of a document that is a file of the chart, else all of it."""
    kind = re.search(r"^kind: (.*)$", document, re.M)
    if kind is None or kind[1] not in FROM_FILES:
        return document
    return re.split(r"^(?:spec|data):\n", document, maxsplit=1, flags=re.M)[0]


def write_golden() -> None:
    """Write all golden renders anew."""
    helm = ensure(("helm",), print)["helm"]
    with TemporaryDirectory() as folder:
        chart = copy_chart(Path(folder), version="0.0.0")
        for name in golden_names():
            rendered_file(name).write_text(render_golden(helm, name, chart))


if __name__ == "__main__":
    write_golden()
