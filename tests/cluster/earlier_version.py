"""The version before this one, as it was released: what an upgrade begins with.

Its wheel and its chart are files here (`python -m build --wheel` and `helm package` at the commit
before the chart got templates for its definitions), since a checkout need not have its history. At
each release the released ones take their place.
"""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from cluster.kubectl import Kubectl

_FILES = Path(__file__).parents[1] / "data" / "earlier"
EARLIER_WHEEL = _FILES / "vpplb-0.1.0-py3-none-any.whl"
EARLIER_CHART = _FILES / "vpplb-0.1.0.tgz"


class EarlierPlugin:
    """`kubectl vpplb` of that version, unpacked into a folder."""

    def __init__(self, folder: Path) -> None:
        with ZipFile(EARLIER_WHEEL) as wheel:
            wheel.extractall(folder)
        self._folder = folder

    def run(self, kubectl: Kubectl, *args: str) -> str:
        """Run it in kubectl's namespace, and return what it printed; it has to end well."""
        program = "from vpplb.cli.kubectl.main import main; main()"
        at = (f"--kubeconfig={kubectl.kubeconfig}", f"--namespace={kubectl.namespace}")
        own = {"PYTHONPATH": str(self._folder), "VPPLB_KUBECTL": str(kubectl.binary)}
        done = subprocess.run(
            [sys.executable, "-c", program, *args, *at],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **own},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
