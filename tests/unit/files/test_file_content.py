"""What is named as a file is read to a limit, and never waited for without one."""

import os
import socket
import threading
from pathlib import Path

import pytest

from vpplb.files.file_content import UnreadableFile, read_content
from vpplb.files.manifests import load_manifests


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    assert len(read_content(tmp_path / "a")) == 3_000_000


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 11)
    with pytest.raises(UnreadableFile, match="has more than 10 bytes"):
        read_content(tmp_path / "a", most=10)


def test_a_device_without_an_end_is_refused() -> None:
    with pytest.raises(UnreadableFile, match="has more than 1,000 bytes"):
        read_content(Path("/dev/zero"), most=1000)


def test_a_pipe_that_nobody_writes_to_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with pytest.raises(UnreadableFile, match=r"nothing came for 0\.05 s"):
        read_content(tmp_path / "a", patience=0.05)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "a"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"x" * 200_000))
    writer.start()
    assert len(read_content(pipe)) == 200_000
    writer.join()


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "a"))
        with pytest.raises(UnreadableFile, match="cannot be read"):
            read_content(tmp_path / "a")


def test_in_a_folder_only_files_are_read_and_others_are_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").symlink_to("/dev/zero")
    (tmp_path / "c.yaml").symlink_to(tmp_path / "nowhere")
    assert [
        str(one).removeprefix(f"{tmp_path}/") for one in load_manifests([tmp_path]).findings
    ] == [
        "a.yaml:1: is no regular file",
        "b.yaml:1: is no regular file",
        "c.yaml:1: cannot be read: No such file or directory",
    ]
