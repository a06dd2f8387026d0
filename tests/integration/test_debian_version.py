"""The version of the Debian package: of a release to come, it has to sort before the release."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = """\
#!/bin/sh
case "$*" in *__version__*) echo 1.0.0-rc.1 ;; esac
"""
BUILD_PACKAGE = """\
#!/bin/sh
touch "../vpplb_$(sed -n '1s/.*(\\(.*\\)).*/\\1/p' debian/changelog)_amd64.deb"
"""


def test_a_release_candidate_has_a_version_that_sorts_before_the_release(tmp_path: Path) -> None:
    """What makes the package is replaced by a program that names it after its changelog."""
    checkout, out = tmp_path / "checkout", tmp_path / "out"
    shutil.copytree(ROOT / "packaging/deb", checkout / "packaging/deb")
    for file in ("CHANGELOG.md", "requirements/traces.txt"):
        (checkout / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, checkout / file)
    programs = checkout / ".venv/bin"
    programs.mkdir(parents=True)
    for name, text in (("python", PYTHON), ("dpkg-buildpackage", BUILD_PACKAGE)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    subprocess.run(
        [checkout / "packaging/deb/build", out],
        env={"PATH": f"{programs}:/usr/bin:/bin", "SOURCE_DATE_EPOCH": "0"},
        check=True,
    )
    assert [one.name for one in out.iterdir()] == ["vpplb_1.0.0~rc.1_amd64.deb"]
