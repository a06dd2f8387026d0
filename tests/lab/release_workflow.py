"""The workflow of a release: its steps, and a checkout in which they run as they are written."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yaml"


def list_steps() -> dict[str, str]:
    """Return the commands of all steps that have some, by name; those of one name, joined."""
    workflow = yaml.safe_load(WORKFLOW.read_text())
    steps: dict[str, str] = {}
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            if "run" in step:
                steps[step["name"]] = steps.get(step["name"], "") + step["run"]
    return steps


def read_job(name: str) -> dict[str, Any]:
    """Return a job as it is written."""
    job: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"][name]
    return job


class WorkflowCheckout:
    """A checkout of this tree, as it is now, in a commit of its own; and programs put down.

    What is installed for this tree is installed there, too.
    """

    def __init__(self, folder: Path) -> None:
        self.tree, self.tools = folder / "checkout", folder / "tools"
        self.tools.mkdir()
        self._home = folder / "home"
        self._home.mkdir()
        listed = ("ls-files", "--cached", "--others", "--exclude-standard", "-z")
        for name in self._git(*listed, cwd=ROOT).split("\0"):
            if name and (ROOT / name).exists():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.tree / name, follow_symlinks=False)
        self._git("init", "--quiet")
        self.commit("all")
        environment = self.tree / ".venv"
        environment.mkdir()
        for part in Path(sys.prefix).iterdir():
            if not part.name.startswith(".installed-"):
                (environment / part.name).symlink_to(part)
        # All stamps, so that make never installs the checkout in place of this tree.
        for stamp in re.findall(r"\.installed-\w+", (ROOT / "Makefile").read_text()):
            (environment / stamp).touch()

    def commit(self, message: str) -> None:
        """Commit all that is there."""
        self._git("add", "--all")
        author = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
        self._git(*author, "commit", "--quiet", "--message", message)

    def put_down(self, name: str, script: str) -> None:
        """Have a program of this name do this instead, in bash."""
        program = self.tools / name
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)

    def run_step(self, name: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run a step's commands as the workflow does; return the exit status and what was said."""
        path = f"{self.tools}{os.pathsep}{os.environ['PATH']}"
        # MAKEFLAGS are of the make that runs the tests.
        own = {"PATH": path, "HOME": str(self._home), "MAKEFLAGS": "", **(env or {})}
        command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c"]
        done = subprocess.run(
            [*command, list_steps()[name]], cwd=self.tree, env={**os.environ, **own},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=600,
        )  # fmt: skip
        return done.returncode, done.stdout

    def _git(self, *arguments: str, cwd: Path | None = None) -> str:
        command = ["git", *arguments]
        where = cwd or self.tree
        return subprocess.run(command, cwd=where, check=True, capture_output=True, text=True).stdout
