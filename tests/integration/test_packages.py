"""The sdist and the wheel: whole, and of use where nothing of the repository is."""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from venv import EnvBuilder

import pytest

import vpplb

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "vpplb"

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program and return what it printed; AssertionError with its last words if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and the wheel from it, and return their folder."""
    folder = tmp_path_factory.mktemp("packages")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment of its own, in which there is what the package needs."""
    folder = tmp_path_factory.mktemp("clean")
    EnvBuilder(with_pip=True).create(folder)
    requirements = ROOT / "requirements" / "run.txt"
    run(*_pip_install(folder), "--require-hashes", "-r", requirements, cwd=folder)
    return folder


@pytest.fixture(scope="module", params=["*.whl", "*.tar.gz"], ids=["wheel", "sdist"])
def installed(built: Path, environment: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Install one of both there, alone, and return the folder of its programs."""
    (package,) = built.glob(request.param)
    run(*_pip_install(environment), "--no-deps", package, cwd=environment)
    run(environment / "bin" / "pip", "check", cwd=environment)
    yield environment / "bin"
    run(environment / "bin" / "pip", "uninstall", "--yes", "vpplb", cwd=environment)
    assert list(environment.glob("bin/*vpplb*")) == []


def _pip_install(environment: Path) -> tuple[str | Path, ...]:
    pip = environment / "bin" / "pip"
    return (pip, "--disable-pip-version-check", "install", "--no-compile")


def of_the_package() -> set[str]:
    found = [path for path in PACKAGE.rglob("*") if "__pycache__" not in path.parts]
    return {str(path.relative_to(PACKAGE.parent)) for path in found if path.is_file()}


def test_the_wheel_has_every_file_of_the_package_and_none_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"vpplb-{vpplb.__version__}-py3-none-any.whl"
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == of_the_package()
    assert "vpplb/examples/quickstart/quickstart.yaml" in names


def test_the_sdist_has_what_the_wheel_is_made_of(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    wanted = {f"operator/{name}" for name in of_the_package()}
    assert wanted <= names
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names


def test_it_runs_from_an_environment_of_its_own(installed: Path, tmp_path: Path) -> None:
    assert vpplb.__version__ in run(installed / "vpplb", "--version", cwd=tmp_path)
    assert vpplb.__version__ in run(installed / "kubectl-vpplb", "--version", cwd=tmp_path)
    said = run(installed / "vpplb", "demo", "--once", cwd=tmp_path)
    steps = [line.split("*** ")[1] for line in said.splitlines() if "*** " in line]
    assert steps == [
        "the server of nginx0 is taken down",
        "so are the others of pool primary: nginx1",
        "pool standby serves web",
        "back again: nginx0, nginx1",
        "that was the failover",
    ]
