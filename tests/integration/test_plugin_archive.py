"""The plugin's archive: it needs no Python of the laptop, and krew's manifest tells what it is."""

import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from cluster.control_plane import ControlPlane
from vpplb import __version__

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.control_plane]


class BuiltPlugin(NamedTuple):
    """The archive, krew's manifest, and a folder for the PATH as krew makes it."""

    archive: Path
    manifest: Path
    path: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltPlugin:
    folder = tmp_path_factory.mktemp("plugin")
    build = [sys.executable, str(ROOT / "packaging" / "plugin" / "build.py"), str(folder)]
    done = subprocess.run(build, capture_output=True, text=True, check=True, timeout=900)
    archive, manifest = map(Path, done.stdout.split())
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "store", filter="data")
    path = folder / "bin"
    path.mkdir()
    (path / "kubectl-vpplb").symlink_to(folder / "store" / "kubectl-vpplb" / "kubectl-vpplb")
    return BuiltPlugin(archive, manifest, path)


def test_kubectl_runs_it_where_there_is_no_python(
    built: BuiltPlugin, control_plane: ControlPlane
) -> None:
    kubectl = Path(control_plane.kubectl.binary)
    (built.path / "kubectl").symlink_to(kubectl)
    environment = {"PATH": str(built.path), "KUBECONFIG": str(control_plane.kubeconfig)}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [built.path / "kubectl", "vpplb", *arguments],
            env=environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    assert run("--version").stdout == f"kubectl vpplb, version {__version__}\n"
    namespace = ("-n", "nobody-is-here")
    empty = run("status", *namespace, "-o", "json")
    assert (empty.returncode, empty.stdout) == (0, "[]\n"), empty.stderr
    manifest = str(ROOT / "examples" / "http-failover.yaml")
    plan = run("plan", "-f", manifest, *namespace)
    assert plan.returncode == 1, plan.stderr
    assert "calls, in order" in plan.stdout
    assert "pause\tGive backends no new flows" in run("__complete", "pa").stdout


def test_krews_manifest_names_the_archive_and_what_is_in_it(built: BuiltPlugin) -> None:
    spec = yaml.safe_load(built.manifest.read_text())["spec"]
    (platform,) = spec["platforms"]
    digest = hashlib.sha256(built.archive.read_bytes()).hexdigest()
    assert platform["sha256"] == digest
    assert Path(f"{built.archive}.sha256").read_text().split() == [digest, built.archive.name]
    assert platform["uri"].endswith(f"/v{__version__}/{built.archive.name}")
    with tarfile.open(built.archive) as tar:
        names = tar.getnames()
    assert {f"kubectl-vpplb/{name}" for name in ("LICENSE", "kubectl_complete-vpplb")} < set(names)
    assert f"kubectl-vpplb/{platform['bin']}" in names
