"""The manifests that were taken last: the same set again, or none."""

import json
from pathlib import Path

import pytest
import yaml

from data.manifests import Raw, backend, frontend, health_check
from data.objects import key
from vpplb.files.manifests import LoadedManifests, load_manifests
from vpplb.resources.allowances import NOTHING
from vpplb.standalone.taken_manifests import TakenManifests

SECRET: Raw = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "token"},
    "stringData": {"value": "one", "bad": "a\nb"},
}


@pytest.fixture
def taken(tmp_path: Path) -> TakenManifests:
    return TakenManifests(tmp_path / "taken.json", tmp_path)


def load(folder: Path) -> LoadedManifests:
    web = [health_check(), backend("a", "10.0.0.1"), frontend(), SECRET]
    (folder / "all.yaml").write_text(yaml.safe_dump_all(web))
    return load_manifests([folder / "all.yaml"])


def test_what_is_kept_is_the_same_set_again(taken: TakenManifests, tmp_path: Path) -> None:
    taken.save(before := load(tmp_path))
    after = taken.load(NOTHING)
    assert after is not None
    assert (after.frontends, after.backends, after.health_checks) == (
        before.frontends,
        before.backends,
        before.health_checks,
    )
    assert dict(after.secrets[key("token")].values) == {"value": "one"}
    assert (tmp_path / "taken.json").stat().st_mode & 0o777 == 0o600


def test_nothing_is_kept_of_a_set_of_another_folder(taken: TakenManifests, tmp_path: Path) -> None:
    taken.save(load(tmp_path))
    other = TakenManifests(tmp_path / "taken.json", tmp_path / "other")
    assert other.load(NOTHING) is None


@pytest.mark.parametrize(
    "change", ["", "{", "7", "{}", '{"objects": 7}', '{"objects": []}', '{"objects": [7]}']
)
def test_a_file_of_no_use_is_no_set(taken: TakenManifests, tmp_path: Path, change: str) -> None:
    file = tmp_path / "taken.json"
    file.write_text(change.replace("{", f'{{"folder": {json.dumps(str(tmp_path))}, ', 1))
    assert taken.load(NOTHING) is None
    file.write_text(change)
    assert taken.load(NOTHING) is None


def test_a_set_that_is_not_right_any_more_is_none_and_says_why(
    taken: TakenManifests, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taken.save(load(tmp_path))
    text = (tmp_path / "taken.json").read_text()
    (tmp_path / "taken.json").write_text(text.replace("10.0.0.1", "127.0.0.1"))
    assert taken.load(NOTHING) is None
    assert "the manifests that were kept cannot be used" in caplog.text


def test_a_disk_that_refuses_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    TakenManifests(tmp_path / "file" / "taken.json", tmp_path).save(load(tmp_path))
    assert "cannot be kept for the next start" in caplog.text
