"""All verbs; none imports what takes longer than a command may."""

import subprocess
import sys

import pytest

from vpplb.cli.verbs.catalog import LINES, list_verbs

SLOW = ("pydantic", "aiohttp", "yaml", "kopf", "cryptography", "vpp_papi", "jsonpatch")
LOOKS = """
import sys
import vpplb.cli.ctl, vpplb.cli.kubectl.main, vpplb.cli.main, {modules}
print(*[name for name in {slow} if name in sys.modules])
"""


@pytest.mark.slow
def test_no_verb_but_plan_imports_what_takes_long() -> None:
    """Else `vpplb ctl status` would take half a second, and not a tenth."""
    modules = ", ".join({one.module for one in list_verbs(set(LINES) - {"plan"}).values()})
    looks = LOOKS.format(modules=modules, slow=SLOW)
    done = subprocess.run(
        [sys.executable, "-c", looks], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


def test_each_verb_has_a_line_that_ends_as_a_sentence() -> None:
    assert [line for line in LINES.values() if not line.endswith(".")] == []
