import asyncio
from collections import Counter
from collections.abc import Mapping
from functools import partial

import pytest

from data.objects import key
from fakes.api_server import FakeApiServer
from in_memory.status_writer import ToldAnswers, running, see
from vpplb.kube.api_types import (
    ApiError,
    ApiUnreachable,
    JsonObject,
    KubeError,
    NotFound,
    api_error,
)
from vpplb.kube.status_writer import NoStatusResource, WritePriority, result_of
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.stored_objects import StoredObject

pytestmark = pytest.mark.looptime

DOWN = WritePriority.FRONTEND_DOWN
FRONTEND, BACKEND, HEALTH_CHECK = ObjectKind.FRONTEND, ObjectKind.BACKEND, ObjectKind.HEALTH_CHECK

FAULTS: list[KubeError] = [
    *(api_error(status) for status in (429, 503, 500, 409)),
    api_error(422, "Invalid"),
    ApiUnreachable("connection refused"),
    ApiUnreachable("no answer in 10 s"),
]


async def test_what_is_submitted_is_on_the_server_as_often_as_it_changes() -> None:
    server = FakeApiServer()
    async with running(server) as writer:
        see(writer, server, ["b"])
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up", "code": "L7OK"})
        assert await writer.drain(5) == 0
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up", "code": "L4OK"})
        assert await writer.drain(5) == 0
    assert server.status(BACKEND, key("b")) == {"state": "up", "code": "L4OK"}
    assert [verb for verb, *_ in server.requests] == ["replace_status"] * 2


async def test_a_status_that_the_server_has_already_costs_no_request() -> None:
    server, told = FakeApiServer(), ToldAnswers()
    async with running(server, told) as writer:
        see(writer, server, ["b"])
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "unknown"})
        await writer.drain(5)
    assert server.requests == []
    assert told.results == [("Backend", "unchanged")]


async def test_an_object_of_which_nothing_is_known_is_read_first() -> None:
    server = FakeApiServer()
    for name in "ab":
        server.add(BACKEND, key(name), {"state": "up", "legacy": name == "b"})
    async with running(server) as writer:
        for name in "ab":
            writer.submit_status(BACKEND, key(name), lambda: {"state": "up", "legacy": False})
        await writer.drain(5)
    assert server.status(BACKEND, key("b")) == {"state": "up", "legacy": False}
    asked = sorted((asked.name, verb) for verb, asked, _ in server.requests)
    assert asked == [("a", "get"), ("b", "get"), ("b", "replace_status")]


async def test_what_changed_without_our_knowing_is_read_and_then_written_at_once() -> None:
    server, told = FakeApiServer(), ToldAnswers()
    async with running(server, told) as writer:
        see(writer, server, ["b"])
        await server.patch_object(BACKEND, key("b"), {"spec": {"paused": True}})
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "paused"})
        await asyncio.sleep(0.01)
        assert writer.pending == 0
    assert server.status(BACKEND, key("b")) == {"state": "paused"}
    assert told.results == [("Backend", "conflict"), ("Backend", "written")]
    assert [raw["spec"] for _, raw in told.answers] == [{"paused": True}] * 2


async def test_an_object_that_changes_all_the_time_is_tried_less_and_less_often() -> None:
    server = FakeApiServer()
    server.refuse = lambda _: None if server.requests[-1][0] == "get" else FAULTS[3]
    async with running(server) as writer:
        see(writer, server, ["b"])
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up"})
        await asyncio.sleep(60)
        assert 8 < len(server.requests) < 40
        server.refuse = lambda _: None
        assert await writer.drain(15) == 0
    assert server.status(BACKEND, key("b")) == {"state": "up"}


async def test_an_object_is_rendered_when_its_turn_comes_not_when_it_is_submitted() -> None:
    server = FakeApiServer(latency=1.0)
    state = {"state": "up"}
    async with running(server, parallel=1) as writer:
        see(writer, server, ["a", "b"])
        writer.submit_status(BACKEND, key("a"), lambda: {"state": "up"})
        writer.submit_status(BACKEND, key("b"), lambda: dict(state))
        await asyncio.sleep(0.5)
        state["state"] = "down"
        await writer.drain(5)
    assert server.requests[1][2] == {"status": {"state": "down"}}


async def test_any_number_of_submits_during_a_write_make_one_more_write_with_the_newest() -> None:
    server = FakeApiServer(latency=1.0)
    counter = iter(range(1000))
    async with running(server) as writer:
        see(writer, server, ["b"])
        for _ in range(10):
            writer.submit_status(BACKEND, key("b"), lambda: {"n": next(counter)})
            await asyncio.sleep(0.05)
        writer.submit_status(BACKEND, key("b"), lambda: {"n": "newest"})
        await writer.drain(10)
    assert len(server.requests) == 2
    assert server.status(BACKEND, key("b")) == {"n": "newest"}


async def test_two_writes_of_one_object_are_never_under_way_together() -> None:
    server = FakeApiServer(latency=0.1)
    async with running(server) as writer:
        see(writer, server, ["b"])
        for n in range(30):
            writer.submit_status(BACKEND, key("b"), lambda n=n: {"n": n})  # type: ignore[misc]  # mypy and lambda defaults
            await asyncio.sleep(0.03)
        await writer.drain(5)
    assert server.most_under_way == 1


async def test_who_becomes_more_urgent_while_being_written_is_behind_those_who_were_before() -> (
    None
):
    server = FakeApiServer(latency=1.0)
    async with running(server, parallel=1) as writer:
        see(writer, server, "abc", FRONTEND)
        writer.submit_status(FRONTEND, key("a"), lambda: {"n": 1}, WritePriority.FRONTEND)
        await asyncio.sleep(0.5)
        for name, priority in zip("cabaa", (1, 1, 0, 0, 1), strict=True):
            writer.submit_status(FRONTEND, key(name), lambda: {"n": 2}, priority)
        await writer.drain(10)
    assert "".join(asked.name for _, asked, _ in server.requests) == "abac"


async def test_a_turn_that_was_given_up_for_a_more_urgent_one_is_not_had_again() -> None:
    server = FakeApiServer(latency=1.0)
    async with running(server, parallel=1) as writer:
        see(writer, server, "abc", FRONTEND)
        writer.submit_status(FRONTEND, key("a"), lambda: {"n": 1}, WritePriority.FRONTEND)
        await asyncio.sleep(0.5)
        for name, priority in zip("abc", (1, 0, 0), strict=True):
            writer.submit_status(FRONTEND, key(name), lambda: {"n": 2}, priority)
        await asyncio.sleep(1.0)
        writer.submit_status(FRONTEND, key("a"), lambda: {"n": 3}, DOWN)
        await writer.drain(10)
    assert "".join(asked.name for _, asked, _ in server.requests) == "abca"


async def test_thousands_that_are_unchanged_let_others_have_their_turn() -> None:
    server, told = FakeApiServer(), ToldAnswers()
    async with running(server, told, parallel=1) as writer:
        names = [f"b{n}" for n in range(100)]
        see(writer, server, names)
        for name in names:
            writer.submit_status(BACKEND, key(name), lambda: {"state": "unknown"})
        seen: list[int] = []
        while writer.pending:
            await asyncio.sleep(0)
            seen.append(len(told.results))
    assert len(seen) >= len(names)
    assert server.requests == []


async def test_who_changes_while_being_written_is_before_those_that_change_later() -> None:
    server = FakeApiServer(latency=1.0)
    async with running(server, parallel=1) as writer:
        see(writer, server, ["a", "b", "c"])
        writer.submit_status(BACKEND, key("a"), lambda: {"n": 1})
        await asyncio.sleep(0.5)
        for name in "bac":
            writer.submit_status(BACKEND, key(name), lambda: {"n": 2})
        await writer.drain(10)
    assert [asked.name for _, asked, _ in server.requests] == ["a", "b", "a", "c"]


async def test_the_most_urgent_go_first_and_equals_in_the_order_they_came() -> None:
    urgent = [
        ("f-down", FRONTEND, DOWN),
        ("f-up", FRONTEND, WritePriority.FRONTEND),
    ]
    ordinary = [
        ("web", FRONTEND, WritePriority.PROGRAMMED),
        ("b-down", BACKEND, WritePriority.BACKEND_DOWN),
        ("b-up", BACKEND, WritePriority.BACKEND),
        ("check1", HEALTH_CHECK, WritePriority.OTHER),
        ("check2", HEALTH_CHECK, WritePriority.OTHER),
    ]
    for wanted in (urgent, ordinary):
        server = FakeApiServer(latency=0.1)
        async with running(server, parallel=1) as writer:
            for name, kind, _ in wanted:
                see(writer, server, [name], kind)
            for name, kind, priority in [*wanted[1::-1], *wanted[2:]]:
                writer.submit_status(kind, key(name), lambda: {"done": True}, priority)
            await writer.drain(5)
        assert [asked.name for _, asked, _ in server.requests] == [name for name, _, _ in wanted]


async def test_while_frontends_are_due_backends_are_written_one_by_one_and_seldom() -> None:
    server = FakeApiServer(latency=0.1)
    async with running(server) as writer:
        see(writer, server, map(str, range(1000)))
        for n in range(1000):
            writer.submit_status(
                BACKEND, key(str(n)), lambda: {"state": "down"}, WritePriority.BACKEND_DOWN
            )
        webs = [f"web{n}" for n in range(64)]
        see(writer, server, webs, FRONTEND)
        for web in webs:
            writer.submit_status(FRONTEND, key(web), lambda: {"state": "down"}, DOWN)
        await asyncio.sleep(0.79)
        frontends = [asked.name for _, asked, _ in server.requests if asked.name[0] == "w"]
        assert (len(frontends), len(server.requests)) == (64, 64 + 2)
        await asyncio.sleep(0.3)
        assert server.most_under_way == 9
        assert len(server.requests) > 64 + 8


async def test_a_pending_write_becomes_as_urgent_as_its_most_urgent_submit() -> None:
    server = FakeApiServer(latency=0.1)
    async with running(server, parallel=1) as writer:
        see(writer, server, "abc")
        writer.submit_status(BACKEND, key("a"), lambda: {"n": 1}, WritePriority.BACKEND)
        writer.submit_status(BACKEND, key("b"), lambda: {"n": 1}, WritePriority.BACKEND)
        writer.submit_status(BACKEND, key("b"), lambda: {"n": 2}, WritePriority.BACKEND_DOWN)
        writer.submit_status(BACKEND, key("b"), lambda: {"n": 3}, WritePriority.BACKEND)
        await writer.drain(5)
    assert [asked.name for _, asked, _ in server.requests] == ["b", "a"]
    assert server.status(BACKEND, key("b"))["n"] == 3


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_a_write_that_failed_is_made_again_with_the_newest(fault: KubeError) -> None:
    server, told = FakeApiServer(), ToldAnswers()
    server.faults.extend([fault, fault, fault])
    state = {"state": "up"}
    async with running(server, told) as writer:
        see(writer, server, ["b"])
        writer.submit_status(BACKEND, key("b"), lambda: dict(state))
        await asyncio.sleep(0.01)
        state["state"] = "down"
        assert await writer.drain(60) == 0
    assert server.status(BACKEND, key("b")) == {"state": "down"}
    assert len(told.results) == 4
    assert told.results[-1] == ("Backend", "written")


async def test_nothing_is_lost_when_half_of_all_requests_fail() -> None:
    server = FakeApiServer(latency=0.01)
    server.faults.extend(FAULTS[n % len(FAULTS)] if n % 2 else None for n in range(400))
    states: dict[str, int] = {str(n): 0 for n in range(50)}

    def newest(name: str) -> Mapping[str, object]:
        return {"n": states[name]}

    async with running(server) as writer:
        see(writer, server, states)
        for round_ in range(1, 5):
            states.update(dict.fromkeys(states, round_))
            for name in states:
                writer.submit_status(BACKEND, key(name), partial(newest, name))
            await asyncio.sleep(0.2)
        assert await writer.drain(600) == 0
    assert {server.status(BACKEND, key(name))["n"] for name in states} == {4}


async def test_the_server_is_given_the_time_that_it_asks_for() -> None:
    server = FakeApiServer()
    server.faults.append(ApiError(429, "TooManyRequests", "", retry_after=7.0))
    async with running(server) as writer:
        see(writer, server, ["b"])
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up"})
        await writer.drain(60)
    assert server.times[1] - server.times[0] == pytest.approx(7.0)


async def test_a_server_that_asks_for_an_hour_is_asked_again_soon() -> None:
    server = FakeApiServer()
    server.faults.append(ApiError(429, "TooManyRequests", "", retry_after=3600.0))
    async with running(server) as writer:
        see(writer, server, ["b"])
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up"})
        await writer.drain(60)
    assert server.times[1] - server.times[0] == pytest.approx(10.0)


@pytest.mark.parametrize("status", [500, 504, 403, 409, 422])
async def test_a_server_that_fails_for_every_object_is_asked_seldom_and_soon_after_has_all(
    status: int,
) -> None:
    server = FakeApiServer(latency=0.01)
    server.refuse = lambda _: api_error(status, "", "no")
    async with running(server) as writer:
        names = [str(n) for n in range(500)]
        see(writer, server, names)
        for name in names:
            writer.submit_status(BACKEND, key(name), lambda: {"state": "up"})
        await asyncio.sleep(600)
        assert len(server.requests) < 8 * 600 / 2.5, "eight a pause"
        assert writer.pending == 500
        server.refuse = lambda _: None
        assert await writer.drain(15) == 0
    assert {server.status(BACKEND, key(name))["state"] for name in names} == {"up"}


async def test_some_objects_that_are_refused_hold_up_no_other() -> None:
    server = FakeApiServer()
    refused = {key(f"bad{n}") for n in range(7)}
    async with running(server) as writer:
        see(writer, server, [name.name for name in refused])
        see(writer, server, ["good"])
        server.refuse = lambda asked: api_error(500, "", "") if asked in refused else None
        for name in refused:
            writer.submit_status(BACKEND, name, lambda: {"state": "up"}, DOWN)
        await asyncio.sleep(30)
        since = asyncio.get_running_loop().time()
        writer.submit_status(BACKEND, key("good"), lambda: {"state": "up"}, WritePriority.OTHER)
        await asyncio.sleep(0.05)
        assert server.status(BACKEND, key("good"))["state"] == "up"
        requests = zip(server.times, server.requests, strict=True)
        assert [at for at, (_, asked, _) in requests if asked == key("good")] == [since]


async def test_while_the_server_is_away_it_is_asked_seldom_and_urgency_is_kept() -> None:
    server = FakeApiServer()
    server.faults.extend([ApiUnreachable("refused")] * 12)
    async with running(server, parallel=2) as writer:
        names = [f"slow{n}" for n in range(20)]
        see(writer, server, [*names, "urgent"])
        for name in names:
            writer.submit_status(BACKEND, key(name), lambda: {"state": "up"}, WritePriority.BACKEND)
        await asyncio.sleep(0.01)
        writer.submit_status(
            BACKEND, key("urgent"), lambda: {"state": "down"}, WritePriority.BACKEND_DOWN
        )
        await writer.drain(120)
    outage = Counter(int(at) for at in server.times[:12])
    assert max(outage.values()) <= 10
    assert server.times[12] > 3
    assert {asked.name for _, asked, _ in server.requests[2:12]} >= {"urgent"}
    assert server.requests[12][1].name == "urgent" or server.requests[13][1].name == "urgent"


async def test_an_object_that_the_server_refuses_holds_up_no_other() -> None:
    server = FakeApiServer()
    server.faults.append(api_error(422, "Invalid", "no"))
    async with running(server, parallel=1) as writer:
        see(writer, server, "ab")
        writer.submit_status(BACKEND, key("a"), lambda: {"state": "up"}, DOWN)
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up"}, WritePriority.OTHER)
        await writer.drain(60)
    assert [asked.name for _, asked, _ in server.requests] == ["a", "b", "a"]
    assert server.times[1] == server.times[0]


async def test_a_render_that_raises_holds_up_no_other_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, told = FakeApiServer(), ToldAnswers()
    broken = [True]

    def render() -> Mapping[str, object]:
        if broken.pop():
            raise ZeroDivisionError
        return {"state": "up"}

    broken.insert(0, False)
    async with running(server, told) as writer:
        see(writer, server, "ab")
        writer.submit_status(BACKEND, key("a"), render)
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up"})
        await writer.drain(60)
    assert server.status(BACKEND, key("a")) == {"state": "up"}
    assert [result for _, result in told.results] == ["error", "written", "written"]
    assert "cannot be rendered" in caplog.text


async def test_the_write_of_a_deleted_object_is_given_up() -> None:
    server, told = FakeApiServer(), ToldAnswers()
    async with running(server, told) as writer:
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up"})
        assert await writer.drain(5) == 0
    assert told.results == [("Backend", "gone")]


async def test_an_object_made_anew_during_a_write_that_found_nothing_is_written() -> None:
    server = FakeApiServer(latency=0.1)
    server.faults.append(NotFound(404, "NotFound", ""))
    async with running(server) as writer:
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up"})
        await asyncio.sleep(0.05)
        see(writer, server, ["b"])
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up"})
        await writer.drain(5)
    assert server.status(BACKEND, key("b")) == {"state": "up"}


async def test_nothing_is_written_where_there_is_nothing_to_render() -> None:
    server, told = FakeApiServer(), ToldAnswers()
    async with running(server, told) as writer:
        see(writer, server, ["b"])
        writer.submit_status(BACKEND, key("b"), lambda: None)
        await writer.drain(5)
    assert server.requests == []
    assert told.results == [("Backend", "gone")]


async def test_a_forgotten_object_is_not_written_whether_its_write_is_due_or_waits() -> None:
    server = FakeApiServer(latency=0.1)
    server.faults.append(api_error(422, "Invalid", "no"))
    async with running(server, parallel=1) as writer:
        see(writer, server, "ab")
        writer.submit_status(BACKEND, key("a"), lambda: {"state": "up"})
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up"})
        await asyncio.sleep(0.05)
        writer.forget_object(BACKEND, key("b"))
        await asyncio.sleep(0.1)
        writer.forget_object(BACKEND, key("a"))
        assert writer.pending == 0
        await asyncio.sleep(60)
    assert len(server.requests) == 1


async def test_an_object_deleted_during_its_write_leaves_nothing_behind() -> None:
    server = FakeApiServer(latency=0.1)
    async with running(server) as writer:
        see(writer, server, ["b"])
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up"})
        await asyncio.sleep(0.05)
        writer.forget_object(BACKEND, key("b"))
        await asyncio.sleep(1)
        assert writer.pending == 0
        assert not writer._writes
        assert (writer._pruned, writer._paces) == ({}, {})


async def test_the_delay_runs_from_the_first_change_that_the_write_shows_through_all_failures() -> (
    None
):
    server, told = FakeApiServer(latency=1.0), ToldAnswers()
    server.faults.append(ApiError(429, retry_after=5.0))
    async with running(server, told) as writer:
        see(writer, server, ["b"])
        start = asyncio.get_running_loop().time()
        writer.submit_status(BACKEND, key("b"), lambda: {"n": 1}, since=start)
        await asyncio.sleep(0.5)
        writer.submit_status(BACKEND, key("b"), lambda: {"n": 1}, since=start + 0.5)
        await writer.drain(60)
    assert told.delays == [pytest.approx(7.0)]


async def test_a_write_for_no_change_tells_no_delay() -> None:
    server, told = FakeApiServer(), ToldAnswers()
    async with running(server, told) as writer:
        see(writer, server, ["b"])
        writer.submit_status(BACKEND, key("b"), lambda: {"n": 1})
        await writer.drain(5)
    assert told.delays == []


async def test_draining_gives_up_in_time_and_says_how_many_are_left() -> None:
    server = FakeApiServer(latency=100.0)
    async with running(server) as writer:
        see(writer, server, "abc")
        for name in "abc":
            writer.submit_status(BACKEND, key(name), lambda: {"state": "up"})
        started = asyncio.get_running_loop().time()
        assert await writer.drain(2.0) == 3
        assert asyncio.get_running_loop().time() - started == pytest.approx(2.0)


class Losing(FakeApiServer):
    """Stores the first status, and then nobody hears of it."""

    async def replace_status(
        self, kind: ObjectKind, key: ObjectKey, version: int, status: Mapping[str, object]
    ) -> JsonObject:
        answer = await FakeApiServer.replace_status(self, kind, key, version, status)
        if len(self.requests) == 1:
            raise ApiUnreachable("no answer in 10 s")
        return answer


async def test_a_write_that_arrived_though_its_answer_was_lost_is_not_made_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    server, told = Losing(latency=1.0), ToldAnswers()
    async with running(server, told) as writer:
        see(writer, server, ["b"])
        since = asyncio.get_running_loop().time()
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up"}, since=since)
        assert await writer.drain(60) == 0
        assert told.delays == [pytest.approx(server.times[-1] + 1.0 - since)]
    assert [verb for verb, *_ in server.requests] == ["replace_status", "replace_status", "get"]
    assert [result for _, result in told.results][1:] == ["conflict", "written"]
    assert "the API server takes status writes again" in caplog.text


async def test_an_object_that_is_refused_for_ever_after_a_conflict_is_warned_about_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = FakeApiServer()
    server.faults.append(api_error(409, "Conflict", "changed"))
    server.refuse = lambda _: FAULTS[4] if server.requests[-1][0] != "get" else None
    async with running(server) as writer:
        see(writer, server, ["b"])
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up"})
        await asyncio.sleep(60)
    warned = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert len(server.requests) > 5
    assert len(warned) == 1
    assert "status of Backend default/b: 422 Invalid" in warned[0]


async def test_draining_includes_what_is_submitted_in_the_very_tick_of_the_last_write() -> None:
    """As when the answer shows an object that was made anew: forgotten, then decided again."""
    server = FakeApiServer(latency=1.0)

    class Anew(ToldAnswers):
        def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
            if old is not None and not self.answers:
                super().on_upsert(kind, old, new)
                writer.forget_object(kind, key("b"))
                writer.submit_status(kind, key("b"), lambda: {"state": "unknown"})

    async with running(server, Anew()) as writer:
        see(writer, server, ["b"])
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up"})
        assert await writer.drain(60) == 0
    assert server.status(BACKEND, key("b")) == {"state": "unknown"}


async def test_a_status_that_cannot_be_written_is_told_once_that_has_lasted() -> None:
    server = FakeApiServer()
    server.refuse = lambda _: api_error(403, "Forbidden", "no")
    async with running(server) as writer:
        see(writer, server, ["web"], FRONTEND)
        see(writer, server, ["a"])
        writer.submit_status(FRONTEND, key("web"), lambda: {"state": "up"})
        await asyncio.sleep(2.5)
        assert writer.trouble == ""
        writer.submit_status(BACKEND, key("a"), lambda: {"state": "up"})
        await asyncio.sleep(1.5)
        assert writer.trouble == (
            "the status of Frontend default/web cannot be written for 4 s (nor 1 others):"
            " 403 Forbidden: no"
        )
        server.refuse = lambda asked: None if asked == key("web") else api_error(403, "", "no")
        writer.forget_object(FRONTEND, key("web"))
        assert writer.trouble == "", "the other has only just begun"
        server.refuse = lambda _: NotFound(404)
        await asyncio.sleep(60)
        assert writer.trouble == ""


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (ApiUnreachable("refused"), "unreachable"),
        (api_error(404), "gone"),
        (api_error(409), "conflict"),
        *((api_error(status), "throttled") for status in (429, 503)),
        *((api_error(status), "forbidden") for status in (401, 403)),
        (NoStatusResource(BACKEND), "no_status"),
        (api_error(413, "RequestEntityTooLarge", "limit is 3145728"), "too_large"),
        (api_error(500, "", "etcdserver: request is too large"), "too_large"),
        *((api_error(status), "refused") for status in (422, 500)),
    ],
    ids=str,
)
async def test_a_failed_write_is_counted_by_what_failed(error: KubeError, result: str) -> None:
    assert result_of(error) == result


async def test_a_crd_without_status_subresource_is_not_taken_for_a_deleted_object() -> None:
    server, told = FakeApiServer(has_status=False), ToldAnswers()
    async with running(server, told) as writer:
        see(writer, server, ["b"])
        writer.submit_status(BACKEND, key("b"), lambda: {"state": "up"})
        await asyncio.sleep(5)
        assert writer.pending == 1
        assert {result for _, result in told.results} == {"no_status"}
        del server.objects[BACKEND, key("b")]
        await writer.drain(20)
        assert writer.pending == 0
