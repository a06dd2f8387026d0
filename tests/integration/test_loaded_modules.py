"""What a program has loaded once it has started: nothing that it may not need."""

import subprocess
import sys

import pytest

from vpplb.cli.verbs.catalog import LINES, list_verbs

SLOW = ("pydantic", "aiohttp", "yaml", "kopf", "cryptography", "vpp_papi", "jsonpatch")
NOT_OF_A_PLAN = (
    "re2", "yaml", "vpplb.model.check", "vpplb.resources.dataplane", "vpplb.resources.secret",
    "vpplb.acting.spec_edits", "vpplb.cli.verbs.object_problems", "vpplb.plan.probe_reach",
)  # fmt: skip
"""What it needs for some objects only, or never."""
VERBS = """
import sys
import vpplb.cli.ctl, vpplb.cli.kubectl.group, vpplb.cli.main, {modules}
print(*[name for name in {slow} if name in sys.modules])
"""
PROGRAMS = """
import sys
import vpplb.controller.app, vpplb.agent.app, vpplb.standalone.app
import vpplb.cli.operator, vpplb.cli.agent, vpplb.cli.standalone
print(*[name for name in sys.modules if name.startswith("opentelemetry")])
"""
STAYING = """
import sys
from vpplb.cli.service_runner import IMPORTED_LATE, run_service
async def main(stop):
    print(*[name for name in IMPORTED_LATE if name not in sys.modules])
run_service(main)
"""


def run_python(code: str) -> list[str]:
    """Return the words that a new Python prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


@pytest.mark.slow
def test_no_verb_but_plan_imports_what_takes_long() -> None:
    """Else `vpplb ctl status` would take half a second, and not a tenth."""
    modules = ", ".join({one.module for one in list_verbs(set(LINES) - {"plan"}).values()})
    assert run_python(VERBS.format(modules=modules, slow=SLOW)) == []


@pytest.mark.slow
def test_a_plan_imports_only_what_it_reads_every_object_with() -> None:
    modules = "vpplb.cli.verbs.plan, vpplb.cli.verbs.manifest_edit"
    named = (*NOT_OF_A_PLAN, "pydantic")
    assert run_python(VERBS.format(modules=modules, slow=named)) == ["pydantic"]


@pytest.mark.slow
def test_without_traces_nothing_of_opentelemetry_is_loaded() -> None:
    assert run_python(PROGRAMS) == []


@pytest.mark.slow
def test_a_program_that_stays_has_loaded_all_that_it_may_need_when_it_begins() -> None:
    assert run_python(STAYING) == []
