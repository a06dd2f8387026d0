"""`vpplb ctl` on standalone: what it sees, what it changes, and how long that stays."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from ipaddress import ip_address
from pathlib import Path

import pytest

from data.manifests import Raw, backend, frontend, health_check, manifest
from data.objects import key
from in_memory.router import WEB, LocalRouter
from lab.waiting import eventually
from vpplb.files.json_files import write_json
from vpplb.kube.api_types import ApiError, Gone
from vpplb.kube.user_api.user_client import UserClient, WatchEvent
from vpplb.model.names import ObjectKey, ObjectKind

pytestmark = pytest.mark.looptime

CHECKED = {"healthCheckRef": {"name": "check"}}
TWO = [{"name": "main", "backends": [{"name": "a"}, {"name": "b", "weight": 50}]}]
FILES = (
    health_check(),
    backend("a", "10.0.0.1", **CHECKED),
    backend("b", "10.0.0.2", **CHECKED),
    frontend(pools=TWO),
)


@pytest.fixture
def router(tmp_path: Path) -> LocalRouter:
    return LocalRouter(tmp_path, *FILES)


async def test_status_and_backends_are_those_of_the_plugin(router: LocalRouter) -> None:
    async with router.running("a", "b"):
        await router.weigh(100, 50)
        (line,) = await router.read("status")
        assert (line["name"], line["state"], line["ready"], line["nodes"]) == (
            "web", "up", "2/2", "1/1",
        )  # fmt: skip
        assert (line["problems"], line["deviations"]) == ([], [])
        detail = await router.read("status", "web")
        assert [(one["node"], one["state"]) for one in detail["nodes"]] == [("local", "programmed")]
        assert [one["name"] for one in await router.read("backends", "--state", "up")] == ["a", "b"]
        assert await router.say("status", "--problems") == "no problems: 1 frontend\n"


async def test_a_pause_waits_for_vpp_and_resume_takes_it_back(router: LocalRouter) -> None:
    async with router.running("a", "b"):
        await router.weigh(100, 50)
        said = await router.say("pause", "a", "--wait")
        assert said.splitlines()[0] == "backend a paused"
        assert "backend a is paused on all nodes" in said
        assert router.weights() == [0, 50]
        assert router.lb.flushes == []
        await router.say("resume", "a", "--wait")
        assert router.weights() == [100, 50]
        await router.say("disable", "b", "--wait")
        assert router.lb.flushes == [(WEB, ip_address("10.0.0.2"))]


async def test_what_is_changed_stays_over_a_restart_and_is_shown(router: LocalRouter) -> None:
    async with router.running("a", "b"):
        await router.weigh(100, 50)
        said = await router.say("weight", "web", "main", "b", "5", "--wait")
        assert said.splitlines()[0] == "frontend web, pool main: b weight 50 → 5"
        await router.say("pause", "a")
        await router.weigh(0, 5)
    router.lb.ops.clear()
    router.lb.reads = 0
    async with router.running("a", "b"):
        await eventually(lambda: router.lb.reads, "VPP is read")
        assert router.weights() == [0, 5]
        shown = await router.say("status", "web")
        assert "pools[main].backends[b].weight   5" in shown
        assert "a.paused" in shown
        assert "paused is true by hand, the files say false" in await router.say("backends")
        assert "by hand" in await router.say("status")
    assert router.lb.ops == []


async def test_a_new_word_of_the_files_counts_and_the_rest_stays(router: LocalRouter) -> None:
    async with router.running("a", "b"):
        await router.weigh(100, 50)
        await router.say("weight", "web", "main", "b", "5")
        await router.say("weight", "web", "main", "a", "7")
        await router.weigh(7, 5)
        pools = [{"name": "main", "backends": [{"name": "a"}, {"name": "b", "weight": 60}]}]
        router.write(*FILES[:3], frontend(pools=pools))
        assert await router.say("reload") == "the manifests are in force: 4 objects\n"
        await router.weigh(7, 60)
        said = await router.say("reload", "--discard-changes")
        assert said.splitlines()[0].startswith("no longer in force: Frontend default/web: pools")
        await router.weigh(100, 60)
    assert json.loads(router.changes_file.read_text()) == []


async def test_a_reload_says_what_is_wrong_and_what_runs_goes_on(router: LocalRouter) -> None:
    async with router.running("a", "b"):
        await router.weigh(100, 50)
        await router.say("pause", "a")
        router.write(*FILES[:3], frontend(pools=TWO, port="eighty"))
        result = await router.ctl("reload")
        assert result.exit_code == 2
        assert "spec.port" in result.stderr
        assert "the old ones stay in force" in result.stderr
        status = await router.ctl("status", "--problems")
        assert (status.exit_code, status.stdout) == (0, "no problems: 1 frontend in force\n")
        assert status.stderr.startswith("manifests: the newest are refused, those of ")
        assert "spec.port" in status.stderr
        assert json.loads((await router.ctl("status", "-o", "json")).stdout)[0]["name"] == "web"
        await router.weigh(0, 50)
        await router.say("resume", "a")  # changes are possible while files are refused
        await router.weigh(100, 50)


async def test_changes_are_forgotten_only_with_files_that_come_into_force(
    router: LocalRouter,
) -> None:
    async with router.running("a", "b"):
        await router.weigh(100, 50)
        await router.say("pause", "a", "--wait")
        kept = router.changes_file.read_text()
        router.write(*FILES[:3], frontend(pools=TWO, port="eighty"))
        result = await router.ctl("reload", "--discard-changes")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "the old ones stay in force, and what was changed by hand" in result.stderr
        assert router.changes_file.read_text() == kept
        assert router.weights() == [0, 50]
        router.write(*FILES)
        said = await router.say("reload", "--discard-changes")
        assert said.startswith("no longer in force: Backend default/a: paused is true")
        await router.weigh(100, 50)


async def test_a_change_made_while_all_others_are_forgotten_is_kept(
    router: LocalRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetting, going_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def write_slowly(path: Path, content: list[object], *, indent: int) -> None:
        if not content:
            loop.call_soon_threadsafe(forgetting.set)
            going_on.wait(0.5)  # the disk is slow, and a change comes meanwhile
        write_json(path, content, indent=indent)

    async with router.running("a", "b"):
        await router.weigh(100, 50)
        await router.say("pause", "a", "--wait")
        monkeypatch.setattr("vpplb.standalone.hand_changes.write_json", write_slowly)
        client = UserClient(router.socket)
        reloading = asyncio.create_task(client.reload_files(discard_changes=True))
        await forgetting.wait()
        change = {"spec": {"paused": True}}
        changing = asyncio.create_task(client.edit_object(ObjectKind.BACKEND, key("b"), change))
        await asyncio.wait([changing], timeout=0.2)  # it waits, or is made by then
        going_on.set()
        await asyncio.gather(reloading, changing)
        await router.weigh(100, 0)
    assert [one["object"] for one in json.loads(router.changes_file.read_text())] == ["default/b"]


async def test_what_belongs_to_the_files_is_refused_in_words(router: LocalRouter) -> None:
    async with router.running("a", "b"):
        client = UserClient(router.socket)
        with pytest.raises(ApiError, match=r"422.*edit the files"):
            await client.edit_object(
                ObjectKind.BACKEND, key("a"), {"spec": {"address": "10.9.9.9"}}
            )
        with pytest.raises(ApiError, match="nothing of a HealthCheck can be changed here"):
            await client.edit_object(ObjectKind.HEALTH_CHECK, key("check"), {"spec": {"rise": 1}})
        assert (await router.ctl("pause", "nobody")).stderr == (
            "Error: there is no Backend nobody; there are a, b\n"
        )


@pytest.mark.parametrize("files", [FILES, (*FILES, manifest("Dataplane", "local", {}))])
async def test_a_dataplane_is_not_changed_beside_the_files(
    tmp_path: Path, files: tuple[Raw, ...]
) -> None:
    router = LocalRouter(tmp_path, *files)
    async with router.running("a", "b"):
        client, node = UserClient(router.socket), ObjectKey("", "local")
        with pytest.raises(ApiError, match=r"422.*nothing of a Dataplane can be changed here"):
            await client.edit_object(ObjectKind.DATAPLANE, node, {"spec": {"paused": True}})


async def test_a_change_that_cannot_be_kept_is_not_made(
    router: LocalRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    async with router.running("a", "b"):
        await router.weigh(100, 50)
        monkeypatch.setattr("vpplb.standalone.hand_changes.write_json", full)
        result = await router.ctl("pause", "a")
        assert result.exit_code == 1
        assert "No space left on device" in result.stderr
        assert router.weights() == [100, 50]


async def test_a_name_is_found_in_any_namespace_unless_there_are_two(tmp_path: Path) -> None:
    router = LocalRouter(
        tmp_path,
        manifest("Backend", "a", {"address": "10.0.0.1"}, namespace="east"),
        manifest("Backend", "a", {"address": "10.0.0.2"}, namespace="west"),
        manifest("Backend", "b", {"address": "10.0.0.3"}, namespace="west"),
    )
    async with router.running():
        assert await router.say("pause", "b") == "backend b paused\n"
        assert "in each of east, west" in (await router.ctl("pause", "a")).stderr
        assert await router.say("pause", "a", "-n", "east") == "backend a paused\n"
        shown = {(one["namespace"], one["name"]) for one in await router.read("backends")}
        assert shown == {("east", "a"), ("west", "a"), ("west", "b")}
        assert (await router.say("backends")).startswith("NAMESPACE ")


async def test_a_plan_starts_from_what_is_in_force_and_keeps_what_was_changed(
    router: LocalRouter, tmp_path: Path
) -> None:
    async with router.running("a", "b"):
        await router.weigh(100, 50)
        await router.say("weight", "web", "main", "b", "5", "--wait")
        same = await router.ctl("plan", "-f", str(router.folder))
        assert (same.exit_code, "0 calls" in same.stdout) == (0, True), same.output
        down = await router.ctl("plan", "--down", "a")
        assert down.exit_code == 1
        assert "10.0.0.1 weight 0" in down.stdout


async def test_a_watch_tells_each_change_of_a_backend(router: LocalRouter) -> None:
    async with router.running("a", "b"):
        await router.weigh(100, 50)
        client = UserClient(router.socket)
        version = (await client.list_objects(ObjectKind.BACKEND)).resource_version
        first = asyncio.create_task(_first_states(client, version, 1))
        await router.say("pause", "a")
        assert await first == [("a", "paused")]
        with pytest.raises(Gone):
            await _first_states(client, "elsewhere-1", 1)


async def _first_states(client: UserClient, version: str, count: int) -> list[tuple[str, str]]:
    told: list[tuple[str, str]] = []
    changes: AsyncIterator[WatchEvent] = client.watch_objects(ObjectKind.BACKEND, "", version)
    async with asyncio.timeout(20), aclosing(changes):  # type: ignore[type-var]  # a generator
        async for one in changes:
            told.append((one.object["metadata"]["name"], one.object["status"]["state"]))
            if len(told) == count:
                break
    return told
