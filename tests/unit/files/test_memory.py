import json
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from data.objects import key, vip
from vpplb.files import memory
from vpplb.files.memory import (
    Memory,
    Recalled,
    Router,
    owned_of,
    owned_text,
    recall,
    save_memory,
)
from vpplb.sync.vip_state import OwnedState

HERE = Router(node="n1", machine="m", vpp="/run/vpp/api.sock")
V4, V6, ALL_PORTS = vip(), vip("2001:db8::/64", port=443), vip("192.0.2.0/24", port=0)
STATE = OwnedState(
    owned={V4: key("web"), V6: key("api"), ALL_PORTS: key("all")},
    flushed={
        V4: {ip_address("10.0.0.1"): 1767225600, ip_address("10.0.0.2"): 0},
        V6: {ip_address("fd00::1"): 7},
        ALL_PORTS: {},
    },
)


@pytest.mark.parametrize(
    "memory", [Memory(state=STATE, spec={"paused": True, "flowTimeout": "77s"}), Memory()]
)
def test_what_is_kept_is_read_back(tmp_path: Path, memory: Memory) -> None:
    file = tmp_path / "agent" / "memory.json"
    save_memory(file, memory, HERE)
    assert recall(file, HERE) == Recalled(memory=memory)


def test_a_file_that_was_never_written_is_no_memory_and_no_trouble(tmp_path: Path) -> None:
    assert recall(tmp_path / "memory.json", HERE) == recall(None, HERE) == Recalled()


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
    recalled = recall(file, HERE)
    assert recalled.memory is None
    assert f"{file} is not used: it is " in recalled.trouble
    assert recalled.trouble in caplog.text
    assert (tmp_path / "memory.json.unusable").read_text() == content
    assert not file.exists()


def test_what_cannot_be_read_at_all_is_said_and_left_where_it_is(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in recall(tmp_path, HERE).trouble
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
    save_memory(file, Memory(state=STATE), replace(HERE, **other))
    recalled = recall(file, HERE)
    assert recalled.memory is None
    assert said in recalled.trouble


def test_a_machine_without_an_id_is_told_by_node_and_socket(tmp_path: Path) -> None:
    file = tmp_path / "memory.json"
    save_memory(file, Memory(state=STATE), replace(HERE, machine=""))
    assert recall(file, HERE) == Recalled(memory=Memory(state=STATE))


def test_a_socket_is_the_same_by_whatever_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "run")
    there = Router.here("n1", tmp_path / "run" / "api.sock")
    assert Router.here("n1", tmp_path / "var" / "api.sock") == there
    monkeypatch.setattr(memory, "MACHINE_ID", tmp_path / "none")
    assert Router.here("n1", tmp_path / "run" / "api.sock").machine == ""


def test_the_file_is_the_same_whatever_order_things_came_in(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    save_memory(one, Memory(state=STATE), HERE)
    turned = dict(reversed(list(STATE.owned.items())))
    save_memory(other, Memory(state=OwnedState(owned=turned, flushed=STATE.flushed)), HERE)
    assert one.read_text() == other.read_text()


def test_owners_are_texts_that_people_and_we_can_read() -> None:
    text = owned_text(STATE.owned)
    assert text.splitlines() == [
        "192.0.2.0/24 any default/all",
        "192.0.2.10/32 tcp/80 default/web",
        "2001:db8::/64 tcp/443 default/api",
    ]
    assert owned_of(text) == STATE.owned


@pytest.mark.parametrize("text", ["192.0.2.10 default/web", "192.0.2.10/32 tcp/80 web", "\n", []])
def test_owners_that_make_no_sense_are_refused(text: object) -> None:
    with pytest.raises(ValueError):
        owned_of(text)


def test_owners_are_also_read_from_the_map_that_they_once_were() -> None:
    once = {"192.0.2.10/32 tcp/80": "default/web", "2001:db8::/64 tcp/443": "default/api"}
    assert owned_of(once) == {V4: key("web"), V6: key("api")}
