"""A real cluster of three nodes. The tests know a kubeconfig, and how to load an image.

`VPPLB_TEST_CLUSTER` names a script with the verbs `up N`, `image NAME OUT WHEEL`, `load TAR`,
`stop N`, `start N`, `sh N COMMAND` and `down`, or is `kind`, which needs Docker. By default it
is the script `../shared/cluster/cluster` beside the repository where that exists.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from platform import machine
from typing import Protocol

from cluster.binaries import Missing
from cluster.image import ARCHIVE, build_image
from vpplb import __version__

ROOT = Path(__file__).parents[2]
IMAGE = f"localhost/vpplb:{__version__}"
"""The image of this tree, where the chart looks for it by default in that repository."""
NODES = 3
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What an image calls the machines that this machine may be."""


class Cluster(Protocol):
    """A cluster with `NODES` nodes."""

    @property
    def kubeconfig(self) -> Path:
        """Return an administrator's kubeconfig."""
        ...

    @property
    def python_image(self) -> str:
        """Return an image with Python that is on every node or can be pulled."""
        ...

    def load_image(self, directory: Path) -> None:
        """Make the image `IMAGE` by this tree's Dockerfile and bring it to every node.

        One that `directory` has from a call before is taken.
        """
        ...

    def load_wheel(self, wheel: Path, image: str, directory: Path) -> None:
        """Make an image of another version's wheel and bring it to every node."""
        ...

    def run_on_node(self, number: int, *command: str) -> str:
        """Run a command on a node (from 1) and return what it printed."""
        ...

    def crash_node(self, number: int) -> None:
        """Take a node away without warning."""
        ...

    def boot_node(self, number: int) -> None:
        """Start it again."""
        ...


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Give a running cluster; Missing where there is neither its script nor Docker."""
    beside = ROOT.parent / "shared" / "cluster" / "cluster"
    chosen = os.environ.get("VPPLB_TEST_CLUSTER") or (str(beside) if beside.exists() else "kind")
    with _kind() if chosen == "kind" else _script(Path(chosen)) as running:
        yield running


class _ScriptCluster:
    """The cluster of a script: nodes are named n1, n2, … and share this machine's kernel."""

    python_image = "localhost/python:3.11"

    def __init__(self, script: Path) -> None:
        self._script = str(script)
        home = os.environ.get("R") or Path.home() / ".cache" / "vpplb" / "cluster"
        self.kubeconfig = Path(home) / "pki" / "admin.conf"

    def load_image(self, directory: Path) -> None:
        archive = directory / ARCHIVE
        if not archive.exists():
            build_image(directory, NAME=IMAGE, PLATFORMS=f"linux/{ARCHITECTURES[machine()]}")
        _run(self._script, "load", str(archive))

    def load_wheel(self, wheel: Path, image: str, directory: Path) -> None:
        archive = directory / "image.tar"
        _run(self._script, "image", image, str(archive), str(wheel))
        _run(self._script, "load", str(archive))

    def run_on_node(self, number: int, *command: str) -> str:
        return _run(self._script, "sh", str(number), *command)

    def crash_node(self, number: int) -> None:
        _run(self._script, "stop", str(number))

    def boot_node(self, number: int) -> None:
        _run(self._script, "start", str(number))


@contextmanager
def _script(script: Path) -> Iterator[Cluster]:
    if not os.access(script, os.X_OK):
        raise Missing(f"VPPLB_TEST_CLUSTER is {script}, which is no program")
    if os.geteuid() != 0:
        raise Missing(f"{script} needs root")
    _run(str(script), "build")
    _run(str(script), "up", str(NODES))
    try:
        yield _ScriptCluster(script)
    finally:
        _run(str(script), "down")


class _KindCluster:
    """The cluster of kind: nodes are containers of Docker."""

    python_image = "python:3.11-slim"

    def __init__(self, kubeconfig: Path, kind: Path, name: str) -> None:
        self.kubeconfig = kubeconfig
        self._kind = str(kind)
        self._name = name

    def load_image(self, directory: Path) -> None:
        del directory
        _run("docker", "build", "--tag", IMAGE, str(ROOT))
        _run("docker", "pull", self.python_image)
        for image in (IMAGE, self.python_image):
            self._load(image)

    def load_wheel(self, wheel: Path, image: str, directory: Path) -> None:
        shutil.copy(wheel, directory)
        steps = f"FROM {self.python_image}\nCOPY *.whl /tmp/\nRUN pip install /tmp/*.whl\n"
        (directory / "Dockerfile").write_text(f"{steps}USER 65532:65532\n")
        _run("docker", "build", "--tag", image, str(directory))
        self._load(image)

    def _load(self, image: str) -> None:
        _run(self._kind, "load", "docker-image", image, "--name", self._name)

    def run_on_node(self, number: int, *command: str) -> str:
        return _run("docker", "exec", self._container(number), *command)

    def crash_node(self, number: int) -> None:
        _run("docker", "kill", self._container(number))

    def boot_node(self, number: int) -> None:
        _run("docker", "start", self._container(number))

    def _container(self, number: int) -> str:
        suffixes = ("control-plane", "worker", "worker2")
        return f"{self._name}-{suffixes[number - 1]}"


@contextmanager
def _kind() -> Iterator[Cluster]:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        raise Missing("it takes a running Docker, or VPPLB_TEST_CLUSTER=/path/to/a/script")
    from pytest_kind import KindCluster

    kind = KindCluster("vpplb-test")
    kind.create(ROOT / "kind-config.yaml")
    try:
        yield _KindCluster(Path(kind.kubeconfig_path), Path(kind.kind_path), kind.name)
    finally:
        kind.delete()


def _run(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {said}")
    return done.stdout
