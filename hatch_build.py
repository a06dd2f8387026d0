"""Compiles the modules that probe, by mypyc, for a wheel of this machine's kind.

Off unless HATCH_BUILD_HOOK_ENABLE_CUSTOM=true: the usual wheel is pure Python, and so is what is
developed and tested. What it gains and costs: docs/decisions/0028-probing-can-be-compiled.md.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What runs at each probe. Not among them: modules with enumerations or slotted dataclasses of
# their own, which mypyc compiles wrongly (2.4), and all that runs seldom.
MODULES = (
    "health/cadence",
    "probers/check_loop",
    "probers/http",
    "probers/icmp_packets",
    "probers/icmp_probe",
    "probers/icmp_socket",
    "probers/poller",
    "probers/scheduled_check",
    "probers/socket_pool",
    "probers/stats",
    "probers/stream_probe",
)
_OPTIONS = (
    "--strict",
    "--explicit-package-bases",
    "--namespace-packages",
    "--ignore-missing-imports",  # of what vpplb needs only to run
)
_SETUP = """
from mypyc.build import mypycify
from setuptools import setup
setup(name="compiled", packages=[], ext_modules=mypycify({arguments!r}))
"""


class CompiledProbers(BuildHookInterface):
    """Adds the compiled modules to the wheel, beside their sources, which tracebacks show."""

    _folder: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self._folder = Path(tempfile.mkdtemp())
        shutil.copytree(Path(self.root, "operator/vpplb"), self._folder / "vpplb")
        arguments = [*_OPTIONS, *(f"vpplb/{each}.py" for each in MODULES)]
        (self._folder / "setup.py").write_text(_SETUP.format(arguments=arguments))
        command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
        subprocess.run(command, cwd=self._folder, check=True)
        build = self._folder / "build"  # the same once more
        for each in self._folder.rglob("*.so"):
            if not each.is_relative_to(build):
                build_data["force_include"][str(each)] = str(each.relative_to(self._folder))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder)
