"""The state file holds the old or the new, and never half of either."""

from pathlib import Path

import pytest

from vpplb.files.state_file import StateFile, Statuses, name_beside
from vpplb.model.names import ObjectKey

STATUSES: Statuses = {
    "Backend": {ObjectKey("shop", "a"): {"state": "up"}, ObjectKey("shop", "b"): {}},
    "Dataplane": {ObjectKey("", "n1"): {"vpp": {"pid": 7}}},
}


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "new" / "state.json")
    file.save_statuses(STATUSES)
    assert file.load_statuses() == STATUSES


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "\0", '{"Backend": 3}', '{"Backend": {"a": 1}}']
)
def test_what_makes_no_sense_is_left_out(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    assert not any(StateFile(path).load_statuses().values())


def test_a_file_that_makes_no_sense_at_all_is_set_aside_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.json"
    path.write_text("not json")
    file = StateFile(path)
    assert file.load_statuses() == {}
    assert (tmp_path / "state.json.unusable").read_text() == "not json"
    assert f"{path} is not used: it is damaged" in caplog.text
    assert file.trouble.startswith(f"{path} is not used: it is damaged")


def test_nothing_is_loaded_where_there_is_no_file(tmp_path: Path) -> None:
    assert StateFile(tmp_path / "state.json").load_statuses() == {}


def test_what_can_be_read_of_a_damaged_file_is(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"Backend": {"x": {}, "a/b": {"state": "up"}, "c/d": 7}}')
    assert StateFile(path).load_statuses() == {"Backend": {ObjectKey("a", "b"): {"state": "up"}}}


def test_the_file_is_replaced_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json")
    file.save_statuses(STATUSES)
    with (tmp_path / "state.json").open() as reader:
        file.save_statuses({})
        assert "up" in reader.read(), "a reader of the old file goes on reading it"
    assert file.load_statuses() == {}
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_nothing_is_written_where_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    StateFile(path).save_statuses(STATUSES)
    before = path.stat()
    StateFile(path).save_statuses(
        {kind: dict(sorted(of.items(), reverse=True)) for kind, of in STATUSES.items()}
    )
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = StateFile(tmp_path / "state.json")
    file.save_statuses(STATUSES)

    def full(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="disk full"):
        file.save_statuses({})
    assert file.load_statuses() == STATUSES
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_what_goes_with_a_state_file_has_its_whole_name() -> None:
    assert name_beside(Path("/x/one.json"), "lock") == Path("/x/one.lock")
    assert name_beside(Path("/x/one.east"), "lock") == Path("/x/one.east.lock")
    assert name_beside(Path("/x/one.west"), "lock") == Path("/x/one.west.lock")
