"""How many descriptors this process may have."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def count_descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


@contextmanager
def descriptors(most: int) -> Iterator[None]:
    """Let this process have no more descriptors, unless it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
