from pathlib import Path

import pytest

from vpplb.files.atomic import read_json, write_json


def test_what_is_written_is_read_back_and_folders_are_made(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "state.json"
    write_json(file, {"text": "→", "number": 1})
    assert read_json(file) == {"text": "→", "number": 1}
    write_json(file, [])
    assert read_json(file) == []
    assert [one.name for one in file.parent.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"nothing"])
def test_what_cannot_be_understood_reads_as_nothing(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "state.json"
    file.write_bytes(content)
    assert read_json(file) is None
    write_json(file, 1)
    assert read_json(file) == 1


def test_what_is_not_there_or_not_a_file_reads_as_nothing(tmp_path: Path) -> None:
    assert read_json(tmp_path / "state.json") is None
    assert read_json(tmp_path) is None


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
    monkeypatch.setattr("vpplb.files.atomic.os.fsync", full)
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
