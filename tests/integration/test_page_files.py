"""Files in pages of the documentation that others read: the chart, and Prometheus."""

import subprocess
from pathlib import Path

import pytest

from cluster.binaries import ensure
from cluster.charts import render_chart
from data.pages import PAGES, CodeBlock, list_blocks

pytestmark = pytest.mark.slow


def _blocks_for(reader: str) -> list[CodeBlock]:
    return [block for page in PAGES for block in list_blocks(page) if block.reader == reader]


@pytest.mark.parametrize("block", _blocks_for("values"), ids=str)
def test_the_chart_takes_values(block: CodeBlock, tmp_path: Path) -> None:
    helm = ensure(("helm",), print)["helm"]
    values = tmp_path / "values.yaml"
    values.write_text(block.text)
    assert render_chart(helm, f"--values={values}") != render_chart(helm)


@pytest.mark.parametrize("block", _blocks_for("prometheus"), ids=str)
def test_prometheus_takes_a_configuration(block: CodeBlock, tmp_path: Path) -> None:
    """Files of certificates and tokens that it names are not on this machine: syntax alone."""
    promtool = ensure(("promtool",), print)["promtool"]
    file = tmp_path / "prometheus.yaml"
    file.write_text(block.text)
    command = [str(promtool), "check", "config", "--syntax-only", "--lint-fatal", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
