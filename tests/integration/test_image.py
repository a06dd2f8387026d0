"""The image: what is in it, that it runs, and that the same sources give the same bytes."""

import hashlib
import json
import os
import re
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import vpplb
from cluster.binaries import Missing, ensure
from cluster.certificates import write_serving_certificate
from cluster.image import ROOT, ImageArchive, build_image, buildah_environment, run_tool
from lab.release_workflow import list_steps
from lab.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.privileged]
PACKAGES = "usr/local/lib/python3.11/dist-packages"
PLATFORMS = {"amd64": 62, "arm64": 183}
"""Each architecture with its number in programs (ELF's e_machine)."""
LIMIT = 120_000_000
"""Bytes that the files of the image may take on a disk."""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> ImageArchive:
    """Make the image for every platform."""
    try:
        return build_image(tmp_path_factory.mktemp("image"))
    except Missing as missing:
        pytest.skip(f"no image: {missing}")


@pytest.fixture(scope="module")
def files(image: ImageArchive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the files of each platform into a folder of its architecture's name."""
    folder = tmp_path_factory.mktemp("files")
    for arch in PLATFORMS:
        image.unpack(arch, folder / arch)
    return folder


def components(root: Path) -> dict[str, dict[str, Any]]:
    """Return what the SBOM lists, by `deb:name` and `pypi:name`."""
    listed = json.loads((root / "usr/share/doc/vpplb/sbom.cdx.json").read_text())
    return {one["bom-ref"]: one for one in [listed["metadata"]["component"], *listed["components"]]}


def in_image(image: ImageArchive, *command: str) -> str:
    """Run a command in a container of the image, as its own user, and return what it printed."""
    environment = buildah_environment()
    container = run_tool("buildah", "from", f"oci-archive:{image.path}", env=environment)
    try:
        return run_tool(
            "buildah", "run", "--isolation=chroot", container, "--", *command, env=environment
        )
    finally:
        run_tool("buildah", "rm", container, env=environment)


def test_the_same_sources_give_the_same_digest_of_every_platform(
    image: ImageArchive, tmp_path: Path
) -> None:
    again = build_image(tmp_path, "--no-cache")
    assert again.platforms() == image.platforms()
    assert again.digest == image.digest


@pytest.mark.parametrize("arch", PLATFORMS)
def test_an_image_says_what_it_is(image: ImageArchive, arch: str) -> None:
    assert set(image.manifests()) == set(PLATFORMS)
    config = image.read(image.manifests()[arch]["config"]["digest"])
    assert config["architecture"] == arch
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Cmd"] == ["vpplb", "--help"]
    labels = config["config"]["Labels"]
    prefix = "org.opencontainers.image."
    assert labels[f"{prefix}version"] == vpplb.__version__
    assert labels[f"{prefix}licenses"] == "Apache-2.0"
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", labels[f"{prefix}revision"])
    assert "io.buildah.version" not in labels, "the builder's version is no part of what is built"


@pytest.mark.parametrize("arch", PLATFORMS)
def test_an_image_is_small(files: Path, arch: str) -> None:
    taken = sum(path.lstat().st_blocks * 512 for path in (files / arch).rglob("*"))
    assert taken < LIMIT


@pytest.mark.parametrize("arch", PLATFORMS)
def test_programs_are_of_the_platform_and_there_is_no_shell_and_no_compiler(
    files: Path, arch: str
) -> None:
    root = files / arch
    programs = [
        path
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o111
    ]
    of_debian = {path.name for path in programs if path.parent == root / "usr/bin"}
    assert of_debian == {"python3.11"}
    assert {path.name for path in (root / "usr/local/bin").iterdir()} == {"vpplb"}
    assert [path for path in programs if path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)] == []
    compiled = [
        path
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink() and _is_compiled(path)
    ]
    assert len(compiled) > 50
    machines = {int.from_bytes(path.read_bytes()[18:20], "little") for path in compiled}
    assert machines == {PLATFORMS[arch]}


def _is_compiled(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


@pytest.mark.parametrize("arch", PLATFORMS)
def test_only_the_folder_for_temporary_files_can_be_written(files: Path, arch: str) -> None:
    root = files / arch
    found = [root, *root.rglob("*")]
    mine = [path for path in found if path.lstat().st_uid or path.lstat().st_gid]
    writable = [
        path for path in found if not path.is_symlink() and path.stat().st_mode & stat.S_IWOTH
    ]
    assert mine == []
    assert writable == [root / "tmp"]


@pytest.mark.parametrize("arch", PLATFORMS)
def test_the_sbom_lists_everything_with_its_licence_whose_text_is_there(
    files: Path, arch: str
) -> None:
    root = files / arch
    listed = components(root)
    debian = {f"deb:{path.name}" for path in (root / "var/lib/dpkg/status.d").iterdir()}
    python = {
        "pypi:" + re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower()
        for path in (root / PACKAGES).glob("*.dist-info")
    }
    assert set(listed) == debian | python
    assert len(python) > 25
    for name, one in listed.items():
        assert one["licenses"], name
        assert one["purl"].startswith(f"pkg:{name.partition(':')[0]}/")
    for name in debian:
        assert (root / "usr/share/doc" / name.removeprefix("deb:") / "copyright").stat().st_size
    for path in (root / PACKAGES).glob("*.dist-info"):
        texts = [one for one in path.rglob("*") if re.match("LICEN[CS]E|COPYING", one.name, re.I)]
        assert texts, path.name


@pytest.mark.parametrize("arch", PLATFORMS)
def test_all_python_is_compiled_beforehand(files: Path, arch: str) -> None:
    """A container cannot write there, so that each start would compile it anew."""
    sources = [
        *(files / arch).rglob("usr/lib/python3.11/**/*.py"),
        *(files / arch / PACKAGES).rglob("*.py"),
    ]
    assert len(sources) > 1000
    missing = [
        path
        for path in sources
        if "pygments" not in path.parts
        and not (path.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc").exists()
    ]
    assert missing == []


EVERYTHING = """
import importlib, os, pathlib, pkgutil, sys, sysconfig, vpplb
assert os.getuid() == 65532
third = pathlib.Path(vpplb.__file__).parents[1]
built_in = pathlib.Path(sysconfig.get_path("stdlib"), "lib-dynload")
for folder in (third, built_in):
    compiled = [path.relative_to(folder) for path in folder.rglob("*.so")]
    assert len(compiled) > 10, folder
    for path in compiled:
        if not path.name.startswith("lib"):
            importlib.import_module(".".join([*path.parts[:-1], path.name.split(".")[0]]))
for module in pkgutil.walk_packages(vpplb.__path__, "vpplb."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(len(sys.modules))
"""


def test_every_module_of_the_image_finds_its_libraries(image: ImageArchive) -> None:
    assert int(in_image(image, "python3", "-c", EVERYTHING)) > 500


def test_the_main_job_runs_in_the_image(image: ImageArchive) -> None:
    assert f"version {vpplb.__version__}" in in_image(image, "vpplb", "--version")
    assert "*** that was the failover" in in_image(image, "vpplb", "demo", "--once")


TRACED = """
from vpplb.telemetry.failover_traces import open_traces
traces = open_traces("operator")
traces.close()
print(traces.place)
"""


def test_the_image_can_trace_and_loads_nothing_for_it_until_it_is_asked(
    image: ImageArchive,
) -> None:
    said = in_image(image, "python3", "-c", TRACED)
    assert said.strip() == "http://localhost:4318/v1/traces"
    loads = (
        "import sys, vpplb.controller.app, vpplb.agent.app, vpplb.standalone.app;"
        " print([one for one in sys.modules if one.startswith(('opentelemetry', 'google.proto',"
        " 'requests'))])"
    )
    assert in_image(image, "python3", "-c", loads).strip() == "[]"


@contextmanager
def registry(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Run an image registry with TLS on loopback; gives its address, and who trusts it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    write_serving_certificate(folder / "tls.crt", folder / "tls.key")
    settings = folder / "registry.yaml"
    settings.write_text(
        f"{{version: 0.1, storage: {{filesystem: {{rootdirectory: {folder}/stored}}}},"
        f" http: {{addr: '127.0.0.1:{port}',"
        f" tls: {{certificate: {folder}/tls.crt, key: {folder}/tls.key}}}}}}"
    )
    log = (folder / "registry.log").open("w")
    with log, subprocess.Popen(["docker-registry", "serve", settings], stderr=log) as process:
        try:
            wait_for(partial(_answers, port), "the registry answers")
            yield f"127.0.0.1:{port}", {"SSL_CERT_FILE": str(folder / "tls.crt")}
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.skipif(shutil.which("docker-registry") is None, reason="it takes docker-registry")
def test_a_release_pushes_what_was_made_and_signs_just_that(
    image: ImageArchive, tmp_path: Path
) -> None:
    """The step of the workflow as it is written, with a registry here and cosign put down."""
    helm = ensure(("helm",), print)["helm"]
    version, dist, tools = vpplb.__version__, tmp_path / "dist", tmp_path / "bin"
    tools.mkdir()
    (tools / "helm").symlink_to(helm)
    (tools / "cosign").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/cosign\n')
    (tools / "cosign").chmod(0o755)
    (tmp_path / "operator" / "vpplb").mkdir(parents=True)
    shutil.copy(ROOT / "operator" / "vpplb" / "__init__.py", tmp_path / "operator" / "vpplb")
    shutil.copy(ROOT / "Makefile", tmp_path)
    dist.mkdir()
    for made in image.path.parent.glob("vpplb*.*"):
        (dist / made.name.replace("vpplb", f"vpplb-{version}", 1)).symlink_to(made)
    path = f"{tools}:{os.environ['PATH']}"
    environment = {**buildah_environment(), "PATH": path, "GITHUB_REPOSITORY_OWNER": "Owner"}
    environment |= {"GITHUB_OUTPUT": str(tmp_path / "output"), "HOME": str(tmp_path)}
    environment["MAKEFLAGS"] = ""  # of the make that runs the tests
    run_tool("helm", "package", str(ROOT / "charts" / "vpplb"), "-d", str(dist), env=environment)
    with registry(tmp_path) as (address, trust):
        environment |= {"REGISTRY": address, **trust}
        commands = list_steps()["Push the image and the chart, sign both"]
        run_tool("bash", "-e", "-o", "pipefail", "-c", commands, env=environment, cwd=tmp_path)
        digests = {
            name: run_tool(
                *("skopeo", "inspect", "--raw", f"docker://{address}/owner/{name}:{version}"),
                env=environment,
            )
            for name in ("vpplb", "charts/vpplb")
        }
    of_image, of_chart = (
        "sha256:" + hashlib.sha256(text.encode()).hexdigest() for text in digests.values()
    )
    assert of_image == image.digest
    sboms = [
        f"attest --yes --type cyclonedx --predicate dist/vpplb-{version}-{arch}.cdx.json"
        f" {address}/owner/vpplb@{image.platforms()[arch]}"
        for arch in PLATFORMS
    ]
    assert (tmp_path / "cosign").read_text().splitlines() == [
        f"sign --yes --recursive {address}/owner/vpplb@{of_image}",
        *sboms,
        f"sign --yes {address}/owner/charts/vpplb@{of_chart}",
    ]
    said = (tmp_path / "output").read_text()
    assert said == f"image={address}/owner/vpplb\ndigest={of_image}\n"
