"""What is missing until a change of a spec is in force on all nodes."""

from typing import Any

import pytest

from data.cluster_objects import TWO, condition, decided_backend, decided_frontend
from fakes.user_client import FakeUserClient
from vpplb.cli.verbs.rollout_wait import find_backend_lack, find_frontend_lack
from vpplb.cli.verbs.session import VerbSession
from vpplb.kube.api_types import JsonObject
from vpplb.model.names import ObjectKind

PENDING = condition("Programmed", "False", "Pending", "0 of 1 nodes have the newest state")
NO_NODES = condition("Programmed", "False", "NoNodes", "no node")
REFUSED = condition("Accepted", "False", "Conflict", "taken")


async def lacks(backend: JsonObject, *frontends: JsonObject) -> str:
    console = FakeUserClient(
        (ObjectKind.BACKEND, backend), *((ObjectKind.FRONTEND, one) for one in frontends)
    )
    return await find_backend_lack(VerbSession(client=console, namespace="default"), "a", 1)


@pytest.mark.parametrize(
    ("spec", "state", "done"),
    [
        ({}, "up", True),
        ({}, "down", True),
        ({}, "unknown", False),
        ({}, "paused", False),
        ({"paused": True}, "paused", True),
        ({"paused": True}, "up", False),
        ({"enabled": False, "paused": True}, "disabled", True),
        ({"enabled": False}, "up", False),
    ],
)
async def test_the_state_has_to_be_one_in_which_such_a_spec_ends(
    spec: dict[str, Any], state: str, done: bool
) -> None:
    members = [TWO[0]._replace(state=state), TWO[1]]
    said = await lacks(
        decided_backend("a", "10.0.0.1", state, **spec), decided_frontend(members=members)
    )
    assert said == ("" if done else f"backend a is {state}")


async def test_a_backend_that_nobody_uses_has_no_state_to_wait_for() -> None:
    assert await lacks(decided_backend("a", "10.0.0.1", "unknown")) == ""


async def test_a_status_of_an_older_spec_does_not_count() -> None:
    old = decided_backend("a", "10.0.0.1", status={"observedGeneration": 0})
    assert "has not seen backend a at generation 1" in await lacks(old, decided_frontend())


async def test_each_frontend_has_to_have_decided_with_that_state() -> None:
    late = decided_frontend(members=[TWO[0]._replace(state="down"), TWO[1]])
    said = await lacks(decided_backend("a", "10.0.0.1"), late)
    assert said == "frontend web has not decided on a up yet"


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ([PENDING], "frontend web: 0 of 1 nodes have the newest state"),
        ([PENDING, REFUSED], "frontend web is not accepted: taken"),
        ([NO_NODES], ""),
    ],
)
async def test_each_frontend_has_to_be_programmed_where_there_are_nodes(
    conditions: list[JsonObject], said: str
) -> None:
    frontend = decided_frontend(conditions=conditions)
    assert await lacks(decided_backend("a", "10.0.0.1"), frontend) == said


async def test_a_frontend_has_to_have_been_seen_at_its_newest() -> None:
    console = FakeUserClient((ObjectKind.FRONTEND, decided_frontend()))
    session = VerbSession(client=console, namespace="default")
    assert await find_frontend_lack(session, "web", 1) == ""
    assert "at generation 2" in await find_frontend_lack(session, "web", 2)
    console.of(ObjectKind.FRONTEND, "web")["status"] = {"observedGeneration": 2}
    assert await find_frontend_lack(session, "web", 2) == "frontend web has no status yet"
