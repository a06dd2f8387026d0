"""How a process of ours is started: with this Python, and with nothing that is not its own."""

import sys


def make_command(module: str) -> list[str]:
    """Return the command that runs a module in a new interpreter.

    No module of the working directory takes the place of one of ours (-P). Where this interpreter
    heeds no environment and no modules of the user (-I), the new one does not either.
    """
    return [sys.executable, "-I" if sys.flags.isolated else "-P", "-m", module]
