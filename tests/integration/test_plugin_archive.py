"""The plugin's archive: it needs no Python of the laptop, and krew's manifest tells what it is."""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from cluster.control_plane import ControlPlane
from cluster.kubectl import Kubectl
from lab.cpu_time import takes_less
from vpplb import __version__

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.control_plane]


class BuiltPlugin(NamedTuple):
    """The archive, and a folder for the PATH as krew makes it."""

    archive: Path
    path: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltPlugin:
    folder = tmp_path_factory.mktemp("plugin")
    build = [sys.executable, str(ROOT / "packaging" / "plugin" / "build.py"), str(folder)]
    done = subprocess.run(build, capture_output=True, text=True, check=True, timeout=900)
    archive = Path(done.stdout.strip())
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "store", filter="data")
    path = folder / "bin"
    path.mkdir()
    (path / "kubectl-vpplb").symlink_to(folder / "store" / "kubectl-vpplb" / "kubectl-vpplb")
    return BuiltPlugin(archive, path)


def test_kubectl_runs_it_where_there_is_no_python(
    built: BuiltPlugin, control_plane: ControlPlane, namespace: Kubectl
) -> None:
    (built.path / "kubectl").symlink_to(Path(control_plane.kubectl.binary))
    environment = {"PATH": str(built.path), "KUBECONFIG": str(control_plane.kubeconfig)}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [built.path / "kubectl", "vpplb", *arguments],
            env=environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    assert run("--version").stdout == f"kubectl vpplb, version {__version__}\n"
    assert "pause\tGive backends no new flows" in run("__complete", "pa").stdout
    here = ("-n", namespace.namespace)
    empty = run("status", *here, "-o", "json")
    assert (empty.returncode, empty.stdout) == (0, "[]\n"), empty.stderr
    manifest = ROOT / "examples" / "http-failover.yaml"

    def plan() -> None:
        planned = run("plan", "-f", str(manifest), *here)
        assert planned.returncode == 1, planned.stderr
        assert "calls, in order" in planned.stdout

    takes_less(plan, 0.3, "kubectl vpplb plan, with a Python of its own")
    namespace.apply(manifest.read_text())
    takes_less(lambda: run("status", *here), 0.3, "kubectl vpplb status, with a Python too")
    for verb in ("status www", "backends", "dataplane", "pause www1"):
        shown = run(*verb.split(), *here)
        assert (shown.returncode, shown.stderr) == (0, ""), verb
    watched = run("monitor", "www", *here, "--for", "300ms", "-o", "json")
    assert (watched.returncode, watched.stderr) == (0, "")
    assert json.loads(watched.stdout.splitlines()[-1])["probes"] > 0


_IMPORT_WITHOUT = """
import sys
from importlib import import_module
left_out, wanted = (names.split(",") for names in sys.argv[1:])
sys.modules |= dict.fromkeys(left_out)
for name in wanted:
    import_module(name)
"""


def test_no_verb_needs_what_is_left_out() -> None:
    """Neither at its start nor later: a verb imports what is slow where it needs that."""
    (left_out,) = (
        ast.literal_eval(one.value)
        for one in ast.parse((ROOT / "packaging" / "plugin" / "build.py").read_text()).body
        if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "EXCLUDED"
    )
    cli = ROOT / "operator" / "vpplb" / "cli"
    verbs = [*cli.glob("verbs/*.py"), *cli.glob("kubectl/*.py"), *cli.glob("monitor_*.py")]
    wanted = {
        one.module
        for verb in verbs
        for one in ast.walk(ast.parse(verb.read_text()))
        if isinstance(one, ast.ImportFrom) and one.module and one.module.startswith("vpplb")
    }
    assert {"vpplb.cli.monitor_session", "vpplb.cli.verbs.manifest_edit"} <= wanted
    command = [sys.executable, "-c", _IMPORT_WITHOUT, ",".join(left_out), ",".join(sorted(wanted))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_krews_manifest_names_each_platforms_archive_and_what_is_in_it(
    built: BuiltPlugin, tmp_path: Path
) -> None:
    this = built.archive.name.removesuffix(".tar.gz").split("-")[-1]
    dist, other = tmp_path / "dist", {"amd64": "arm64", "arm64": "amd64"}[this]
    dist.mkdir()
    shutil.copy(built.archive, dist)
    (dist / built.archive.name.replace(this, other)).write_bytes(b"made on another machine")
    make = ["make", "--silent", "-f", str(ROOT / "Makefile"), "krew-manifest"]
    (tmp_path / "packaging").symlink_to(ROOT / "packaging")
    subprocess.run(make, cwd=tmp_path, env={**os.environ, "MAKEFLAGS": ""}, check=True)

    spec = yaml.safe_load((dist / "vpplb.yaml").read_text())["spec"]
    assert spec["version"] == f"v{__version__}"
    platforms = {one["selector"]["matchLabels"]["arch"]: one for one in spec["platforms"]}
    assert {one["selector"]["matchLabels"]["os"] for one in spec["platforms"]} == {"linux"}
    assert platforms.keys() == {"amd64", "arm64"}
    for arch, platform in platforms.items():
        archive = dist / built.archive.name.replace(this, arch)
        assert platform["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
        assert platform["uri"].endswith(f"/v{__version__}/{archive.name}")
    digest = platforms[this]["sha256"]
    assert Path(f"{built.archive}.sha256").read_text().split() == [digest, built.archive.name]
    with tarfile.open(built.archive) as tar:
        names = tar.getnames()
    assert {f"kubectl-vpplb/{name}" for name in ("LICENSE", "kubectl_complete-vpplb")} < set(names)
    assert f"kubectl-vpplb/{platforms[this]['bin']}" in names


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([], "has none"),
        (["0.1.0-linux-amd64", "0.2.0-linux-arm64"], "has ['0.1.0', '0.2.0']"),
        (["0.1.0"], "is no archive of the plugin"),
    ],
)
def test_krews_manifest_is_of_one_versions_archives(
    names: list[str], says: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / f"kubectl-vpplb-{name}.tar.gz").touch()
    script = ROOT / "packaging" / "plugin" / "write_manifest.py"
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, check=False)
    assert done.returncode == 1
    assert says in done.stderr.decode()
    assert not (tmp_path / "vpplb.yaml").exists()
