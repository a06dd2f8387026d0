"""Builds the kubectl plugin with an interpreter of its own: `python build.py DIST`.

Writes an archive for the system that it runs on (`kubectl-vpplb-VERSION-OS-ARCH.tar.gz`), and its
SHA-256 beside it. PyInstaller puts in what the plugin imports, in a folder of modules of which
nothing is unpacked at a start. It runs where glibc is as new as here.
"""

import argparse
import gzip
import hashlib
import os
import platform
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import PyInstaller.__main__

from vpplb import __version__

ROOT = Path(__file__).parents[2]

NAME = "kubectl-vpplb"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
EXCLUDED = (
    "atheris",
    "cryptography",
    "distutils",
    "google",
    "hypothesis",
    "jwt",
    "kopf",
    "multiprocessing",
    "mypy",
    "opentelemetry",
    "pytest",
    "requests",
    "setuptools",
    "tkinter",
    "vpp_papi",
)
"""What no verb of the plugin needs, though something that it imports could.

A third of the archive, and a third of the time that each verb takes to start.
"""
START = """\
from vpplb.cli.kubectl.main import main

main()
"""
COMPLETION = """\
#!/bin/sh
# Called by kubectl to complete `kubectl vpplb`, where this file is on the PATH.
exec kubectl-vpplb __complete "$@"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dist", type=Path, help="where to write the archive")
    dist: Path = parser.parse_args().dist
    dist.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="plugin-") as folder:
        built = _freeze(Path(folder))
        shutil.copy(ROOT / "LICENSE", built)
        completion = built / "kubectl_complete-vpplb"
        completion.write_text(COMPLETION)
        completion.chmod(0o755)
        archive = _pack(built, dist)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive.with_name(f"{archive.name}.sha256").write_text(f"{digest}  {archive.name}\n")
    sys.stdout.write(f"{archive}\n")


def _freeze(folder: Path) -> Path:
    """Have PyInstaller gather the plugin with its interpreter, and return the folder."""
    start = folder / "start.py"
    start.write_text(START)
    # The order of sets decides about the order of modules in the archive.
    os.environ["PYTHONHASHSEED"] = "1"
    options = [
        "--noconfirm",
        "--onedir",
        "--debug=noarchive",
        "--log-level=ERROR",
        f"--name={NAME}",
    ]
    options += [f"--{part}path={folder / part}" for part in ("dist", "work")]
    options += [f"--specpath={folder}", f"--paths={ROOT / 'operator'}"]
    options += [
        "--collect-submodules=vpplb.cli.verbs",
        "--hidden-import=vpplb.cli.kubectl.completion",
    ]
    options += [f"--exclude-module={name}" for name in EXCLUDED]
    PyInstaller.__main__.run([*options, str(start)])
    return folder / "dist" / NAME


def _pack(built: Path, dist: Path) -> Path:
    """Write an archive that is the same for the same files."""
    archive = dist / f"{NAME}-{__version__}-{_system()}-{_architecture()}.tar.gz"
    with (
        archive.open("wb") as file,
        gzip.GzipFile("", "wb", 9, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for one in sorted(built.rglob("*")):
            tar.add(one, f"{NAME}/{one.relative_to(built)}", recursive=False, filter=_forget_place)
    return archive


def _forget_place(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
    return info


def _system() -> str:
    return platform.system().lower()


def _architecture() -> str:
    return ARCHITECTURES.get(platform.machine(), platform.machine())


if __name__ == "__main__":
    main()
