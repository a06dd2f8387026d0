"""`vpplb retire`, against an API server in memory."""

import pytest
from click.testing import CliRunner, Result

from fakes.api_server import FakeApiServer
from vpplb.cli.retire import retire_command
from vpplb.kube.api_types import api_error
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey, ObjectKind

BACKEND = ObjectKey("shop", "nginx0")
LEASE = ObjectKey("vpplb", "vpplb-operator")
EVERYTHING = ObjectKey("", "")
"""What a list of all namespaces is asked for as."""


def retire(monkeypatch: pytest.MonkeyPatch, server: FakeApiServer) -> Result:
    async def from_config(_: object = None) -> KubeClient:
        return server

    monkeypatch.setattr(KubeClient, "from_config", from_config)
    return CliRunner().invoke(retire_command, ["--timeout", "1ms", "--election-namespace", "vpplb"])


def test_where_nobody_serves_what_somebody_served_is_marked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = FakeApiServer()
    condition = {
        "type": "Healthy", "status": "True", "reason": "Up", "message": "",
        "lastTransitionTime": "2026-11-29T12:00:00.000000Z",
    }  # fmt: skip
    lease = server.add(ObjectKind.LEASE, LEASE, {})
    lease["spec"] = {"holderIdentity": "", "renewTime": "2026-11-29T12:00:00.000000Z"}
    server.add(ObjectKind.BACKEND, BACKEND, {"state": "up", "conditions": [condition]})
    done = retire(monkeypatch, server)
    assert (done.exit_code, done.output) == (0, "nobody probes any more: 1 statuses say so now\n")
    assert "Stale" in str(server.status(ObjectKind.BACKEND, BACKEND))


def test_where_the_definitions_are_gone_there_is_nothing_to_mark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = api_error(404, "NotFound", "the server could not find the requested resource")
    server = FakeApiServer(refuse=lambda key: gone if key == EVERYTHING else None)
    done = retire(monkeypatch, server)
    assert done.exit_code == 0
    assert done.output.startswith("there is nothing to mark: the definitions are gone")


def test_any_other_answer_is_said_and_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = api_error(403, "Forbidden", "backends is forbidden")
    server = FakeApiServer(refuse=lambda key: refused if key == EVERYTHING else None)
    done = retire(monkeypatch, server)
    assert done.exit_code == 1
    assert "backends is forbidden" in done.output
