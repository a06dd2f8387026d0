"""The Debian package of this checkout: built once for each content, kept in the user's cache."""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cluster.binaries import cache

ROOT = Path(__file__).parents[2]
_INPUTS = ("operator", "packaging/deb", "requirements/traces.txt", "pyproject.toml", "README.md")


def built_package() -> Path:
    """Return the package, building it first where this content was not built before."""
    folder = cache() / "deb"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{_digest()}.deb"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            _build(kept)
    return kept


def _build(kept: Path) -> None:
    for older in kept.parent.glob("*.deb"):
        older.unlink()
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([ROOT / "packaging/deb/build", out], check=True, stdout=subprocess.DEVNULL)
        (package,) = Path(out).glob("*.deb")
        shutil.move(package, kept)


def newer_package(package: Path, folder: Path) -> Path:
    """Make a package of the next version, with the same content."""
    tree, newer = folder / "newer", folder / "newer.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    lines = control.read_text().splitlines()
    control.write_text(
        "".join(f"{line}{'+next' * line.startswith('Version: ')}\n" for line in lines)
    )
    build = ["dpkg-deb", "--root-owner-group", "-Znone", "--build"]
    subprocess.run([*build, tree, newer], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return newer


def _digest() -> str:
    """Return what changes with anything that the package is made of."""
    digest = hashlib.sha256()
    for file in _list_inputs():
        digest.update(f"{file.relative_to(ROOT)}\0{file.stat().st_mode}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _list_inputs() -> Iterator[Path]:
    for name in _INPUTS:
        path = ROOT / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (one for one in files if one.is_file() and "__pycache__" not in one.parts)
