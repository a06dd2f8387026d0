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
    VppLock(tmp_path / "none" / "api.sock").acquire()


async def test_where_no_lock_can_be_made_that_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    lock = VppLock(tmp_path / "api.sock")
    lock.acquire()
    lock.acquire()
    assert caplog.text.count("would not notice each other") == 1
