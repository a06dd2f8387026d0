"""Coverage-guided fuzzing of what reads manifests (atheris, libFuzzer).

    PYTHONPATH=tests python tests/fuzz/fuzz_manifests.py [CORPUS] [-max_total_time=60 …]

Whatever a file holds is a finding with a line of the file, or an object.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["vpplb.files", "vpplb.resources"]):
    from vpplb.files.manifests import load_manifests

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDER = Path(tempfile.mkdtemp())
FILE = FOLDER / "a.yaml"
START = b"apiVersion: vpplb.dev/v1alpha1\nkind: "
KINDS = (b"HealthCheck", b"Backend", b"Frontend", b"Dataplane", b"List", b"")


def one(data: bytes) -> None:
    """Run one input; whatever must not happen raises. The first byte says how it begins."""
    if not data:
        return
    kind = data[0] % (len(KINDS) + 1)
    FILE.write_bytes((START + KINDS[kind] + b"\n" if kind < len(KINDS) else b"") + data[1:])
    loaded = load_manifests([FILE])
    lines = FILE.read_bytes().count(b"\n") + FILE.read_bytes().count(b"\r") + 2
    assert all(1 <= finding.line <= lines for finding in loaded.findings), loaded.findings
    for finding in loaded.findings:
        str(finding)


def main() -> None:
    """Fuzz until stopped, or as libFuzzer's options say."""
    corpus = FOLDER / "corpus"  # the first folder is written to; the examples are read only
    corpus.mkdir()
    given = any(not one.startswith("-") for one in sys.argv[1:])
    atheris.Setup([*sys.argv, *([] if given else [str(corpus), str(EXAMPLES)])], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
