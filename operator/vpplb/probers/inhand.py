"""Which check a worker is busy with, noted where its end cannot lose it: in memory it shares.

A note is a view of one number, the generation of the check in hand (0: none), so that writing it
costs next to nothing.
"""

import mmap
import os

_SIZE = 8


def open_note() -> int:
    """Return the descriptor of memory for a note, for both processes to map."""
    descriptor = os.memfd_create("vpplb-in-hand")
    os.ftruncate(descriptor, _SIZE)
    return descriptor


def map_note(descriptor: int = -1) -> memoryview:
    """Return the note in the memory of `open_note`; by default one that nobody else reads."""
    return memoryview(mmap.mmap(descriptor, _SIZE)).cast("Q")
