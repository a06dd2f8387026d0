"""Of several agents on one VPP one programs it, the next when that one has ended."""

import asyncio
import os
from pathlib import Path

import pytest

from vpplb.sync.ports import LoadBalancerGone
from vpplb.vpp.lock import PAUSE, VppLock

pytestmark = pytest.mark.looptime


async def test_the_second_waits_and_says_why_once(tmp_path: Path) -> None:
    first, second = VppLock(tmp_path / "api.sock"), VppLock(tmp_path / "api.sock")
    first.acquire()
    first.acquire()
    said: list[str] = []
    waiting = asyncio.create_task(second.wait_acquired(said.append))
    await asyncio.sleep(10 * PAUSE)
    assert said == [
        f"another vpplb programs this VPP (it holds {tmp_path}/api.sock.vpplb); waiting for its end"
    ]
    first.release()
    await asyncio.sleep(PAUSE)
    assert waiting.done()
    with pytest.raises(LoadBalancerGone):
        first.acquire()
    second.release()


async def test_a_socket_by_another_path_is_the_same_vpp(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "run")
    first, second = (VppLock(tmp_path / name / "api.sock") for name in ("run", "var"))
    first.acquire()
    with pytest.raises(LoadBalancerGone):
        second.acquire()
    VppLock(tmp_path / "run" / "other.sock").acquire()


async def test_a_folder_that_was_made_anew_has_a_new_lock(tmp_path: Path) -> None:
    first, second = VppLock(tmp_path / "api.sock"), VppLock(tmp_path / "api.sock")
    first.acquire()
    first.path.unlink()
    second.acquire()
    with pytest.raises(LoadBalancerGone):
        first.acquire()
    second.release()
    first.acquire()


async def test_without_a_folder_there_is_no_vpp_to_lock(tmp_path: Path) -> None:
    lock = VppLock(tmp_path / "none" / "api.sock")
    lock.acquire()
    assert not lock.held


async def test_where_no_lock_can_be_made_that_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    lock = VppLock(tmp_path / "api.sock")
    assert lock.describe_state() == "not held"
    lock.acquire()
    lock.acquire()
    assert caplog.text.count("would not notice each other") == 1
    assert lock.describe_state().endswith(
        "would not notice each other: [Errno 13] Permission denied"
    )
    monkeypatch.undo()
    lock.acquire()
    assert (lock.describe_state(), lock.trouble) == ("held", "")


@pytest.mark.parametrize("there", ["", "api.sock"])
def test_who_may_not_use_this_vpp_cannot_lock_its_programmer_out(
    tmp_path: Path, there: str
) -> None:
    """A lock is taken by whoever may open the file, for reading too: it is its VPP's group's."""
    if there:
        (tmp_path / there).touch()
    group = next(iter(set(os.getgroups()) - {os.getgid()}), os.getgid())
    os.chown(tmp_path / there, -1, 4242 if os.geteuid() == 0 else group)
    before = os.umask(0)
    try:
        VppLock(tmp_path / "api.sock").acquire()
    finally:
        os.umask(before)
    made = (tmp_path / "api.sock.vpplb").stat()
    assert oct(made.st_mode & 0o777) == "0o640"
    assert made.st_gid == (tmp_path / there).stat().st_gid
