"""A folder of manifests as the source: what is wrong is refused, and what runs goes on."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from data.manifests import Raw, backend, frontend, health_check
from data.objects import key
from in_memory.world import World
from lab.waiting import eventually
from vpplb.files.manifests import Loaded, load
from vpplb.files.state import StateFile
from vpplb.model.check import HttpProbe
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.resources.allowances import Allowances
from vpplb.standalone import folder as module
from vpplb.standalone.folder import BadManifests, Folder


def checked(**spec: object) -> Raw:
    return backend("a", "192.0.2.1", healthCheckRef={"name": "check"}, **spec)


def write(file: Path, *manifests: Raw) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump_all(manifests))


class Bench:
    """A folder, and what was heard of it."""

    def __init__(self, path: Path) -> None:
        self.path, self.world = path / "manifests", World()
        self.path.mkdir(exist_ok=True)
        self.state = StateFile(path / "state.json")
        self.seen: list[str] = []
        self.gone: list[str] = []
        self.loaded: list[Loaded] = []
        self.folder = Folder(
            self.path, self.world.reconciler, self._seen, self._gone, self.loaded.append
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

    def _seen(self, kind: str, name: ObjectKey, raw: Mapping[str, object]) -> None:
        self.seen.append(f"{kind} {name.name}")

    def _gone(self, kind: str, name: ObjectKey) -> None:
        self.gone.append(f"{kind} {name.name}")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give a folder with a frontend, its backend and its check."""
    bench = Bench(tmp_path)
    bench.write(health_check(), checked(), frontend())
    return bench


async def test_all_objects_are_taken_in(bench: Bench) -> None:
    bench.folder.start(bench.state)
    assert sorted(bench.seen) == ["Backend a", "Frontend web", "HealthCheck check"]
    bench.world.reconcile()
    assert set(bench.world.prober.running) == {key("a")}


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("a: [", "all.yaml:2: not YAML"),
        ("apiVersion: vpplb.dev/v1alpha1\nkind: Backend\nmetadata: {name: x}\nspec: {}\n", ":4: "),
    ],
)
async def test_a_mistake_at_the_start_is_told_with_file_and_line(
    bench: Bench, text: str, finding: str
) -> None:
    (bench.path / "all.yaml").write_text(text)
    with pytest.raises(BadManifests, match=finding):
        bench.folder.start(bench.state)
    assert bench.seen == []


async def test_what_nobody_thought_of_in_a_file_leaves_the_old_ones_in_force(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(paths: object) -> Loaded:
        raise AssertionError("nobody thought of this")

    async with bench.watching():
        monkeypatch.setattr(module, "load", fail)
        bench.write(health_check(), checked(paused=True), frontend())
        await eventually(lambda: "the old ones stay in force" in caplog.text, "it is told")
        monkeypatch.undo()
        bench.write(health_check(), checked(paused=True), frontend(), to="more.yaml")
        (bench.path / "all.yaml").unlink()
        await eventually(lambda: bench.world.state("a") is HealthState.PAUSED, "a is paused")


async def test_a_changed_file_is_taken_in(bench: Bench) -> None:
    async with bench.watching():
        bench.write(health_check(), checked(paused=True), frontend())
        await eventually(lambda: bench.world.state("a") is HealthState.PAUSED, "a is paused")
    assert bench.gone == []


async def test_a_new_file_is_taken_in_and_a_removed_one_takes_its_objects_with_it(
    bench: Bench,
) -> None:
    async with bench.watching():
        bench.write(frontend("api", port=443), to="more/api.yaml")
        await eventually(lambda: key("api") in bench.world.reconciler.views, "api is there")
        (bench.path / "more" / "api.yaml").unlink()
        await eventually(lambda: key("api") not in bench.world.reconciler.views, "api is gone")
    assert bench.gone == ["Frontend api"]
    assert key("web") in bench.world.reconciler.views


async def test_objects_of_all_kinds_vanish_with_their_manifests(bench: Bench) -> None:
    async with bench.watching():
        (bench.path / "all.yaml").unlink()
        await eventually(lambda: bench.gone, "all is gone")
        await eventually(lambda: not bench.world.prober.running, "nothing is probed")
    store = bench.world.store
    assert (store.frontends, store.backends, store.health_checks) == ({}, {}, {})


async def test_a_bad_file_is_refused_whole_and_what_runs_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench.watching():
        bench.write(checked(paused=True), backend("b", "nonsense"), frontend())
        await eventually(lambda: "are refused" in caplog.text, "the refusal is told")
        assert bench.world.state("a") is HealthState.UNKNOWN
        assert set(bench.world.prober.running) == {key("a")}
        assert len(bench.loaded) == 1
        lines = (bench.path / "all.yaml").read_text().splitlines()
        bench.write(health_check(), checked(paused=True), frontend())
        await eventually(lambda: bench.world.state("a") is HealthState.PAUSED, "it is mended")
    line = lines.index("  address: nonsense") + 1
    assert f"all.yaml:{line}: Backend default/b: spec.address: " in caplog.text
    assert bench.gone == []


async def test_a_signal_reads_again_what_has_not_changed(bench: Bench) -> None:
    async with bench.watching():
        bench.folder.reload.set()
        await eventually(lambda: len(bench.loaded) == 2, "it is read again")
    assert len(bench.world.prober.started) == 1


async def test_files_that_are_being_written_are_left_until_they_are_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    reads: list[int] = []
    real = load

    def look(_: Path) -> tuple[tuple[str, int, int], ...]:
        looks.append(min(len(looks), 5))  # the sixth look is the first that shows no change
        return (("all.yaml", looks[-1], 0),)

    def read(paths: list[Path], allowed: Allowances) -> Loaded:
        reads.append(len(looks))
        return real(paths, allowed)

    monkeypatch.setattr(module, "_stamp", look)
    monkeypatch.setattr(module, "load", read)
    async with bench.watching():
        await eventually(lambda: len(bench.loaded) == 2, "it is read again")
    assert reads == [1, 7]


async def test_a_folder_that_vanishes_while_it_is_read_ends_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[FileNotFoundError] = []

    def vanishing(paths: list[Path], allowed: Allowances) -> Loaded:
        if not raised:
            raised.append(FileNotFoundError("more"))
            raise raised[0]
        return load(paths, allowed)

    async with bench.watching():
        monkeypatch.setattr(module, "load", vanishing)
        bench.folder.reload.set()
        await eventually(lambda: len(bench.loaded) == 2, "it is read again")
    assert raised


async def test_checks_resume_from_the_state_file(bench: Bench) -> None:
    shown = {"state": "up", "since": "2026-01-01T00:00:00.000000Z", "code": "L7OK"}
    bench.state.save({"Backend": {key("a"): shown}})
    bench.folder.start(bench.state)
    bench.world.reconcile()
    [started] = bench.world.prober.started
    assert started.resume_up is True
    assert bench.world.weights() == [100]
    assert bench.world.sink.transitions == []


async def test_an_object_that_comes_back_does_not_resume_from_long_ago(bench: Bench) -> None:
    shown = {"state": "up", "since": "2026-01-01T00:00:00.000000Z", "code": "L7OK"}
    bench.state.save({"Backend": {key("a"): shown}})
    async with bench.watching():
        bench.write(health_check(), frontend())
        await eventually(lambda: "Backend a" in bench.gone, "a is gone")
        bench.write(health_check(), checked(), frontend())
        await eventually(lambda: len(bench.world.prober.started) == 2, "a is back")
    assert bench.world.prober.started[-1].resume_up is None
    assert bench.world.state("a") is HealthState.UNKNOWN


@pytest.mark.parametrize("value", ["one", None])
async def test_a_header_takes_its_value_from_a_secret_in_the_folder(
    tmp_path: Path, value: str | None
) -> None:
    bench = Bench(tmp_path)
    source = {"secretKeyRef": {"name": "token", "key": "value"}}
    check = health_check(type="HTTP", http={"headers": [{"name": "X", "valueFrom": source}]})
    secret: Raw = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}}
    bench.write(check, checked(), frontend(), secret | {"stringData": {"value": value}})
    if value is None:
        bench.write(check, checked(), frontend())
    async with bench.watching():
        started = [one.spec.probe for one in bench.world.prober.started]
    sent = [probe.headers for probe in started if isinstance(probe, HttpProbe)]
    assert sent == ([(("X", "one"),)] if value else [])
