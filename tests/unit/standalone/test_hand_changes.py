"""What was changed by hand, and for how long that counts."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from data.manifests import Raw, backend, frontend
from data.objects import NOON, key
from vpplb.files.manifests import LoadedManifests, load_manifests
from vpplb.model.names import ObjectKind
from vpplb.model.objects import Backend
from vpplb.standalone.hand_changes import ChangeRefused, HandChanges

BACKEND, FRONTEND = ObjectKind.BACKEND, ObjectKind.FRONTEND
POOLS = [{"name": "main", "backends": [{"name": "a"}, {"name": "b", "weight": 10}]}]
A_WEIGHT = "pools[main].backends[a].weight"


class ChangedFiles:
    """Files in a folder, and changes laid over them."""

    def __init__(self, path: Path) -> None:
        self._file, self.kept = path / "all.yaml", path / "changes.json"
        self.changes = HandChanges(self.kept, lambda: NOON)
        self.read(backend("a", "10.0.0.1"), backend("b", "10.0.0.2"), frontend(pools=POOLS))

    def read(self, *manifests: Raw) -> None:
        """Have these files, and lay the changes over them."""
        self._file.write_text(yaml.safe_dump_all(manifests))
        self.files = load_manifests([self._file])
        assert self.files.findings == []
        self.lay_over()

    def lay_over(self) -> None:
        self.in_force: LoadedManifests = self.changes.lay_over(self.files)

    def restart(self) -> None:
        self.changes = HandChanges(self.kept, lambda: NOON)
        self.changes.load()
        self.lay_over()

    async def edit(self, kind: ObjectKind, name: str, spec: Any, by: str = "ann") -> None:
        """Replace fields of a spec."""
        named = (kind, key(name))
        source = self.files.objects[named]
        made = self.changes.prepare_edit(named, source, lambda before: {**before, **spec}, by)
        await self.changes.put_changes(kind, key(name), made, by)
        self.lay_over()

    async def pause(self) -> None:
        await self.edit(BACKEND, "a", {"paused": True})

    async def weigh(self, weight: int) -> None:
        members = [{"name": "a", "weight": weight}, {"name": "b", "weight": 10}]
        await self.edit(FRONTEND, "web", {"pools": [{"name": "main", "backends": members}]})

    @property
    def backend(self) -> Backend:
        return self.in_force.backends[key("a")]

    @property
    def weights(self) -> list[int]:
        return [one.weight for one in self.in_force.frontends[key("web")].pools[0].members]

    def told(self) -> list[str]:
        every = [(BACKEND, "a"), (BACKEND, "b"), (FRONTEND, "web")]
        return [
            str(one) for kind, name in every for one in self.changes.list_changes(kind, key(name))
        ]


@pytest.fixture
def changed(tmp_path: Path) -> ChangedFiles:
    return ChangedFiles(tmp_path)


async def test_a_change_is_in_force_over_restarts_and_says_how_it_deviates(
    changed: ChangedFiles,
) -> None:
    await changed.pause()
    await changed.weigh(5)
    changed.restart()
    assert changed.backend.paused
    assert changed.weights == [5, 10]
    assert changed.changes.count == 2
    assert changed.told() == [
        "paused is true, the files say false",
        f"{A_WEIGHT} is 5, the files say 100",
    ]
    (one,) = changed.changes.list_changes(BACKEND, key("a"))
    assert (one.by, one.at) == ("ann", NOON.isoformat())


async def test_what_is_taken_back_deviates_no_more(changed: ChangedFiles) -> None:
    await changed.pause()
    await changed.edit(BACKEND, "a", {"paused": False})
    await changed.weigh(5)
    await changed.weigh(100)
    assert changed.told() == []
    changed.restart()
    assert not changed.backend.paused


async def test_a_second_change_leaves_the_first_as_it_was_made(changed: ChangedFiles) -> None:
    await changed.pause()
    before = changed.changes.list_changes(BACKEND, key("a"))
    await changed.edit(BACKEND, "a", {"enabled": False, "paused": True})
    assert changed.changes.list_changes(BACKEND, key("a"))[-1:] == before
    assert (changed.backend.enabled, changed.backend.paused) == (False, True)


async def test_other_edits_of_the_files_leave_a_change_in_force(changed: ChangedFiles) -> None:
    """A port that changes in the file changes, and the pause stays (haproxy#1412, haproxy#2103)."""
    await changed.pause()
    await changed.weigh(5)
    turned = [
        {"name": "new", "backends": [{"name": "b"}]},
        {"name": "main", "backends": [{"name": "b", "weight": 11}, {"name": "a"}]},
    ]
    changed.read(
        backend("a", "10.0.0.9", enabled=False), backend("b", "10.0.0.2"), frontend(pools=turned)
    )
    assert str(changed.backend.address) == "10.0.0.9"
    assert (changed.backend.enabled, changed.backend.paused) == (False, True)
    pools = changed.in_force.frontends[key("web")].pools
    assert [[one.weight for one in pool.members] for pool in pools] == [[100], [11, 5]]


async def test_the_log_says_once_who_made_a_change_and_who_took_it_back(
    changed: ChangedFiles, caplog: pytest.LogCaptureFixture
) -> None:
    await changed.pause()
    await changed.edit(BACKEND, "a", {"enabled": False}, by="bob")
    await changed.edit(BACKEND, "a", {"paused": False}, by="bob")
    assert [one.getMessage() for one in caplog.records] == [
        "Backend default/a: paused is true, the files say false (ann, by hand)",
        "Backend default/a: enabled is false, the files say true (bob, by hand)",
        "Backend default/a: paused is false again, as the files say (bob, by hand)",
    ]


async def test_the_files_word_counts_once_they_say_something_new(
    changed: ChangedFiles, caplog: pytest.LogCaptureFixture
) -> None:
    """What a process remembers does not outlive an edit of its configuration (haproxy#3296)."""
    await changed.pause()
    await changed.weigh(5)
    members = [{"name": "a", "weight": 7}, {"name": "b", "weight": 10}]
    web = frontend(pools=[{"name": "main", "backends": members}])
    changed.read(backend("a", "10.0.0.1", paused=True), backend("b", "10.0.0.2"), web)
    assert changed.told() == []
    assert changed.backend.paused
    assert changed.weights == [7, 10]
    assert f"{A_WEIGHT} 5 by hand is over, since the files now say 7" in caplog.text
    await changed.changes.save_due()
    changed.read(backend("a", "10.0.0.1"), backend("b", "10.0.0.2"), frontend(pools=POOLS))
    changed.restart()
    assert [int(changed.backend.paused), *changed.weights] == [0, 100, 10]


async def test_a_change_goes_with_its_object_and_its_member(
    changed: ChangedFiles, caplog: pytest.LogCaptureFixture
) -> None:
    await changed.pause()
    await changed.weigh(5)
    alone = [{"name": "main", "backends": [{"name": "b"}]}]
    changed.read(backend("b", "10.0.0.2"), frontend(pools=alone))
    assert changed.told() == []
    assert "do not have it any more" in caplog.text
    changed.read(backend("a", "10.0.0.1"), backend("b", "10.0.0.2"), frontend(pools=POOLS))
    assert not changed.backend.paused


async def test_all_can_be_forgotten_at_once(changed: ChangedFiles) -> None:
    await changed.pause()
    assert await changed.changes.discard_changes() == [
        "Backend default/a: paused is true, the files say false"
    ]
    changed.restart()
    assert changed.told() == []


@pytest.mark.parametrize(
    ("kind", "name", "spec", "said"),
    [
        (BACKEND, "a", {"address": "10.9.9.9"}, "only paused and enabled of a Backend"),
        (BACKEND, "a", {"healthCheckRef": {"name": "x"}}, "only paused and enabled"),
        (BACKEND, "a", {"paused": "yes"}, "paused"),
        (FRONTEND, "web", {"pools": POOLS * 2}, "must not repeat"),
        (FRONTEND, "web", {"port": 81}, "only weights of a Frontend"),
        (
            FRONTEND,
            "web",
            {"pools": [{"name": "main", "backends": [{"name": "b"}, {"name": "a"}]}]},
            "only weights of a Frontend",
        ),
        (
            FRONTEND,
            "web",
            {
                "pools": [
                    {"name": "main", "backends": [{"name": "a", "weight": 101}, {"name": "b"}]}
                ]
            },
            "weight",
        ),
    ],
)
async def test_what_belongs_to_the_files_is_refused(
    changed: ChangedFiles, kind: ObjectKind, name: str, spec: Any, said: str
) -> None:
    with pytest.raises(ChangeRefused, match=said):
        await changed.edit(kind, name, spec)
    assert changed.told() == []
    assert not changed.kept.exists()


async def test_a_generation_grows_exactly_when_the_spec_in_force_changes(
    changed: ChangedFiles,
) -> None:
    seen = [changed.backend.generation]
    changed.lay_over()
    seen.append(changed.backend.generation)
    await changed.pause()
    seen.append(changed.backend.generation)
    await changed.edit(BACKEND, "a", {"paused": False})
    seen.append(changed.backend.generation)
    assert seen == [1, 1, 2, 3]
    assert changed.in_force.backends[key("b")].generation == 1


async def test_a_change_that_cannot_be_kept_is_not_made(
    changed: ChangedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vpplb.standalone.hand_changes.write_json", full)
    with pytest.raises(OSError, match="No space"):
        await changed.pause()
    changed.lay_over()
    assert not changed.backend.paused


async def test_that_a_change_is_over_is_written_by_a_thread_and_again_until_it_is_kept(
    changed: ChangedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog watches the loop: a disk that hangs must not stop it."""
    await changed.pause()
    writers: list[str] = []

    def full(*_: object, **__: object) -> None:
        writers.append(threading.current_thread().name)
        raise OSError(28, "No space left on device")

    changes = changed.changes
    monkeypatch.setattr("vpplb.standalone.hand_changes.write_json", full)
    changed.read(backend("a", "10.0.0.1", paused=True), frontend(pools=POOLS))
    assert (changed.told(), writers) == ([], [])
    await changes.save_due()
    assert "MainThread" not in writers
    assert "No space left" in changes.trouble
    monkeypatch.undo()
    await changes.save_due()
    assert (changed.kept.read_text(), changes.trouble) == ("[]\n", "")


async def test_changes_that_were_lost_are_told_until_all_are_forgotten(
    changed: ChangedFiles,
) -> None:
    changed.kept.write_text("{")
    changed.restart()
    assert f"{changed.kept} is not used: it is damaged" in changed.changes.trouble
    assert "changes.json.unusable" in changed.changes.trouble
    await changed.pause()
    assert changed.changes.trouble
    await changed.changes.discard_changes()
    assert changed.changes.trouble == ""


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "7",
        '{"a": 1}',
    ],
)
def test_a_damaged_file_is_set_aside_and_the_files_alone_count(
    changed: ChangedFiles, content: str
) -> None:
    changed.kept.write_text(content)
    changed.restart()
    assert changed.told() == []
    assert not changed.backend.paused
    assert changed.kept.with_name("changes.json.unusable").read_text() == content


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "Backend"},
        {"kind": "Backend", "object": "x", "field": "paused"},
        {"kind": "Nonsense", "object": "default/a", "value": True, "files": False},
        {"kind": "Backend", "object": "default/a", "value": "x", "files": False},
        {"kind": "Backend", "object": "default/a", "value": False, "files": None},
        7,
    ],
)
async def test_an_entry_that_makes_no_sense_takes_no_other_with_it(
    changed: ChangedFiles, caplog: pytest.LogCaptureFixture, entry: Any
) -> None:
    await changed.pause()
    known = {"field": "enabled", "by": "", "at": ""}
    bad = {**known, **entry} if isinstance(entry, dict) else entry
    changed.kept.write_text(json.dumps([bad, *json.loads(changed.kept.read_text())]))
    changed.restart()
    assert changed.told() == ["paused is true, the files say false"]
    assert "a change by hand makes no sense and is left out" in caplog.text
    assert changed.changes.trouble == f"{changed.kept}: 1 left out, see the log"


async def test_a_field_that_the_files_leave_blank_has_its_default(changed: ChangedFiles) -> None:
    changed.read(backend("a", "10.0.0.1", enabled=None), backend("b", "10.0.0.2"))
    await changed.edit(BACKEND, "a", {"enabled": False})
    changed.restart()
    assert changed.told() == ["enabled is false, the files say true"]
    assert not changed.backend.enabled
