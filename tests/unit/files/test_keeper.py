"""What must outlive the process is on disk in time, in the right order, and holds up nobody."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from data.objects import key
from vpplb.files import keeper as module
from vpplb.files.keeper import SPACING, MemoryKeeper
from vpplb.files.memory import Memory, Router, load_memory, save_memory
from vpplb.model.names import ObjectKey
from vpplb.model.vip import VipId
from vpplb.sync.vip_state import OwnedState

WEB, API = (VipId.parse(f"192.0.2.{n}/32 tcp/80") for n in (1, 2))

HERE = Router(node="n1", machine="m", vpp="/run/vpp/api.sock")


class Bench:
    """A keeper, the owners that it is to keep, and a disk that can stand still."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = folder / "memory.json"
        self.owned = {WEB: key("web")}
        self.saved: list[float] = []
        self.disk = threading.Event()
        self.disk.set()
        self.keeper = MemoryKeeper(self._file, self._memory, HERE)
        self.keeper.begin()
        self._loop = asyncio.get_running_loop()
        monkeypatch.setattr(module, "save_memory", self._save)

    def _memory(self) -> Memory:
        return Memory(state=OwnedState(owned=dict(self.owned)))

    def _save(self, path: Path, memory: Memory, router: Router) -> None:
        self.disk.wait(10)
        self.saved.append(self._loop.time())
        save_memory(path, memory, router)

    @property
    def on_disk(self) -> Mapping[VipId, ObjectKey]:
        memory = load_memory(self._file, HERE)
        return memory.state.owned if memory else {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.keeper.run())
        await asyncio.sleep(0)
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


async def test_what_is_kept_is_on_disk_at_once_and_no_second_time(bench: Bench) -> None:
    async with bench.running():
        bench.keeper.keep_soon()
        bench.owned[API] = key("api")
        bench.keeper.keep()
        assert bench.on_disk == bench.owned
        await asyncio.sleep(2 * SPACING)
    bench.keeper.close()
    assert len(bench.saved) == 1


async def test_however_often_something_is_to_be_kept_it_is_written_twice_a_second(
    bench: Bench,
) -> None:
    async with bench.running():
        for _ in range(20):
            bench.keeper.keep_soon()
            await asyncio.sleep(SPACING / 10)
        await asyncio.sleep(1.2 * SPACING)
    gaps = [later - one for one, later in zip(bench.saved, bench.saved[1:], strict=False)]
    assert len(bench.saved) >= 3
    assert min(gaps) >= SPACING - 0.01


async def test_a_disk_that_stands_still_holds_up_nobody_and_then_has_the_newest(
    bench: Bench,
) -> None:
    bench.disk.clear()
    async with bench.running():
        bench.keeper.keep_soon()
        for _ in range(10):
            await asyncio.sleep(0.01)
            bench.owned.clear()
            bench.keeper.keep_soon()
        assert bench.saved == []
        bench.disk.set()
        await asyncio.sleep(1.5 * SPACING)
        assert bench.on_disk == {}
        assert len(bench.saved) == 2


async def test_what_was_taken_before_never_replaces_the_newer(bench: Bench) -> None:
    older = bench.keeper._take()
    bench.owned[API] = key("api")
    bench.keeper.keep()
    bench.keeper._save(*older)
    assert bench.on_disk == bench.owned


async def test_what_is_due_at_the_end_is_kept(bench: Bench) -> None:
    bench.keeper.keep_soon()
    bench.keeper.close()
    assert bench.on_disk == bench.owned


async def test_what_is_under_way_at_the_end_is_on_disk_before_the_end(bench: Bench) -> None:
    bench.disk.clear()
    async with bench.running():
        bench.keeper.keep_soon()
        await asyncio.sleep(0.05)
    threading.Timer(0.1, bench.disk.set).start()
    bench.keeper.close()
    assert bench.on_disk == bench.owned


async def test_where_nothing_was_to_be_kept_nothing_is_written(bench: Bench) -> None:
    async with bench.running():
        await asyncio.sleep(0.01)
    bench.keeper.close()
    assert bench.saved == []


async def test_a_disk_that_refuses_is_told_and_no_error(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    keeper = MemoryKeeper(tmp_path / "file" / "memory.json", Memory, HERE)
    keeper.begin()
    keeper.keep()
    assert "the memory of VPP cannot be written" in caplog.text
    (tmp_path / "file").unlink()
    keeper.close()
    assert load_memory(tmp_path / "file" / "memory.json", HERE) == Memory()


async def test_without_a_file_nothing_is_written(bench: Bench) -> None:
    keeper = MemoryKeeper(None, Memory, HERE)
    keeper.begin()
    keeper.keep()
    keeper.keep_soon()
    keeper.close()
    assert bench.saved == []


async def test_nothing_is_written_over_what_has_not_been_read_yet(tmp_path: Path) -> None:
    file = tmp_path / "memory.json"
    keeper = MemoryKeeper(file, Memory, HERE)
    keeper.keep()
    keeper.keep_soon()
    keeper.close()
    assert not file.exists()
