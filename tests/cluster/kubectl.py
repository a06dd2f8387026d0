"""kubectl, as users use it: every step of the end-to-end tests goes through it."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from lab.waiting import PATIENCE

Manifest = str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""Text of YAML documents, a file or folder, an object, or several."""


class KubectlError(Exception):
    """kubectl ended with an error; the text is what it said."""


class Kubectl:
    """kubectl with one kubeconfig and one namespace."""

    def __init__(self, binary: Path, kubeconfig: Path, namespace: str = "default") -> None:
        self.binary = binary
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    def within(self, namespace: str) -> Self:
        """Return the same for another namespace."""
        return type(self)(self.binary, self.kubeconfig, namespace)

    def __call__(self, *args: str | Path, stdin: str = "", timeout: float = 180.0) -> str:
        """Run `kubectl ARGS` and return what it printed; KubectlError when it complained."""
        done = subprocess.run(
            [self.binary, "--kubeconfig", self.kubeconfig, "-n", self.namespace, *args],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
        )
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(map(str, args))}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, manifest: Manifest, *args: str) -> str:
        """Apply; KubectlError when anything of it is refused."""
        if isinstance(manifest, Path):
            return self("apply", "-f", manifest, *args)
        return self("apply", "-f", "-", *args, stdin=_yaml(manifest))

    def refusal(self, manifest: Manifest) -> str:
        """Apply what must be refused, and return what the API server said."""
        try:
            answer = self.apply(manifest)
        except KubectlError as error:
            return str(error)
        raise AssertionError(f"accepted: {answer}")

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Read one object."""
        found = json.loads(self("get", kind, name, "-o", "json"))
        assert isinstance(found, dict)
        return found

    def list(self, kind: str, *args: str) -> list[dict[str, Any]]:
        """Read all objects of a kind."""
        found = json.loads(self("get", kind, "-o", "json", *args))["items"]
        assert isinstance(found, list)
        return found

    def field(self, kind: str, name: str, path: str) -> str:
        """Read one field by JSONPath without braces (`.status.state`); empty when not there."""
        return self("get", kind, name, "-o", f"jsonpath={{{path}}}")

    def patch(self, kind: str, name: str, change: Mapping[str, Any] | Sequence[Any]) -> None:
        """Patch: a mapping as JSON merge patch, a sequence as JSON patch."""
        type_ = "merge" if isinstance(change, Mapping) else "json"
        self("patch", kind, name, "--type", type_, "-p", json.dumps(change))

    def delete(self, kind: str, *names: str) -> None:
        """Delete, and return when it is gone."""
        self("delete", kind, *names)

    def wait(self, target: str, condition: str, *, timeout: float = PATIENCE) -> None:
        """Wait by `kubectl wait --for=CONDITION`; AssertionError when it does not come."""
        limit = f"--timeout={timeout:.0f}s"
        try:
            self("wait", target, f"--for={condition}", limit, timeout=timeout + 30)
        except KubectlError as error:
            raise AssertionError(str(error)) from error


def _yaml(manifest: str | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    match manifest:
        case str():
            return manifest
        case Mapping():
            return yaml.safe_dump(dict(manifest))
        case _:
            return yaml.safe_dump_all([dict(document) for document in manifest])
