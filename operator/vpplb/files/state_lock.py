"""One program for one state file: a lock beside it, for as long as the program runs.

A second program would take the first one's file for its own, and write over what it keeps there.
The lock ends with its process, however that ends; its file stays, since whoever removed it could
not know that nobody is about to take it.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vpplb.files.state_file import name_beside

log = logging.getLogger(__name__)


class StateInUse(Exception):
    """Another program runs with the same state file; the text says so."""


@contextmanager
def lock_state(state_file: Path) -> Iterator[None]:
    """Have a state file, and those beside it, alone while this is entered (StateInUse).

    Where no lock can be made that is logged, and the program works all the same.
    """
    path = name_beside(state_file, "lock")
    handle: int | None = None
    try:
        handle = _lock_file(path)
    except BlockingIOError as error:
        said = f"another vpplb runs with the state file {state_file} (it holds {path})"
        raise StateInUse(said) from error
    except OSError as error:
        log.warning("two programs with this state file would not notice each other: %s", error)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _lock_file(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Readable for its owner alone: who can open a file can lock it.
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle
