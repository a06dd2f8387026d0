"""The control socket, by the client that people's commands use."""

import asyncio
import os
import pwd
import socket
import stat
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, UnixConnector

from vpplb.kube.api_types import RESOURCES, ApiError, Gone, JsonObject, NotFound, api_error
from vpplb.kube.user_api import control_server
from vpplb.kube.user_api.control_server import ControlServer, ObjectChange
from vpplb.kube.user_api.user_client import UserClient, WatchEvent
from vpplb.model.names import ObjectKey, ObjectKind

pytestmark = pytest.mark.looptime

BACKEND, FRONTEND = ObjectKind.BACKEND, ObjectKind.FRONTEND
A = ObjectKey("shop", "a")


class KeptObjects:
    """Objects in memory, whose changes are put into a queue."""

    def __init__(self) -> None:
        self.objects: dict[tuple[ObjectKind, ObjectKey], JsonObject] = {}
        self.changes = asyncio.Queue[ObjectChange]()
        self.edits: list[tuple[ObjectKey, str]] = []
        self.reloads: list[bool] = []
        self.refused = ""
        self.version = "run-1"

    def put(self, kind: ObjectKind, key: ObjectKey, **labels: str) -> JsonObject:
        raw: JsonObject = {"metadata": {**key._asdict(), "labels": labels}, "spec": {"n": 1}}
        self.objects[kind, key] = raw
        return raw

    def list_keys(self, kind: ObjectKind) -> Sequence[ObjectKey]:
        return sorted(key for of, key in self.objects if of == kind)

    def show_object(self, kind: ObjectKind, key: ObjectKey) -> JsonObject | None:
        return self.objects.get((kind, key))

    async def edit_spec(
        self, kind: ObjectKind, key: ObjectKey, edit: Callable[[Any], Any], by: str
    ) -> None:
        spec = edit(self.objects[kind, key]["spec"])
        if spec.get("n") == 13:
            raise api_error(422, "Invalid", "13 is not a number that we like")
        self.objects[kind, key]["spec"] = spec
        self.edits.append((key, by))

    async def reload_files(self, *, discard_changes: bool) -> Mapping[str, object]:
        self.reloads.append(discard_changes)
        return {"findings": [], "discarded": [], "objects": 3}

    def describe_refusal(self) -> str:
        return self.refused

    async def follow_changes(self, version: str) -> AsyncIterator[ObjectChange]:
        if version != self.version:
            raise Gone(410, "Expired", "too old")
        while True:
            yield await self.changes.get()


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[KeptObjects, UserClient]]:
    kept, path = KeptObjects(), folder / "run" / "control.sock"
    server = ControlServer(path, kept)
    await server.start()
    assert server.trouble == ""
    yield kept, UserClient(path)
    await server.stop()
    assert not path.exists()


async def test_lists_are_of_a_kind_a_namespace_and_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_server, "SLICE", 2)
    async with served(tmp_path) as (kept, client):
        for number in range(5):
            kept.put(BACKEND, ObjectKey("shop", f"b{number}"), odd=str(number % 2))
        kept.put(BACKEND, ObjectKey("other", "z"), odd="0")
        kept.put(FRONTEND, ObjectKey("shop", "web"))

        async def names(kind: ObjectKind, namespace: str = "", labels: str = "") -> str:
            listing = await client.list_objects(kind, namespace, labels=labels)
            assert listing.resource_version == "run-1"
            return " ".join(one["metadata"]["name"] for one in listing.items)

        assert await names(BACKEND) == "z b0 b1 b2 b3 b4"
        assert await names(BACKEND, "shop", "odd=1") == "b1 b3"
        assert await names(BACKEND, "none") == ""
        assert await names(FRONTEND) == "web"
        assert await names(ObjectKind.EVENT, "shop") == ""
        with pytest.raises(ApiError, match="not a label selector"):
            await client.list_objects(BACKEND, labels="a b")
        with pytest.raises(NotFound):
            await client.list_objects(ObjectKind.POD)
        spaces = (await client.list_objects(ObjectKind.NAMESPACE)).items
    assert [one["metadata"]["name"] for one in spaces] == ["other", "shop"]


async def test_an_edit_is_a_patch_of_the_spec_in_the_name_of_who_asks(tmp_path: Path) -> None:
    async with served(tmp_path) as (kept, client):
        kept.put(BACKEND, A)
        merged = await client.edit_object(BACKEND, A, {"spec": {"m": {"x": 1, "y": None}}})
        assert merged["spec"] == {"n": 1, "m": {"x": 1}}
        held = {"op": "test", "path": "/spec/n", "value": 1}
        edit = {"op": "replace", "path": "/spec/n", "value": 2}
        assert (await client.apply_json_patch(BACKEND, A, [held, edit]))["spec"]["n"] == 2
        assert {key for key, _ in kept.edits} == {A}
        assert {by for _, by in kept.edits} == {pwd.getpwuid(os.getuid()).pw_name}


@pytest.mark.parametrize(
    ("key", "patch", "said"),
    [
        (A, {"spec": {"n": 13}}, "422.*13 is not a number"),
        (A, {"metadata": {"labels": {}}}, "415.*spec"),
        (ObjectKey("shop", "none"), {"spec": {}}, "404.*none not found"),
        (A, [{"op": "test", "path": "/spec/n", "value": 7}], "422.*does not fit"),
        (A, [{"op": "add", "path": "/spec/x/y", "value": 7}], "422.*does not fit"),
        (A, [{"op": "add"}], "422.*does not fit"),
        (A, [{"op": "leap"}], "400.*can be: add, remove, replace, test"),
        (A, [{"op": ["add"]}], "400.*can be"),
        (A, ["nonsense"], "400.*can be"),
        (A, [{"op": "add", "path": "/spec/m", "value": {}}] * 65, "400.*more than 64 operations"),
        (A, [{"op": "copy", "from": "/spec", "path": "/spec/n"}], "400.*can be"),
        (A, [{"op": "move", "from": "/spec/n", "path": "/spec/m"}], "400.*can be"),
    ],
)
async def test_a_patch_that_cannot_be_is_refused_and_changes_nothing(
    key: ObjectKey, patch: Any, said: str, tmp_path: Path
) -> None:
    async with served(tmp_path) as (kept, client):
        kept.put(BACKEND, A)
        edit: Any = client.apply_json_patch if isinstance(patch, list) else client.edit_object
        with pytest.raises(ApiError, match=said):
            await edit(BACKEND, key, patch)
        assert kept.objects[BACKEND, A]["spec"] == {"n": 1}


async def test_a_watch_tells_what_changes_of_what_is_chosen(tmp_path: Path) -> None:
    async with served(tmp_path) as (kept, client):
        kept.put(BACKEND, A, tier="web")
        kept.put(BACKEND, ObjectKey("shop", "b"), tier="db")
        kept.put(FRONTEND, A)
        for version, kind, name in (
            ("run-2", BACKEND, "b"),
            ("run-3", FRONTEND, "a"),
            ("run-4", BACKEND, "a"),
            ("run-5", BACKEND, "gone"),
        ):
            kept.changes.put_nowait(ObjectChange(version, kind, ObjectKey("shop", name)))
        told: list[WatchEvent] = []
        async for one in client.watch_objects(BACKEND, "shop", "run-1", labels="tier=web"):
            told.append(one)
            if len(told) == 2:
                break
    shown = [(one.type, one.object["metadata"]) for one in told]
    assert [(type_, meta["name"], meta["resourceVersion"]) for type_, meta in shown] == [
        ("MODIFIED", "a", "run-4"),
        ("DELETED", "gone", "run-5"),
    ]


async def test_a_watch_from_a_version_of_another_run_says_so(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, client):
        with pytest.raises(Gone, match="too old"):
            [one async for one in client.watch_objects(BACKEND, "", "old-7")]


@pytest.mark.parametrize("lasts", ["inf", "-inf", "nan", "-1", "soon"])
async def test_a_watch_lasts_for_a_number_of_seconds(tmp_path: Path, lasts: str) -> None:
    async with (
        served(tmp_path) as (kept, client),
        ClientSession(connector=UnixConnector(str(client._socket_path))) as session,
    ):
        kept.put(BACKEND, A)
        url = f"http://localhost{RESOURCES[BACKEND].collection_path()}"
        query = {"watch": "1", "resourceVersion": "run-1", "timeoutSeconds": lasts}
        async with asyncio.timeout(5), session.get(url, params=query) as answer:
            assert answer.status == 400
            assert "timeoutSeconds" in (await answer.json())["message"]
        async with session.get(url, params={**query, "timeoutSeconds": "0"}) as answer:
            assert (answer.status, await answer.text()) == (200, "")


@pytest.mark.looptime(False)  # it is a thread that hangs
async def test_a_user_whom_nobody_can_name_in_time_is_a_number_and_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user database in the network may hang: the loop goes on, and so does each edit."""
    hangs = threading.Event()
    monkeypatch.setattr(pwd, "getpwuid", lambda _: hangs.wait(5))
    monkeypatch.setattr(control_server, "NAMED_WITHIN", 0.05)
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(time.monotonic())
            await asyncio.sleep(0.01)

    async with served(tmp_path) as (kept, client):
        kept.put(BACKEND, A)
        beating = asyncio.create_task(beat())
        for number in (2, 3):
            await client.edit_object(BACKEND, A, {"spec": {"n": number}})
        beating.cancel()
        hangs.set()
    assert kept.edits == [(A, f"uid {os.getuid()}")] * 2
    assert max(after - before for before, after in pairwise(beats)) < 2


async def test_reload_says_whether_changes_are_to_be_forgotten(tmp_path: Path) -> None:
    async with served(tmp_path) as (kept, client):
        assert (await client.reload_files(discard_changes=False))["objects"] == 3
        await client.reload_files(discard_changes=True)
        assert kept.reloads == [False, True]


async def test_it_says_why_the_newest_files_are_not_in_force(tmp_path: Path) -> None:
    async with served(tmp_path) as (kept, client):
        assert await client.read_refusal() == ""
        kept.refused = "web.yaml:3: wrong"
        assert await client.read_refusal() == "web.yaml:3: wrong"


async def test_a_failure_that_nobody_thought_of_is_an_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(tmp_path) as (kept, client):
        kept.put(BACKEND, A)["spec"] = None
        with pytest.raises(ApiError, match="the program's log says why"):
            await client.edit_object(BACKEND, A, {"spec": None})
    assert "a request on the control socket failed" in caplog.text


async def test_more_requests_than_there_should_be_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_server, "MOST_AT_ONCE", 0)
    async with served(tmp_path) as (_, client):
        with pytest.raises(ApiError, match="too many"):
            await client.list_objects(BACKEND)


# --- the socket itself ------------------------------------------------------------------------


async def test_only_owner_and_group_may_open_the_socket(tmp_path: Path) -> None:
    async with served(tmp_path):
        mode = (tmp_path / "run" / "control.sock").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o660


async def test_what_a_crash_has_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(tmp_path / "run" / "control.sock"))
    async with served(tmp_path) as (_, client):
        assert (await client.list_objects(BACKEND)).items == []


async def test_what_another_program_has_is_left_to_it(tmp_path: Path) -> None:
    """No second program takes the socket of the first, nor a file that is none."""
    path = tmp_path / "run" / "control.sock"
    async with served(tmp_path) as (_, client):
        second = ControlServer(path, KeptObjects())
        await second.start()
        assert "another program listens there" in second.trouble
        await second.stop()
        assert (await client.list_objects(BACKEND)).items == []
    path.write_text("precious")
    third = ControlServer(path, KeptObjects())
    await third.start()
    assert "no socket" in third.trouble
    await third.stop()
    assert path.read_text() == "precious"


@pytest.mark.parametrize("path", ["/proc/nowhere/control.sock", f"/tmp/{'x' * 200}.sock"])
async def test_where_it_cannot_listen_the_program_works_without(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = ControlServer(Path(path), KeptObjects())
    await server.start()
    assert server.trouble.startswith(f"cannot listen on {path}: ")
    assert server.trouble in caplog.text
    await server.stop()


async def test_no_path_is_no_socket() -> None:
    server = ControlServer(None, KeptObjects())
    await server.start()
    assert server.trouble == "off"
    await server.stop()
