from pathlib import Path

import pytest

from vpplb.files.json_files import UnusableFile, read_json, set_aside, write_json


def test_what_is_written_is_read_back_and_folders_are_made(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "state.json"
    write_json(file, {"text": "→", "number": 1})
    assert read_json(file) == {"text": "→", "number": 1}
    write_json(file, [])
    assert read_json(file) == []
    assert [one.name for one in file.parent.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"nothing"])
def test_what_cannot_be_understood_is_said(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "state.json"
    file.write_bytes(content)
    with pytest.raises(UnusableFile, match="it is damaged: "):
        read_json(file)
    write_json(file, 1)
    assert read_json(file) == 1


def test_what_is_not_there_reads_as_nothing_and_what_is_no_file_is_said(tmp_path: Path) -> None:
    assert read_json(tmp_path / "state.json") is None
    with pytest.raises(UnusableFile, match="it cannot be read: Is a directory"):
        read_json(tmp_path)


def test_a_second_file_of_no_use_replaces_the_first_that_was_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    for text in ("old", "new"):
        file.write_text(text)
        assert set_aside(file, "it is damaged") == (
            f"{file} is not used: it is damaged (kept as state.json.unusable)"
        )
    assert [one.read_text() for one in tmp_path.iterdir()] == ["new"]


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_json(file, {"a": 1})
    before = file.stat()
    write_json(file, {"a": 1})
    after = file.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_write_that_fails_leaves_the_old_content_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "state.json"
    write_json(file, "old")
    monkeypatch.setattr("vpplb.files.json_files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(file, "new")
    assert read_json(file) == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_no_json_leaves_the_old_content(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_json(file, "old")
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert read_json(file) == "old"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write_json(tmp_path / "file" / "state.json", 1)
