"""`vpplb crds`: to standard output, or one file a kind."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from vpplb.cli.main import cli
from vpplb.resources.crd import make_crds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def crds() -> dict[str, Any]:
    return make_crds()


def test_without_a_folder_all_go_to_standard_output(crds: dict[str, Any]) -> None:
    result = CliRunner().invoke(cli, ["crds"])
    assert result.exit_code == 0
    assert list(yaml.safe_load_all(result.output)) == list(crds.values())


def test_with_a_folder_each_kind_gets_its_file(tmp_path: Path, crds: dict[str, Any]) -> None:
    folder = tmp_path / "new"
    result = CliRunner().invoke(cli, ["crds", "--output", str(folder)])
    assert result.exit_code == 0
    files = {path.name: yaml.safe_load(path.read_text()) for path in folder.iterdir()}
    assert files == crds


def test_the_folder_can_be_given_in_the_environment(tmp_path: Path, crds: dict[str, Any]) -> None:
    result = CliRunner().invoke(cli, ["crds"], env={"VPPLB_OUTPUT": str(tmp_path)})
    assert result.exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == crds.keys()
