"""The API server by HTTP, through `kubectl proxy`: for tests that take hundreds of looks.

A call takes some milliseconds, where starting kubectl takes a tenth of a second.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

from cluster.kubectl import Kubectl
from lab.processes import Program
from lab.waiting import wait_for

_GROUP = "/apis/vpplb.dev/v1alpha1"
_KINDS = {
    "Frontend": "frontends",
    "Backend": "backends",
    "HealthCheck": "healthchecks",
    "vfe": "frontends",
    "vbe": "backends",
    "vhc": "healthchecks",
    "vdp": "dataplanes",
}

Object = dict[str, Any]


class ApiFailure(Exception):
    """The API server refused; `status` is HTTP's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Api:
    """The API server, in one namespace; kinds by their name or short name."""

    def __init__(self, port: int, namespace: str) -> None:
        self._port, self.namespace = port, namespace
        self._line = HTTPConnection("127.0.0.1", port, timeout=30)

    @contextmanager
    def within(self, namespace: str) -> Iterator[Self]:
        """Give the same for another namespace, on a connection of its own."""
        other = type(self)(self._port, namespace)
        yield other
        other.close()

    def close(self) -> None:
        """Close the connection; a later call opens another."""
        self._line.close()

    def get(self, kind: str, name: str) -> Object:
        """Read an object."""
        return self._call("GET", self._path(kind, name))

    def all(self, kind: str) -> list[Object]:
        """Read all objects of a kind in the namespace."""
        found = self._call("GET", self._path(kind))["items"]
        assert isinstance(found, list)
        return found

    def events(self) -> list[Object]:
        """Read the namespace's events, as events.k8s.io/v1 shows them, oldest first."""
        found = self._call("GET", f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
        return sorted(found["items"], key=lambda event: str(event["eventTime"]))

    def create(self, *manifests: Mapping[str, Any]) -> None:
        """Create objects."""
        for manifest in manifests:
            self._call("POST", self._path(manifest["kind"]), manifest)

    def patch(self, kind: str, name: str, change: Mapping[str, Any]) -> Object:
        """Merge into an object."""
        return self._call("PATCH", self._path(kind, name), change)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object; nothing when it is not there."""
        try:
            self._call("DELETE", self._path(kind, name))
        except ApiFailure as failure:
            if failure.status != 404:
                raise

    def clear(self) -> None:
        """Delete every object of ours in the namespace."""
        for kind in ("vfe", "vbe", "vhc"):
            self._call("DELETE", self._path(kind))

    def wait(self, kind: str, name: str, **fields: object) -> Object:
        """Return an object once its status has these fields."""

        def look() -> Object:
            found = self.get(kind, name)
            status = found.get("status", {})
            seen = {field: status.get(field) for field in fields}
            assert seen == fields, f"{kind}/{name} has {status}"
            return found

        return wait_for(look, f"{fields} in the status of {kind}/{name}", every=0.02)

    def wait_condition(self, kind: str, name: str, *said: str) -> str:
        """Return a condition's message once its type, status and reason are as `said`."""

        def look() -> str:
            found = self.condition(kind, name, said[0])
            assert found[:2] == said[1:], f"{kind}/{name}: {found}"
            return found[2] or " "

        return wait_for(look, f"{' '.join(said)} on {kind}/{name}", every=0.02).strip()

    def condition(self, kind: str, name: str, of_type: str) -> tuple[str, str, str]:
        """Return status, reason and message of a condition; three times "" when it is not there."""
        for one in self.get(kind, name).get("status", {}).get("conditions", []):
            if one["type"] == of_type:
                return one["status"], one["reason"], one["message"]
        return "", "", ""

    def _path(self, kind: str, name: str = "") -> str:
        plural = _KINDS[kind]
        scope = "" if plural == "dataplanes" else f"/namespaces/{self.namespace}"
        return f"{_GROUP}{scope}/{plural}" + (f"/{name}" if name else "")

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | Sequence[Any] | None = None
    ) -> Object:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        self._line.request(method, path, json.dumps(body) if body else None, {"Content-Type": kind})
        answer = self._line.getresponse()
        text = answer.read().decode()
        if answer.status >= 300:
            raise ApiFailure(answer.status, text)
        found = json.loads(text)
        assert isinstance(found, dict)
        return found


@contextmanager
def proxied(kubectl: Kubectl, log: Path) -> Iterator[Api]:
    """Give the API server as this kubectl's user sees it, in its namespace."""
    argv: list[str | Path] = [
        kubectl.binary,
        f"--kubeconfig={kubectl.kubeconfig}",
        "proxy",
        "--port=0",
    ]
    with Program(argv, log=log) as program:

        def port() -> int:
            assert program.alive, program.tail()
            found = re.search(r"127\.0\.0\.1:(\d+)", log.read_text())
            return int(found[1]) if found else 0

        api = Api(wait_for(port, "kubectl proxy listens"), kubectl.namespace)
        yield api
        api.close()
