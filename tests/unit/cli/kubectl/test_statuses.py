"""A status of another version is told, with its object, not guessed at."""

from typing import Any

import pytest

from fakes.console import FakeConsole
from support.cluster_objects import decided_backend, decided_frontend
from support.plugin import call
from vpplb.kube.kinds import BACKEND, FRONTEND

SAID = "cannot be read: it is of another version of vpplb\n"


@pytest.mark.parametrize("status", [{"backends": 7}, {"dataplane": {"prefix": "new"}}])
def test_a_frontends(status: dict[str, Any]) -> None:
    console = FakeConsole((FRONTEND, decided_frontend(status=status)))
    result = call(console, "status")
    assert (result.exit_code, result.output) == (1, f"Error: the status of web {SAID}")


def test_a_backends() -> None:
    console = FakeConsole((BACKEND, decided_backend("a", "10.0.0.1", status={"state": "odd"})))
    result = call(console, "backends")
    assert (result.exit_code, result.output) == (1, f"Error: the status of a {SAID}")
