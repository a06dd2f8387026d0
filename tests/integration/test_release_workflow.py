"""The workflow of a release: its steps as they are written, where they need no secret.

The step that pushes and signs the image and the chart: tests/integration/test_image.py.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import vpplb
from cluster.binaries import ensure
from lab.release_workflow import ROOT, WORKFLOW, WorkflowCheckout, list_steps, read_job

pytestmark = pytest.mark.slow
VERSIONS = "The tag, the program and the chart have one version"
IMAGE = "Image, the same bytes each time"
PACKAGES = "Wheel, sdist, chart"
DEBIAN = "Debian package, plugin"
MANIFEST = "Krew's manifest of the plugin for all platforms"
PUSH = "Push the image and the chart, sign both"
RELEASE = "Sums, signed, and the release"
INSTALLS = "Tools"
"""What only installs packages of the runner's Debian or Ubuntu; no test does that here."""


@pytest.fixture
def checkout(tmp_path: Path) -> WorkflowCheckout:
    return WorkflowCheckout(tmp_path)


def test_each_step_is_run_by_a_test_but_the_one_that_installs_packages() -> None:
    tested = {VERSIONS, IMAGE, PACKAGES, DEBIAN, MANIFEST, PUSH, RELEASE}
    assert list_steps().keys() == tested | {INSTALLS}
    lines = [line.strip() for line in list_steps()[INSTALLS].splitlines()]
    commands = [line for line in lines if not line.startswith(("build-essential", "buildah"))]
    assert all(line.removeprefix("sudo ").startswith("apt-get ") for line in commands)


def test_a_tag_of_another_version_makes_no_release(checkout: WorkflowCheckout) -> None:
    this = f"v{vpplb.__version__}"
    accepted = {("tag", this): True, ("tag", "v99.0.0"): False, ("branch", "main"): True}
    for (kind, name), expected in accepted.items():
        env = {"GITHUB_REF_TYPE": kind, "GITHUB_REF_NAME": name}
        status, said = checkout.run_step(VERSIONS, env)
        assert (status == 0) is expected, (kind, name, said)


def test_a_chart_of_another_version_makes_no_release(checkout: WorkflowCheckout) -> None:
    chart = checkout.tree / "charts" / "vpplb" / "Chart.yaml"
    chart.write_text(chart.read_text().replace(vpplb.__version__, "99.0.0"))
    checkout.commit("a chart of another version")
    env = {"GITHUB_REF_TYPE": "tag", "GITHUB_REF_NAME": f"v{vpplb.__version__}"}
    status, said = checkout.run_step(VERSIONS, env)
    assert status != 0
    assert "-version: 99.0.0" in said


def test_an_image_that_is_another_each_time_makes_no_release(checkout: WorkflowCheckout) -> None:
    """`make image` is put down: `test_image.py` makes it twice."""
    (checkout.tree / "dist").mkdir()
    checkout.put_down("sudo", 'exec "$@"')
    for second, expected in (("sha256:1", True), ("sha256:2", False)):
        checkout.put_down(
            "make",
            f"""case "$*" in
                "--silent image") echo sha256:1 ;;
                "--silent image ARGS=--no-cache") echo {second} ;;
                *) exit 9 ;;
            esac""",
        )
        status, said = checkout.run_step(IMAGE)
        assert (status == 0) is expected, said


@pytest.mark.control_plane
def test_wheel_sdist_and_chart_are_made(checkout: WorkflowCheckout) -> None:
    (checkout.tools / "helm").symlink_to(ensure(("helm",), print)["helm"])
    status, said = checkout.run_step(PACKAGES)
    assert status == 0, said
    version = vpplb.__version__
    assert {path.name for path in (checkout.tree / "dist").iterdir()} == {
        f"vpplb-{version}.tar.gz",
        f"vpplb-{version}-py3-none-any.whl",
        f"vpplb-{version}.tgz",
    }


def test_what_carries_debians_python_is_made_on_a_machine_of_each_platform(
    checkout: WorkflowCheckout,
) -> None:
    """Make tells what it would do; `test_debian_package.py` and `test_plugin_archive.py` do it."""
    checkout.put_down("make", f'exec {shutil.which("make")} --dry-run "$@"')
    status, said = checkout.run_step(DEBIAN)
    assert status == 0, said
    assert "packaging/deb/build dist" in said
    assert "packaging/plugin/build.py dist" in said

    job = read_job("make-for-debian")
    machines = {one["arch"]: one["runner"] for one in job["strategy"]["matrix"]["include"]}
    assert machines == {"amd64": "ubuntu-24.04", "arm64": "ubuntu-24.04-arm"}
    assert job["runs-on"] == "${{ matrix.runner }}"
    uploaded = [step["with"]["name"] for step in job["steps"] if "upload-artifact" in str(step)]
    assert uploaded == ["dist-debian-${{ matrix.arch }}"], "neither takes the other's place"


def test_a_release_has_krews_manifest_sums_that_are_signed_and_all_files_but_the_image(
    checkout: WorkflowCheckout, tmp_path: Path
) -> None:
    dist = checkout.tree / "dist"
    dist.mkdir()
    version = vpplb.__version__
    archives = [f"kubectl-vpplb-{version}-linux-{arch}.tar.gz" for arch in ("amd64", "arm64")]
    files = {*archives, f"vpplb_{version}_amd64.deb", f"vpplb-{version}.tgz"}
    for name in (*files, f"vpplb-{version}.oci.tar"):
        (dist / name).write_text(name)
    checkout.put_down("cosign", f'echo "$@" >>{tmp_path}/cosign; touch SHA256SUMS.sigstore.json')
    checkout.put_down("gh", f'printf "%s\\n" "$@" >>{tmp_path}/gh')
    env = {"GITHUB_REF_NAME": f"v{version}", "GITHUB_REPOSITORY": "owner/vpplb", "GH_TOKEN": "-"}
    for step in (MANIFEST, RELEASE):
        status, said = checkout.run_step(step, env)
        assert status == 0, said

    lines = (dist / "SHA256SUMS").read_text().splitlines()
    summed = {name: digest for digest, name in (line.split() for line in lines)}
    assert summed == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in dist.iterdir()
        if not path.name.startswith("SHA256SUMS")
    }
    assert summed.keys() == files | {"vpplb.yaml"}
    assert (tmp_path / "cosign").read_text().split() == [
        "sign-blob", "--yes", "--bundle", "SHA256SUMS.sigstore.json", "SHA256SUMS",
    ]  # fmt: skip
    told = (tmp_path / "gh").read_text().splitlines()
    assert told[:3] == ["release", "create", f"v{version}"]
    assert (dist / told[told.index("--notes-file") + 1]).read_text().startswith("# Changelog")
    given = {word.removeprefix("./") for word in told if word.startswith("./")}
    assert given == {path.name for path in dist.iterdir()}


def test_the_workflow_is_one() -> None:
    """Syntax, expressions, names of jobs, outputs, inputs of known actions, machines."""
    actionlint = ensure(("actionlint",), print)["actionlint"]
    subprocess.run([actionlint, "-shellcheck=", "-pyflakes=", WORKFLOW], check=True)


def test_the_workflow_has_no_known_weakness() -> None:
    """Actions that are not pinned, rights that are not needed, text that becomes commands."""
    zizmor = Path(sys.executable).with_name("zizmor")
    workflows = str(ROOT / ".github" / "workflows")
    options = ("--offline", "--persona=pedantic")
    subprocess.run([zizmor, *options, workflows], check=True, env=os.environ)
