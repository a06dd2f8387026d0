"""The lock beside a state file."""

from pathlib import Path

import pytest

from vpplb.files.state_lock import StateInUse, lock_state


def test_a_state_file_is_one_programs_until_it_ends(tmp_path: Path) -> None:
    state_file = tmp_path / "new" / "state.json"
    for _ in range(2):
        with lock_state(state_file):
            said = (
                rf"another vpplb runs with the state file {state_file} \(it holds .*state\.lock\)"
            )
            with pytest.raises(StateInUse, match=said), lock_state(state_file):
                pytest.fail("two have it")
            with lock_state(tmp_path / "other.json"):
                pass


def test_who_may_not_write_there_may_not_lock_it_either(tmp_path: Path) -> None:
    with lock_state(tmp_path / "state.json"):
        assert (tmp_path / "state.lock").stat().st_mode & 0o777 == 0o600


def test_where_no_lock_can_be_made_the_program_works_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with lock_state(tmp_path / "file" / "state.json"):
        assert "would not notice each other" in caplog.text
    (tmp_path / "state.lock").symlink_to(tmp_path / "precious")
    with lock_state(tmp_path / "state.json"):
        assert not (tmp_path / "precious").exists()
