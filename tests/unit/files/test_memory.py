import json
from ipaddress import ip_address
from pathlib import Path

import pytest

from support.objects import key, vip
from vpplb.engine.vipbook import SyncerState
from vpplb.files.memory import load_memory, owned_of, owned_text, save_memory

V4, V6, ALL_PORTS = vip(), vip("2001:db8::/64", port=443), vip("192.0.2.0/24", port=0)
STATE = SyncerState(
    owned={V4: key("web"), V6: key("api"), ALL_PORTS: key("all")},
    flushed={
        V4: {ip_address("10.0.0.1"): 1767225600, ip_address("10.0.0.2"): 0},
        V6: {ip_address("fd00::1"): 7},
        ALL_PORTS: {},
    },
)


@pytest.mark.parametrize("state", [STATE, SyncerState()])
def test_what_is_kept_is_read_back(tmp_path: Path, state: SyncerState) -> None:
    file = tmp_path / "agent" / "memory.json"
    save_memory(file, state)
    assert load_memory(file) == state


def test_a_file_that_was_never_written_is_no_memory(tmp_path: Path) -> None:
    assert load_memory(tmp_path / "memory.json") is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"version": 0, "owned": "", "flushed": {}}',
        '{"version": 2}',
        '{"version": 2, "owned": [], "flushed": {}}',
        '{"version": 2, "owned": "nonsense default/web", "flushed": {}}',
        '{"version": 2, "owned": "192.0.2.10/32 tcp/80 web", "flushed": {}}',
        '{"version": 2, "owned": "", "flushed": []}',
        '{"version": 2, "owned": "", "flushed": {"192.0.2.10/32 tcp/80": {"here": 1}}}',
        '{"version": 2, "owned": "", "flushed": {"192.0.2.10/32 tcp/80": {"10.0.0.1": null}}}',
    ],
)
def test_a_file_that_makes_no_sense_is_no_memory(tmp_path: Path, content: str) -> None:
    file = tmp_path / "memory.json"
    file.write_text(content)
    assert load_memory(file) is None


def test_the_file_is_the_same_whatever_order_things_came_in(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    save_memory(one, STATE)
    turned = dict(reversed(list(STATE.owned.items())))
    save_memory(other, SyncerState(owned=turned, flushed=STATE.flushed))
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


def test_owners_are_also_read_from_the_map_that_they_once_were(tmp_path: Path) -> None:
    once = {"192.0.2.10/32 tcp/80": "default/web", "2001:db8::/64 tcp/443": "default/api"}
    assert owned_of(once) == {V4: key("web"), V6: key("api")}
    flushed = {"192.0.2.10/32 tcp/80": {"10.0.0.1": 7}}
    file = tmp_path / "memory.json"
    file.write_text(json.dumps({"version": 1, "owned": once, "flushed": flushed}))
    assert load_memory(file) == SyncerState(
        owned=owned_of(once), flushed={V4: {ip_address("10.0.0.1"): 7}}
    )
