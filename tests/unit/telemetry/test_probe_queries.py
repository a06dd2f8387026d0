from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import pytest

from data.objects import NOON, key
from lab.dashboard_server import ShownObjects, shown_backend, shown_frontend
from vpplb.model.health import ProbeCode
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.reconcile.ports import ProbeHistory, ProbeRecord
from vpplb.telemetry.http import HttpServer
from vpplb.telemetry.object_queries import UnknownQuery
from vpplb.telemetry.probe_queries import ProbeQuery, find_newest, show_histories

A, B = key("a"), key("b")
PASSED = ProbeRecord(A, NOON.timestamp() + 0.5, 0.0012345678, ProbeCode.L7OK, "200 OK")
FAILED = ProbeRecord(A, NOON.timestamp() + 1.5, 2.0, ProbeCode.L7TOUT, "no answer")
HISTORIES: Mapping[ObjectKey, ProbeHistory] = {
    A: ProbeHistory(True, NOON, [(3, PASSED), (7, FAILED)]),
    B: ProbeHistory(False, None, ()),
}


def test_the_probes_of_a_frontend_or_of_one_of_its_backends_are_asked_for() -> None:
    web = ProbeQuery.parse({"frontend": "shop/web"})
    assert web == ProbeQuery(frontend=ObjectKey("shop", "web"))
    assert web.select_members([A, B]) == [A, B]
    one = ProbeQuery.parse({"frontend": "shop/web", "backend": str(B), "after": "7"})
    assert (one.backend, one.after) == (B, 7)
    assert one.select_members([A, B]) == [B]
    assert one.select_members([A]) == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "no frontend is asked for"),
        ({"backend": "a/b"}, "no frontend is asked for"),
        ({"frontend": "web"}, "frontend is not namespace/name: web"),
        ({"frontend": "a/b", "backend": "a/b/c"}, "backend is not namespace/name"),
        ({"frontend": "a/b", "after": "-1"}, "after is not a number: -1"),
        ({"frontend": "a/b", "after": "٣"}, "after is not a number"),
        ({"frontend": "a/b", "after": "9" * 16}, "after is not a number"),
        ({"frontend": "a/b", "limit": "1"}, "there is no parameter limit"),
    ],
)
def test_what_is_not_understood_is_refused_in_words(asked: Mapping[str, str], said: str) -> None:
    with pytest.raises(UnknownQuery, match=said):
        ProbeQuery.parse(asked)


def test_probes_are_shown_oldest_first_with_when_how_long_and_what() -> None:
    a, b = show_histories(HISTORIES, 0)
    assert a == {
        "backend": str(A),
        "probed": True,
        "since": "2026-01-01T12:00:00+00:00",
        "probes": [
            {
                "at": "2026-01-01T12:00:00.500+00:00",
                "tookSeconds": 0.001235,
                "code": "L7OK",
                "detail": "200 OK",
            },
            {
                "at": "2026-01-01T12:00:01.500+00:00",
                "tookSeconds": 2.0,
                "code": "L7TOUT",
                "detail": "no answer",
            },
        ],
    }
    assert b == {"backend": str(B), "probed": False, "probes": []}


@pytest.mark.parametrize(("after", "count"), [(0, 2), (3, 1), (6, 1), (7, 0), (8, 2)])
def test_after_a_number_come_those_behind_it_and_after_one_of_another_run_all(
    after: int, count: int
) -> None:
    first, _ = show_histories(HISTORIES, after)
    assert len(first["probes"]) == count


def test_the_newest_is_that_of_all() -> None:
    assert find_newest(HISTORIES) == 7
    assert find_newest({}) == 0


async def test_they_are_served_of_what_is_there() -> None:
    objects, asked = ShownObjects(), list[Sequence[ObjectKey]]()
    objects.put(ObjectKind.FRONTEND, shown_frontend("web", {"b": "up", "a": "down"}))
    objects.put(ObjectKind.BACKEND, shown_backend("a"))

    def read(backends: Sequence[ObjectKey]) -> Mapping[ObjectKey, ProbeHistory]:
        asked.append(backends)
        return HISTORIES

    server = HttpServer(
        address="127.0.0.1:0", metrics=list[bytes], view=objects, histories=read, dashboard=False
    )
    async with server, aiohttp.ClientSession(f"http://{server.listen_address}") as session:

        async def fetch(query: str) -> tuple[int, Mapping[str, Any]]:
            async with session.get(f"/api/v1/probes?{query}") as answer:
                return answer.status, await answer.json()

        status, answer = await fetch("frontend=shop/web&after=3")
        assert (status, answer["last"]) == (200, 7)
        assert answer["items"] == list(show_histories(HISTORIES, 3))
        assert (await fetch("frontend=shop/web&backend=shop/a"))[0] == 200
        assert asked == [[("shop", "a"), ("shop", "b")], [("shop", "a")]]
        absent = await fetch("frontend=shop/absent")
        assert absent == (404, {"error": "no such object: shop/absent"})
        for wrong in ("", "frontend=web", "frontend=a/b&frontend=a/b", "backend=shop/a"):
            assert (await fetch(wrong))[0] == 400
