"""A name in the election is one process's alone, and outlives a restart of its container."""

import os
from pathlib import Path

import pytest

from vpplb.controller.process_identity import ProcessIdentity, claim_identity
from vpplb.files import machine


def claim(folder: Path) -> ProcessIdentity:
    return claim_identity("pod-1", folder)


def release(claimed: ProcessIdentity) -> None:
    """End the process that has it, as far as the lock can tell."""
    assert claimed.lock is not None
    os.close(claimed.lock)


def test_one_that_is_started_again_has_its_name_again(tmp_path: Path) -> None:
    before = claim(tmp_path)
    release(before)
    again = claim(tmp_path)
    assert again.name == before.name
    assert again.name.startswith("pod-1_")
    release(again)


def test_two_at_a_time_have_two_names(tmp_path: Path) -> None:
    first, second = claim(tmp_path), claim(tmp_path)
    assert first.name != second.name
    assert second.name.startswith("pod-1_")
    release(first)


def test_copies_on_other_machines_and_in_other_pods_have_other_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = claim(tmp_path)
    (tmp_path / "other-pod").mkdir()
    other_pod = claim(tmp_path / "other-pod")
    boot = tmp_path / "boot_id"
    boot.write_text("another machine")
    monkeypatch.setattr(machine, "BOOT_ID", boot)
    release(here)
    other_machine = claim(tmp_path)
    assert len({here.name, other_pod.name, other_machine.name}) == 3
    release(other_pod)
    release(other_machine)


def test_without_a_folder_to_write_to_it_is_random(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert claim(missing).name != claim(missing).name
