"""A folder of manifests as the source: what is wrong is refused, and what runs goes on."""

import asyncio
import errno
import itertools
import os
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import yaml

from data.manifests import Raw, backend, frontend, health_check
from data.objects import key
from in_memory.world import World
from lab.waiting import eventually
from vpplb.files.findings import BadManifests
from vpplb.files.manifests import LoadedManifests, load_manifests
from vpplb.files.state_file import StateFile
from vpplb.model.check import HttpProbe
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.resources.allowances import AddressAllowances
from vpplb.standalone import manifest_folder as module
from vpplb.standalone.hand_changes import HandChanges
from vpplb.standalone.manifest_folder import ManifestFolder
from vpplb.standalone.taken_manifests import TakenManifests

pytestmark = pytest.mark.looptime


def checked(**spec: object) -> Raw:
    return backend("a", "192.0.2.1", healthCheckRef={"name": "check"}, **spec)


def write(file: Path, *manifests: Raw) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump_all(manifests))


class WatchedFolder:
    """A folder, and what was heard of it."""

    def __init__(self, path: Path) -> None:
        self.path, self.world = path / "manifests", World()
        self.path.mkdir(exist_ok=True)
        self.state = StateFile(path / "state.json")
        self.seen: list[str] = []
        self.gone: list[str] = []
        self.loaded: list[LoadedManifests] = []
        self.readings: list[str] = []
        self.folder = ManifestFolder(
            self.path,
            self.world.reconciler,
            self._seen,
            self._gone,
            self.loaded.append,
            HandChanges(path / "changes.json", self.world.clock.now),
            TakenManifests(path / "taken.json", self.path),
            reading=self._reading,
        )

    def write(self, *manifests: Raw, to: str = "all.yaml") -> None:
        write(self.path / to, *manifests)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        self.folder.start(self.state)
        self.world.start()
        self.world.reconcile()
        task = asyncio.create_task(self.folder.run())
        yield
        assert not task.done(), task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self.readings.append(f"begun with {len(self.loaded)} set")
        yield
        self.readings.append(f"ended with {len(self.loaded)} sets")

    def _seen(self, kind: str, name: ObjectKey, raw: Mapping[str, object]) -> None:
        self.seen.append(f"{kind} {name.name}")

    def _gone(self, kind: str, name: ObjectKey) -> None:
        self.gone.append(f"{kind} {name.name}")


@pytest.fixture
def watched(tmp_path: Path) -> WatchedFolder:
    """Give a folder with a frontend, its backend and its check."""
    watched = WatchedFolder(tmp_path)
    watched.write(health_check(), checked(), frontend())
    return watched


async def test_all_objects_are_taken_in(watched: WatchedFolder) -> None:
    watched.folder.start(watched.state)
    assert sorted(watched.seen) == ["Backend a", "Frontend web", "HealthCheck check"]
    watched.world.reconcile()
    assert set(watched.world.prober.running) == {key("a")}


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("a: [", "all.yaml:2: not YAML"),
        ("apiVersion: vpplb.dev/v1alpha1\nkind: Backend\nmetadata: {name: x}\nspec: {}\n", ":4: "),
    ],
)
async def test_a_mistake_at_the_start_is_told_with_file_and_line(
    watched: WatchedFolder, text: str, finding: str
) -> None:
    (watched.path / "all.yaml").write_text(text)
    with pytest.raises(BadManifests, match=finding):
        watched.folder.start(watched.state)
    assert watched.seen == []


async def test_what_nobody_thought_of_in_a_file_leaves_the_old_ones_in_force(
    watched: WatchedFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(paths: object) -> LoadedManifests:
        raise AssertionError("nobody thought of this")

    async with watched.watching():
        monkeypatch.setattr(module, "load_manifests", fail)
        watched.write(health_check(), checked(paused=True), frontend())
        await eventually(lambda: "the old ones stay in force" in caplog.text, "it is told")
        assert "they cannot be read" in watched.folder.refused
        monkeypatch.undo()
        watched.write(health_check(), checked(paused=True), frontend(), to="more.yaml")
        (watched.path / "all.yaml").unlink()
        await eventually(lambda: watched.world.state("a") is HealthState.PAUSED, "a is paused")


async def test_a_changed_file_is_taken_in(watched: WatchedFolder) -> None:
    async with watched.watching():
        watched.write(health_check(), checked(paused=True), frontend())
        await eventually(lambda: watched.world.state("a") is HealthState.PAUSED, "a is paused")
    assert watched.gone == []


async def test_a_new_file_is_taken_in_and_a_removed_one_takes_its_objects_with_it(
    watched: WatchedFolder,
) -> None:
    async with watched.watching():
        watched.write(frontend("api", port=443), to="more/api.yaml")
        await eventually(lambda: key("api") in watched.world.reconciler.views, "api is there")
        (watched.path / "more" / "api.yaml").unlink()
        await eventually(lambda: key("api") not in watched.world.reconciler.views, "api is gone")
    assert watched.gone == ["Frontend api"]
    assert key("web") in watched.world.reconciler.views


async def test_a_folder_that_becomes_empty_is_warned_of(
    watched: WatchedFolder, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched.watching():
        watched.folder.reload.set()
        await eventually(lambda: len(watched.loaded) == 2, "it is read again")
        assert "no objects any more" not in caplog.text
        (watched.path / "all.yaml").unlink()
        await eventually(lambda: watched.gone, "all is gone")
    assert "the folder has no objects any more: all 3 go" in caplog.text


async def test_objects_of_all_kinds_vanish_with_their_manifests(watched: WatchedFolder) -> None:
    async with watched.watching():
        (watched.path / "all.yaml").unlink()
        await eventually(lambda: watched.gone, "all is gone")
        await eventually(lambda: not watched.world.prober.running, "nothing is probed")
    store = watched.world.store
    assert (store.frontends, store.backends, store.health_checks) == ({}, {}, {})


async def test_a_bad_file_is_refused_whole_and_what_runs_goes_on(
    watched: WatchedFolder, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched.watching():
        nonsense = (backend("b", "nonsense"), backend("c", "nonsense"))
        watched.write(checked(paused=True), *nonsense, frontend())
        await eventually(lambda: "are refused" in caplog.text, "the refusal is told")
        assert watched.world.state("a") is HealthState.UNKNOWN
        assert set(watched.world.prober.running) == {key("a")}
        assert len(watched.loaded) == 1
        lines = (watched.path / "all.yaml").read_text().splitlines()
        said = watched.folder.refused
        watched.write(health_check(), checked(paused=True), frontend())
        await eventually(lambda: watched.world.state("a") is HealthState.PAUSED, "it is mended")
        assert watched.folder.refused == ""
    assert said is not None
    assert re.fullmatch(
        r"the newest are refused, those of \S+ \S+ stay in force: \S+/all.yaml:\d+: .*, and 1 more",
        said,
    )
    line = lines.index("  address: nonsense") + 1
    assert f"all.yaml:{line}: Backend default/b: spec.address: " in caplog.text
    assert watched.gone == []


async def test_a_signal_reads_again_what_has_not_changed(watched: WatchedFolder) -> None:
    before = time.time()
    async with watched.watching():
        watched.folder.reload.set()
        await eventually(lambda: len(watched.loaded) == 2, "it is read again")
    assert len(watched.world.prober.started) == 1
    assert before <= watched.folder.taken_at <= time.time()


async def test_that_it_reads_again_is_told_until_it_is_done(watched: WatchedFolder) -> None:
    async with watched.watching():
        assert watched.readings == []
        watched.folder.reload.set()
        await eventually(lambda: len(watched.readings) == 2, "it was read again")
    assert watched.readings == ["begun with 1 set", "ended with 2 sets"]


async def test_files_that_are_being_written_are_left_until_they_are_done(
    watched: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    reads: list[int] = []
    real = load_manifests

    def look(_: Path) -> module.Stamp:
        looks.append(min(len(looks), 5))  # the sixth look is the first that shows no change
        return (("all.yaml", looks[-1], 0, 0),)

    def read(paths: list[Path], allowed: AddressAllowances) -> LoadedManifests:
        reads.append(len(looks))
        return real(paths, allowed)

    monkeypatch.setattr(module, "_make_stamp", look)
    monkeypatch.setattr(module, "load_manifests", read)
    async with watched.watching():
        await eventually(lambda: len(watched.loaded) == 2, "it is read again")
    assert reads == [1, 7]


async def test_files_that_never_rest_are_refused_in_words_and_hold_up_no_steering(
    watched: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(module, "SETTLE_LIMIT", 0.5)
    async with watched.watching():
        monkeypatch.setattr(module, "_make_stamp", lambda _: (("all.yaml", next(ticks), 0, 0),))
        await eventually(lambda: watched.readings, "it is about to be read")
        async with asyncio.timeout(0.4):
            await watched.folder.change_object(
                ("Backend", key("a")), lambda spec: {**spec, "paused": True}, "ann"
            )
        assert len(watched.readings) == 1, "it still waits"
        await eventually(lambda: watched.folder.refused, "it is refused")
        assert "the files do not stay as they are" in watched.folder.refused
        assert await watched.folder.read_again()
        monkeypatch.undo()
        await eventually(lambda: not watched.folder.refused, "they rest, and are read")
    assert watched.world.state("a") is HealthState.PAUSED


async def test_files_that_are_not_read_may_change_as_they_like(watched: WatchedFolder) -> None:
    async with watched.watching():
        for name in (".all.yaml.swp", ".git/x.yaml", "notes.txt", "sub/log"):
            (watched.path / name).parent.mkdir(exist_ok=True)
            (watched.path / name).write_text("x")
        await asyncio.sleep(0.2)
        assert watched.readings == []


async def test_a_folder_that_may_not_be_read_is_refused_until_it_may(
    watched: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its objects would else be gone from VPP."""
    watched.write(frontend("api", port=443), to="more/api.yaml")
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("more"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    async with watched.watching():
        monkeypatch.setattr(os, "scandir", scandir)
        await eventually(lambda: watched.folder.refused, "it is refused")
        assert "more:1: cannot be read: Permission denied" in watched.folder.refused
        monkeypatch.undo()
        await eventually(lambda: not watched.folder.refused, "it is read")
    assert watched.gone == []
    monkeypatch.setattr(os, "scandir", scandir)
    watched.folder.start(watched.state)
    assert "more:1: cannot be read: Permission denied" in watched.folder.refused
    (watched.path.parent / "taken.json").unlink()
    with pytest.raises(BadManifests, match="Permission denied"):
        watched.folder.start(watched.state)


async def test_a_file_whose_rights_change_is_read_again(watched: WatchedFolder) -> None:
    async with watched.watching():
        (watched.path / "all.yaml").chmod(0o600)
        await eventually(lambda: len(watched.loaded) == 2, "it is read again")


async def test_a_folder_that_vanishes_while_it_is_read_ends_nothing(
    watched: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[FileNotFoundError] = []

    def vanishing(paths: list[Path], allowed: AddressAllowances) -> LoadedManifests:
        if not raised:
            raised.append(FileNotFoundError("more"))
            raise raised[0]
        return load_manifests(paths, allowed)

    async with watched.watching():
        monkeypatch.setattr(module, "load_manifests", vanishing)
        watched.folder.reload.set()
        await eventually(lambda: len(watched.loaded) == 2, "it is read again")
    assert raised


async def test_checks_resume_from_the_state_file(watched: WatchedFolder) -> None:
    shown = {"state": "up", "since": "2026-01-01T00:00:00.000000Z", "code": "L7OK"}
    watched.state.save_statuses({"Backend": {key("a"): shown}})
    watched.folder.start(watched.state)
    watched.world.reconcile()
    [started] = watched.world.prober.started
    assert started.resume_up is True
    assert watched.world.weights() == [100]
    assert watched.world.sink.transitions == []


async def test_an_object_that_comes_back_does_not_resume_from_long_ago(
    watched: WatchedFolder,
) -> None:
    shown = {"state": "up", "since": "2026-01-01T00:00:00.000000Z", "code": "L7OK"}
    watched.state.save_statuses({"Backend": {key("a"): shown}})
    async with watched.watching():
        watched.write(health_check(), frontend())
        await eventually(lambda: "Backend a" in watched.gone, "a is gone")
        watched.write(health_check(), checked(), frontend())
        await eventually(lambda: len(watched.world.prober.started) == 2, "a is back")
    assert watched.world.prober.started[-1].resume_up is None
    assert watched.world.state("a") is HealthState.UNKNOWN


@pytest.mark.parametrize("value", ["one", None])
async def test_a_header_takes_its_value_from_a_secret_in_the_folder(
    tmp_path: Path, value: str | None
) -> None:
    watched = WatchedFolder(tmp_path)
    source = {"secretKeyRef": {"name": "token", "key": "value"}}
    check = health_check(type="HTTP", http={"headers": [{"name": "X", "valueFrom": source}]})
    secret: Raw = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}}
    watched.write(check, checked(), frontend(), secret | {"stringData": {"value": value}})
    if value is None:
        watched.write(check, checked(), frontend())
    async with watched.watching():
        started = [one.spec.probe for one in watched.world.prober.started]
    sent = [probe.headers for probe in started if isinstance(probe, HttpProbe)]
    assert sent == ([(("X", "one"),)] if value else [])
