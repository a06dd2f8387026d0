import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(("flag", "passed_on"), [("-P", "-P"), ("-I", "-I")])
def test_a_process_is_as_isolated_as_the_one_that_starts_it(flag: str, passed_on: str) -> None:
    code = (
        "from vpplb.probers.child_command import make_command; print(make_command('some.module'))"
    )
    done = subprocess.run([sys.executable, flag, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == str([sys.executable, passed_on, "-m", "some.module"])
