"""The list of work-arounds is the list of marks in the code."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_work_around_is_marked_in_the_code_and_listed_in_the_documentation() -> None:
    ours = [p for p in (ROOT / "operator").rglob("*.py") if "simulator" not in p.parts]
    sources = "".join(path.read_text() for path in ours)
    marked = set(re.findall(r"VPP quirk: ([^.\n]+)\.", sources))
    listed = set(re.findall(r"^\| ([^|]+?) \|", (ROOT / "docs/vpp-quirks.md").read_text(), re.M))
    assert marked == listed - {"quirk"} - {"---"}


def test_the_tests_that_the_documentation_names_exist() -> None:
    text = (ROOT / "docs/vpp-quirks.md").read_text()
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"::(test_\w+)", text)
    assert named
    assert [name for name in named if f"def {name}(" not in tests] == []
