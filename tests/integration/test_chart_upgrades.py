"""helm and the chart's definitions: adopted, upgraded, taken back, kept, and one release's alone.

An API server of its own, without nodes: what becomes of the objects, not of pods.
"""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.binaries import ensure
from cluster.charts import CHART, HelmError, ReleaseName, copy_chart, make_old_chart, run_helm
from cluster.control_plane import ControlPlane, api_server
from cluster.kubectl import Kubectl, KubectlError
from data.manifests import backend, frontend
from lab.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

MAIN = ReleaseName("lb", "main")
EDGE = ReleaseName("edge", "main")
TAKE = "--take-ownership"


class Cluster:
    """An API server, and helm that installs into it."""

    def __init__(self, kubectl: Kubectl, helm: Path) -> None:
        self.kubectl = kubectl
        self.installed: set[ReleaseName] = set()
        self._helm = helm

    def helm(self, verb: str, release: ReleaseName, *args: str | Path) -> str:
        where = (f"--namespace={release.namespace}", f"--kubeconfig={self.kubectl.kubeconfig}")
        # What it renders is validated elsewhere, and that costs a second of CPU each time.
        flags = {
            "install": ("--create-namespace", "--disable-openapi-validation"),
            "upgrade": ("--disable-openapi-validation",),
            "uninstall": ("--no-hooks",),  # which wait for a pod, and here nothing runs one
        }
        said = run_helm(self._helm, verb, release.name, *args, *where, *flags.get(verb, ()))
        change = {"install": self.installed.add, "uninstall": self.installed.discard}.get(verb)
        if change:
            change(release)
        return said

    def crd(self, plural: str = "frontends") -> dict[str, Any]:
        return self.kubectl.get("crd", f"{plural}.vpplb.dev")

    def owner(self) -> ReleaseName | None:
        """Return the release that the definitions say they are of."""
        said = self.crd()["metadata"].get("annotations", {})
        name = said.get("meta.helm.sh/release-name")
        return ReleaseName(said["meta.helm.sh/release-namespace"], name) if name else None

    def fields(self) -> set[str]:
        """Return the fields of a Frontend's spec that the API server knows."""
        (version,) = self.crd()["spec"]["versions"]
        return set(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])

    def frontend_uid(self) -> str:
        return self.kubectl.field("frontends", "web", ".metadata.uid")


@pytest.fixture(scope="module")
def server(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    del control_plane  # it made sure of the programs
    programs = ensure(("etcd", "kube-apiserver", "kubectl", "helm"), print)
    with api_server(tmp_path_factory.mktemp("server"), programs) as (kubeconfig, _, _):
        yield Cluster(Kubectl(programs["kubectl"], kubeconfig), programs["helm"])


@pytest.fixture
def cluster(server: Cluster) -> Iterator[Cluster]:
    """Give the API server as it was: no release, no definition."""
    yield server
    for release in list(server.installed):
        server.helm("uninstall", release)
    server.kubectl("delete", "crd", "--all", "--wait=false")
    wait_for(partial(_are_definitions_gone, server.kubectl), "no definition is left", every=1.0)


def _are_definitions_gone(kubectl: Kubectl) -> bool:
    """Return whether they are; change each that is not, so that the API server tries again.

    Where it finds the storage of one not ready it tries again after a minute or more, or at the
    next change of it.
    """
    left = kubectl("get", "crd", "-o", "name").split()
    with suppress(KubectlError):  # of one that has gone meanwhile
        for crd in left:
            kubectl("annotate", "--overwrite", crd, f"looked={time.monotonic()}")
    return not left


@pytest.fixture(scope="module")
def old_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the chart as it was when helm only made its definitions, and they lacked a field."""
    chart = make_old_chart(tmp_path_factory.mktemp("old"))
    _drop_field(chart / "crds" / "frontends.yaml", "description")
    return chart


@pytest.fixture(scope="module")
def new_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a chart of the next version, whose Frontends have one more field."""
    chart = copy_chart(tmp_path_factory.mktemp("new"), version="9.9.9")
    file = chart / "files" / "crds" / "frontends.yaml"
    crd = yaml.safe_load(file.read_text())
    _spec_fields(crd)["colour"] = {"type": "string"}
    file.write_text(yaml.safe_dump(crd, sort_keys=False))
    return chart


def _spec_fields(crd: Any) -> Any:
    (version,) = crd["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


def _drop_field(file: Path, name: str) -> None:
    crd = yaml.safe_load(file.read_text())
    del _spec_fields(crd)[name]
    file.write_text(yaml.safe_dump(crd, sort_keys=False))


def test_an_old_releases_definitions_are_adopted_upgraded_and_survive_the_way_back(
    cluster: Cluster, old_chart: Path
) -> None:
    cluster.helm("install", MAIN, old_chart)
    assert cluster.owner() is None
    assert "description" not in cluster.fields()
    cluster.kubectl.apply([backend(), frontend()])
    uid = cluster.frontend_uid()

    with pytest.raises(HelmError, match="invalid ownership metadata"):
        cluster.helm("upgrade", MAIN, CHART)
    assert "description" not in cluster.fields()

    cluster.helm("upgrade", MAIN, CHART, TAKE)
    assert cluster.owner() == MAIN
    assert "description" in cluster.fields()

    cluster.helm("rollback", MAIN, "1")
    assert cluster.frontend_uid() == uid
    cluster.helm("upgrade", MAIN, CHART)
    assert cluster.frontend_uid() == uid


def test_definitions_go_up_and_down_with_the_release_whatever_others_did_to_them(
    cluster: Cluster, old_chart: Path, new_chart: Path
) -> None:
    cluster.helm("install", MAIN, CHART)
    before = cluster.fields()
    cluster.helm("upgrade", MAIN, new_chart)
    assert cluster.fields() == before | {"colour"}
    cluster.helm("rollback", MAIN)
    assert cluster.fields() == before

    older = old_chart / "crds" / "frontends.yaml"
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", older)
    assert cluster.fields() == before - {"description"}
    cluster.helm("upgrade", MAIN, CHART)
    assert cluster.fields() == before

    cluster.helm("upgrade", MAIN, CHART, "--set=crds.enabled=false")
    with pytest.raises(HelmError, match="cannot patch"):
        cluster.helm("rollback", MAIN, "1")
    cluster.helm("upgrade", MAIN, CHART, "--set=crds.enabled=true")
    assert cluster.owner() == MAIN


def test_a_release_that_goes_leaves_definitions_and_objects_and_one_that_comes_has_them(
    cluster: Cluster,
) -> None:
    told = cluster.helm("install", MAIN, CHART)
    cluster.kubectl.apply([backend(), frontend()])
    uid = cluster.frontend_uid()
    for workload in re.findall(r"rollout status (\S+)", told):
        cluster.kubectl.within(MAIN.namespace).get(*workload.split("/"))
    for line in ("helm -n lb test main", "kubectl get dataplanes", "kubectl delete crd frontends"):
        assert f"\n  {line}" in told
    cluster.helm("uninstall", MAIN)
    cluster.helm("install", MAIN, CHART)
    cluster.helm("uninstall", MAIN)

    with pytest.raises(HelmError, match="invalid ownership metadata"):
        cluster.helm("install", EDGE, CHART)
    cluster.helm("install", EDGE, CHART, TAKE)
    assert cluster.owner() == EDGE
    assert cluster.frontend_uid() == uid


def test_another_release_cannot_take_the_definitions_from_one_that_is_installed(
    cluster: Cluster,
) -> None:
    cluster.helm("install", MAIN, CHART)
    for how in ((), (TAKE,)):
        with pytest.raises(HelmError) as refused:
            cluster.helm("install", EDGE, CHART, *how)
        assert "those of the release main in lb, which is installed" in str(refused.value)
        assert "crds.enabled=false" in str(refused.value)
    cluster.helm("install", EDGE, CHART, "--set=crds.enabled=false")
    cluster.helm("uninstall", EDGE)
    assert cluster.owner() == MAIN


def test_definitions_that_are_not_to_be_kept_go_with_the_release(cluster: Cluster) -> None:
    told = cluster.helm("install", MAIN, CHART, "--set=crds.keep=false")
    assert "BEWARE: crds.keep is false" in told
    cluster.helm("uninstall", MAIN)
    cluster.kubectl("wait", "--for=delete", "crd", "--all", "--timeout=60s")
    with pytest.raises(KubectlError, match="not found"):
        cluster.crd()


def test_definitions_that_others_look_after_are_left_alone(
    cluster: Cluster, old_chart: Path
) -> None:
    cluster.kubectl("apply", "--server-side", "-f", old_chart / "crds")
    cluster.helm("install", MAIN, CHART, "--set=crds.enabled=false")
    cluster.helm("uninstall", MAIN)
    assert cluster.owner() is None
    assert "description" not in cluster.fields()
