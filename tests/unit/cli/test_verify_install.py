"""`vpplb verify-install`, what `helm test` runs: a Frontend is made, seen, and removed."""

import asyncio
from datetime import timedelta

import pytest
from click.testing import CliRunner

from data.cluster_objects import condition
from fakes.api_server import FakeApiServer
from vpplb.cli.main import cli
from vpplb.cli.verify_install import InstallTrial, TrialFailed, try_frontend
from vpplb.kube.api_types import JsonObject, api_error
from vpplb.model.names import ObjectKey, ObjectKind

pytestmark = pytest.mark.looptime

TRIAL = InstallTrial(
    namespace="shop",
    address="203.0.113.254",
    server="203.0.113.253",
    timeout=timedelta(seconds=3),
)
KINDS = (ObjectKind.FRONTEND, ObjectKind.BACKEND)


class Operated(FakeApiServer):
    """An API server on which an operator gives each Frontend the conditions `shown` at once."""

    shown: tuple[JsonObject, ...] = ()

    async def get_object(self, kind: ObjectKind, key: ObjectKey) -> JsonObject:
        found = await super().get_object(kind, key)
        nodes = {"desired": 2, "programmed": 2, "summary": "2/2"}
        return {**found, "status": {"conditions": list(self.shown), "nodes": nodes}}


def operated(*shown: JsonObject) -> Operated:
    server = Operated()
    server.shown = shown
    return server


def made(server: FakeApiServer) -> list[tuple[str, str]]:
    """Return which requests changed something, and in which namespace."""
    return [(verb, key.namespace) for verb, key, _ in server.requests if verb != "get"]


async def test_a_frontend_that_stands_everywhere_is_told_and_removed() -> None:
    server = operated(condition("Accepted"), condition("Programmed"))
    said = await try_frontend(server, TRIAL)
    assert said == "VIP 203.0.113.254 stood in VPP on 2/2 nodes after 0.0 s"
    assert not server.objects
    assert made(server)[2:4] == [("create", "shop"), ("create", "shop")]


async def test_what_an_earlier_run_left_is_removed_first() -> None:
    server = operated(condition("Accepted"), condition("Programmed"))
    for kind in KINDS:
        server.add(kind, TRIAL.key, {})
    await try_frontend(server, TRIAL)
    assert not server.objects


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        ((), "no operator has looked at it: is one running that serves namespace shop?"),
        (
            (
                condition("Accepted"),
                condition("Programmed", "False", "NoNodes", "no node carries it"),
            ),
            "not within 3 s: NoNodes: no node carries it",
        ),
        (
            (condition("Accepted", "False", "Conflict", "web has this VIP"),),
            "not accepted (Conflict): web has this VIP",
        ),
    ],
)
async def test_one_that_does_not_come_to_stand_fails_in_words_and_leaves_nothing(
    shown: tuple[JsonObject, ...], says: str
) -> None:
    server = operated(*shown)
    with pytest.raises(TrialFailed, match=says.replace("(", r"\(").replace(")", r"\)")):
        await asyncio.wait_for(try_frontend(server, TRIAL), 5)
    assert not server.objects


async def test_one_that_may_not_be_made_leaves_nothing_either() -> None:
    server = operated()
    server.faults.extend([None, None, None, api_error(403, "Forbidden", "not your address")])
    with pytest.raises(Exception, match="not your address"):
        await try_frontend(server, TRIAL)
    assert not server.objects


@pytest.mark.looptime(False)
def test_an_address_that_is_none_is_wrong_usage() -> None:
    result = CliRunner().invoke(cli, ["verify-install", "--address", "web"])
    assert result.exit_code == 2
    assert "--address" in result.output
