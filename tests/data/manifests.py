"""Manifests for tests: builders of objects as JSON, and the cases of `tests/scenarios`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
SCENARIOS = ROOT / "tests" / "scenarios"

Raw = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedCase:
    """An object, and which field is named with which words where it is refused."""

    name: str
    object: Raw
    field: str = ""
    says: str = ""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def refused() -> list[RefusedCase]:
    """Return the objects that nobody may store."""
    return _cases("refused")


def accepted() -> list[RefusedCase]:
    """Return objects at the edge of what is allowed."""
    return _cases("accepted")


@cache
def _cases(name: str) -> list[RefusedCase]:
    text = (SCENARIOS / f"{name}.yaml").read_text()
    return [RefusedCase(**case) for case in yaml.load(text, Loader=yaml.CSafeLoader)]


def manifest(kind: str, name: str, spec: object, **metadata: object) -> Raw:
    """Build an object of ours; metadata beyond the name as keywords."""
    return {
        "apiVersion": "vpplb.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }


def health_check(name: str = "check", **spec: object) -> Raw:
    """Build a HealthCheck, of TCP port 80 where nothing else is said."""
    return manifest("HealthCheck", name, spec or {"type": "TCP", "port": 80})


def backend(name: str = "a", address: str = "192.0.2.1", **spec: object) -> Raw:
    """Build a Backend."""
    return manifest("Backend", name, {"address": address, **spec})


def frontend(name: str = "web", **spec: object) -> Raw:
    """Build a Frontend with one pool `main` of one backend `a`; None leaves a field out."""
    pools = [{"name": "main", "backends": [{"name": "a"}]}]
    defaults: Raw = {"address": "198.51.100.1", "port": 80, "pools": pools}
    return manifest("Frontend", name, _given(defaults | spec))


def web_service(vip: str, servers: Mapping[str, str]) -> list[Raw]:
    """Build a Frontend `web` with its HealthCheck, and Backends of these names and addresses."""
    http = {"path": "/healthz"}
    check = {"type": "HTTP", "port": 8080, "interval": "500ms", "timeout": "2s", "http": http}
    pools = [{"name": "main", "backends": [{"name": name} for name in servers]}]
    return [
        health_check("web", **check),
        *(backend(name, at, healthCheckRef={"name": "web"}) for name, at in servers.items()),
        frontend(address=vip, pools=pools),
    ]


def _given(fields: Mapping[str, object]) -> Raw:
    return {key: value for key, value in fields.items() if value is not None}
