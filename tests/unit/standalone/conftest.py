"""Standalone in haste: what is gathered and looked at now and then is so at once."""

import pytest


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real threads read the files, so real time has to be short instead of loop time."""
    monkeypatch.setattr("vpplb.standalone.manifest_folder.POLL", 0.01)
    monkeypatch.setattr("vpplb.standalone.manifest_folder.SETTLE", 0.01)
    monkeypatch.setattr("vpplb.standalone.local_statuses.SAVE_PAUSE", 0.01)
