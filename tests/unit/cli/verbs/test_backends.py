"""`kubectl vpplb backends`: the health of each, and why."""

import pytest

from data.cluster_objects import condition, decided_backend, decided_frontend
from fakes.user_client import FakeUserClient
from in_memory.plugin import call, parsed, told
from vpplb.model.names import ObjectKind


def cluster() -> FakeUserClient:
    return FakeUserClient(
        (ObjectKind.FRONTEND, decided_frontend()),
        (ObjectKind.FRONTEND, decided_frontend("api")),
        (ObjectKind.BACKEND, decided_backend("a", "10.0.0.1", healthCheckRef={"name": "http"})),
        (ObjectKind.BACKEND, decided_backend("b", "10.0.0.2", "down")),
        (ObjectKind.BACKEND, decided_backend("z", "10.0.0.9", "unknown", status={"frontends": 0})),
        (ObjectKind.BACKEND, decided_backend("a", "10.1.0.1", "paused", namespace="shop")),
    )


def test_each_backend_has_a_line_with_its_state_who_uses_it_and_why() -> None:
    lines = [[*line[:3], *line[4:]] for line in told(cluster(), "backends")]
    assert lines == [
        ["NAME", "ADDRESS", "STATE", "FRONTENDS", "CODE", "DETAIL"],
        ["a", "10.0.0.1", "up", "api, web", "L7OK", "200 OK"],
        ["b", "10.0.0.2", "down", "api, web", "L4CON", "connection refused"],
        ["z", "10.0.0.9", "unknown", "-", "-", "not probed: no frontend references it"],
    ]


def test_states_are_filtered() -> None:
    lines = parsed(cluster(), "backends", "-A", "--state", "down", "--state", "paused")
    assert [(line["namespace"], line["name"]) for line in lines] == [
        ("default", "b"),
        ("shop", "a"),
    ]
    assert call(cluster(), "backends", "--state", "disabled").output == (
        "there are no such backends\n"
    )
    assert call(cluster(), "backends", "--state", "sick").exit_code == 2


def test_wide_shows_the_check() -> None:
    header, first, *_ = told(cluster(), "backends", "-o", "wide")
    assert header[4] == "CHECK"
    assert first[4] == "http"


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        ({"state": "unknown", "held": True}, "serves on until its new check has a verdict"),
        ({"state": "down", "held": True, "detail": "no answer"}, "suspected: no answer"),
        ({"conditions": [condition("Accepted", "False", "HealthCheckNotFound", "no check x")]},
         "HealthCheckNotFound: no check x"),
    ],
)  # fmt: skip
def test_the_detail_says_what_explains_the_state(status: dict[str, object], detail: str) -> None:
    console = FakeUserClient((ObjectKind.BACKEND, decided_backend("a", "10.0.0.1", status=status)))
    assert detail in parsed(console, "backends")[0]["detail"]
