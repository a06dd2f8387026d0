"""An object of another version is told, and hides none of the others."""

from typing import Any

import pytest

from data.cluster_objects import decided_backend, decided_frontend
from fakes.user_client import FakeUserClient
from in_memory.plugin import call
from vpplb.model.names import ObjectKind

ODD_SPECS: list[object] = [
    None,
    {},
    "text",
    [],
    {"address": None, "pools": None, "healthCheckRef": 7, "nodeSelector": []},
    {"pools": [None, 7, {}, {"name": "p", "backends": [None, {}, {"name": "a"}]}]},
]


@pytest.mark.parametrize(
    ("status", "part"),
    [({"backends": 7}, "backends"), ({"dataplane": {"prefix": "new"}}, "dataplane")],
)
def test_a_status_of_a_frontend(status: dict[str, Any], part: str) -> None:
    odd = decided_frontend(status=status)
    console = FakeUserClient(
        (ObjectKind.FRONTEND, odd), (ObjectKind.FRONTEND, decided_frontend("api"))
    )
    result = call(console, "status")
    assert result.exit_code == 0
    assert f"of another version of vpplb, it seems: {part}" in result.output
    assert "api" in result.output


def test_a_status_of_a_backend() -> None:
    odd = decided_backend("a", "10.0.0.1", status={"state": "odd"})
    result = call(FakeUserClient((ObjectKind.BACKEND, odd)), "backends")
    assert result.exit_code == 0
    assert "StatusUnreadable: of another version of vpplb, it seems: state" in result.output


@pytest.mark.parametrize("spec", ODD_SPECS)
@pytest.mark.parametrize("command", [("status",), ("status", "web"), ("backends",), ("plan",)])
def test_a_spec_that_makes_no_sense(spec: object, command: tuple[str, ...]) -> None:
    web = decided_frontend() | {"spec": spec}
    backend = decided_backend("a", "10.0.0.1") | {"spec": spec}
    console = FakeUserClient((ObjectKind.FRONTEND, web), (ObjectKind.BACKEND, backend))
    result = call(console, *command)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
