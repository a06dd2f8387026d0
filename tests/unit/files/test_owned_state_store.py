"""What must outlive the process is on disk in time, in the right order, and is read back."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from data.objects import key, vip
from vpplb.files import owned_state_store as module
from vpplb.files.owned_state_store import (
    SPACING,
    OwnedStateStore,
    StoredState,
    VppIdentity,
    format_owned,
    parse_owned,
    read_stored_state,
    write_stored_state,
)
from vpplb.model.decision_order import DecisionMark, DecisionOrder
from vpplb.model.names import ObjectKey
from vpplb.model.vip import VipId
from vpplb.sync.vip_state import OwnedState

HERE = VppIdentity(node="n1", machine="m", vpp="/run/vpp/api.sock")
V4, V6, ALL_PORTS = vip(), vip("2001:db8::/64", port=443), vip("192.0.2.0/24", port=0)
STATE = OwnedState(
    owned={V4: key("web"), V6: key("api"), ALL_PORTS: key("all")},
    flushed={
        V4: {ip_address("10.0.0.1"): 1767225600, ip_address("10.0.0.2"): 0},
        V6: {ip_address("fd00::1"): 7},
        ALL_PORTS: {},
    },
)


def load_memory(path: Path | None) -> tuple[StoredState | None, str]:
    """Return what a process that starts is told, and why not."""
    store = OwnedStateStore(path, OwnedState, HERE)
    return store.load(), store.trouble


WHOLE = StoredState(
    state=STATE,
    spec={"paused": True, "flowTimeout": "77s"},
    labels={"role": "edge"},
    marks={key("web"): DecisionMark(uid="u", order=DecisionOrder(5, 3), revision="r")},
    programmed={key("web"): "q"},
    operators=({"identity": "op-1", "address": "10.0.0.1:9443", "fingerprint": "ab"},),
    release="edge/vpplb",
)


@pytest.mark.parametrize("memory", [WHOLE, StoredState()])
def test_what_is_kept_is_read_back(tmp_path: Path, memory: StoredState) -> None:
    file = tmp_path / "agent" / "memory.json"
    write_stored_state(file, memory, HERE)
    assert load_memory(file) == (memory, "")


def test_a_file_of_the_version_before_says_nothing_of_decisions_and_operators(
    tmp_path: Path,
) -> None:
    file = tmp_path / "memory.json"
    file.write_text(json.dumps(GOOD))
    assert load_memory(file) == (StoredState(), "")


async def test_what_the_store_is_told_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "memory.json"
    store = OwnedStateStore(
        file,
        lambda: STATE,
        HERE,
        lambda: WHOLE.marks,
        lambda: WHOLE.programmed,
        WHOLE.release,
    )
    store.load()
    store.set_spec(WHOLE.spec or {})
    store.set_labels(WHOLE.labels or {})
    store.set_operators(WHOLE.operators)
    store.close()
    assert load_memory(file) == (WHOLE, "")


def test_a_file_that_was_never_written_is_no_memory_and_no_trouble(tmp_path: Path) -> None:
    assert load_memory(tmp_path / "memory.json") == load_memory(None) == (None, "")


GOOD: dict[str, object] = {
    "version": 3,
    "router": {"node": "n1", "machine": "m", "vpp": "/run/vpp/api.sock"},
    "spec": None,
    "owned": "",
    "flushed": {},
}
WRONG: tuple[dict[str, object], ...] = (
    {"owned": []},
    {"owned": "nonsense default/web"},
    {"owned": "192.0.2.10/32 tcp/80 web"},
    {"flushed": []},
    {"flushed": {"192.0.2.10/32 tcp/80": {"here": 1}}},
    {"flushed": {"192.0.2.10/32 tcp/80": {"10.0.0.1": None}}},
    {"spec": []},
    {"labels": []},
    {"labels": {"role": 1}},
    {"decisions": []},
    {"decisions": {"web": ["u", 1, 1, "r"]}},
    {"decisions": {"default/web": ["u", "1", 1, "r"]}},
    {"decisions": {"default/web": None}},
    {"operators": 1},
    {"operators": [[]]},
    {"router": {"node": "n1"}},
    {"router": None},
)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null ",
        "{}",
        "[" * 100_000,
        '{"version": 2, "owned": "203.0.113.9/32 tcp/80 default/gone\\n", "flushed": {}}',
        *(json.dumps(GOOD | wrong) for wrong in WRONG),
    ],
)
def test_a_file_that_makes_no_sense_is_set_aside_and_said(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "memory.json"
    file.write_text(content)
    stored, trouble = load_memory(file)
    assert stored is None
    assert f"{file} is not used: it is " in trouble
    assert trouble in caplog.text
    assert (tmp_path / "memory.json.unusable").read_text() == content
    assert not file.exists()


def test_what_cannot_be_read_at_all_is_said_and_left_where_it_is(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in load_memory(tmp_path)[1]
    assert tmp_path.is_dir()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"node": "n2"}, "it is of node n2, and this is n1"),
        ({"vpp": "/run/vpp2/api.sock"}, "it is of the VPP at /run/vpp2/api.sock"),
        ({"machine": "x"}, "it is of another machine"),
    ],
)
def test_the_file_of_another_router_owns_nothing_here(
    tmp_path: Path, other: dict[str, str], said: str
) -> None:
    file = tmp_path / "memory.json"
    write_stored_state(file, StoredState(state=STATE), replace(HERE, **other))
    stored, trouble = load_memory(file)
    assert stored is None
    assert said in trouble


def test_a_machine_without_an_id_is_told_by_node_and_socket(tmp_path: Path) -> None:
    file = tmp_path / "memory.json"
    write_stored_state(file, StoredState(state=STATE), replace(HERE, machine=""))
    assert load_memory(file) == (StoredState(state=STATE), "")


def test_a_socket_is_the_same_by_whatever_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "run")
    there = VppIdentity.of_socket("n1", tmp_path / "run" / "api.sock")
    assert VppIdentity.of_socket("n1", tmp_path / "var" / "api.sock") == there
    monkeypatch.setattr(module, "MACHINE_ID", tmp_path / "none")
    assert VppIdentity.of_socket("n1", tmp_path / "run" / "api.sock").machine == ""


def test_the_file_is_the_same_whatever_order_things_came_in(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    write_stored_state(one, StoredState(state=STATE), HERE)
    turned = dict(reversed(list(STATE.owned.items())))
    write_stored_state(
        other, StoredState(state=OwnedState(owned=turned, flushed=STATE.flushed)), HERE
    )
    assert one.read_text() == other.read_text()


def test_owners_are_texts_that_people_and_we_can_read() -> None:
    text = format_owned(STATE.owned)
    assert text.splitlines() == [
        "192.0.2.0/24 any default/all",
        "192.0.2.10/32 tcp/80 default/web",
        "2001:db8::/64 tcp/443 default/api",
    ]
    assert parse_owned(text) == STATE.owned


@pytest.mark.parametrize("text", ["192.0.2.10 default/web", "192.0.2.10/32 tcp/80 web", "\n", []])
def test_owners_that_make_no_sense_are_refused(text: object) -> None:
    with pytest.raises(ValueError):
        parse_owned(text)


# --- when it is written ---------------------------------------------------------------------------

WEB, API = (VipId.parse_text(f"192.0.2.{n}/32 tcp/80") for n in (1, 2))


class SlowDisk:
    """A store, the owners that it is to keep, and a disk that can stand still."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = folder / "memory.json"
        self.owned = {WEB: key("web")}
        self.saved: list[float] = []
        self.disk = threading.Event()
        self.disk.set()
        self.store = OwnedStateStore(self._file, self._owned_state, HERE)
        self.store.load()
        self._loop = asyncio.get_running_loop()
        monkeypatch.setattr(module, "write_stored_state", self._save)

    def _owned_state(self) -> OwnedState:
        return OwnedState(owned=dict(self.owned))

    def _save(self, path: Path, memory: StoredState, router: VppIdentity) -> None:
        self.disk.wait(10)
        self.saved.append(self._loop.time())
        write_stored_state(path, memory, router)

    @property
    def on_disk(self) -> Mapping[VipId, ObjectKey]:
        memory = read_stored_state(self._file, HERE)
        return memory.state.owned if memory else {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.store.run())
        await asyncio.sleep(0)
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    return SlowDisk(tmp_path, monkeypatch)


@pytest.mark.looptime
async def test_what_is_kept_is_on_disk_at_once_and_no_second_time(kept: SlowDisk) -> None:
    async with kept.running():
        kept.store.save_soon()
        kept.owned[API] = key("api")
        kept.store.save_now()
        assert kept.on_disk == kept.owned
        await asyncio.sleep(2 * SPACING)
    kept.store.close()
    assert len(kept.saved) == 1


@pytest.mark.looptime
async def test_however_often_something_is_to_be_kept_it_is_written_twice_a_second(
    kept: SlowDisk,
) -> None:
    async with kept.running():
        for _ in range(20):
            kept.store.save_soon()
            await asyncio.sleep(SPACING / 10)
        await asyncio.sleep(1.2 * SPACING)
    gaps = [later - one for one, later in zip(kept.saved, kept.saved[1:], strict=False)]
    assert len(kept.saved) >= 3
    assert min(gaps) >= SPACING - 0.01


@pytest.mark.looptime
async def test_a_disk_that_stands_still_holds_up_nobody_and_then_has_the_newest(
    kept: SlowDisk,
) -> None:
    kept.disk.clear()
    async with kept.running():
        kept.store.save_soon()
        for _ in range(10):
            await asyncio.sleep(0.01)
            kept.owned.clear()
            kept.store.save_soon()
        assert kept.saved == []
        kept.disk.set()
        await asyncio.sleep(1.5 * SPACING)
        assert kept.on_disk == {}
        assert len(kept.saved) == 2


async def test_what_was_taken_before_never_replaces_the_newer(kept: SlowDisk) -> None:
    older = kept.store._take_snapshot()
    kept.owned[API] = key("api")
    kept.store.save_now()
    kept.store._save(*older)
    assert kept.on_disk == kept.owned


async def test_what_is_due_at_the_end_is_kept(kept: SlowDisk) -> None:
    kept.store.save_soon()
    kept.store.close()
    assert kept.on_disk == kept.owned


async def test_what_is_under_way_at_the_end_is_on_disk_before_the_end(kept: SlowDisk) -> None:
    kept.disk.clear()
    async with kept.running():
        kept.store.save_soon()
        await asyncio.sleep(0.05)
    threading.Timer(0.1, kept.disk.set).start()
    kept.store.close()
    assert kept.on_disk == kept.owned


async def test_where_nothing_was_to_be_kept_nothing_is_written(kept: SlowDisk) -> None:
    async with kept.running():
        await asyncio.sleep(0.01)
    kept.store.close()
    assert kept.saved == []


async def test_a_disk_that_refuses_is_told_and_no_error(
    kept: SlowDisk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    store = OwnedStateStore(tmp_path / "file" / "memory.json", OwnedState, HERE)
    store.load()
    store.save_now()
    assert "the memory of VPP cannot be written" in caplog.text
    (tmp_path / "file").unlink()
    store.close()
    assert read_stored_state(tmp_path / "file" / "memory.json", HERE) == StoredState()


async def test_without_a_file_nothing_is_written(kept: SlowDisk) -> None:
    store = OwnedStateStore(None, OwnedState, HERE)
    store.load()
    store.save_now()
    store.save_soon()
    store.close()
    assert kept.saved == []


async def test_nothing_is_written_over_what_has_not_been_read_yet(tmp_path: Path) -> None:
    file = tmp_path / "memory.json"
    store = OwnedStateStore(file, OwnedState, HERE)
    store.save_now()
    store.save_soon()
    store.close()
    assert not file.exists()


def test_whose_memory_it_is_can_be_asked_before_it_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    store = OwnedStateStore(path, OwnedState, HERE)
    assert store.read_release() is None
    write_stored_state(path, WHOLE, HERE)
    assert store.read_release() == "edge/vpplb"
    path.write_text(path.read_text().replace('"release"', '"other"'))  # as older versions wrote it
    assert store.read_release() == ""
    path.write_text("{")
    assert store.read_release() is None
    assert path.read_text() == "{"
