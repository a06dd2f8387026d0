import os

from vpplb.probers.inhand import map_note, open_note


def test_what_one_process_notes_the_other_reads() -> None:
    descriptor = open_note()
    written, read = map_note(descriptor), map_note(descriptor)
    os.close(descriptor)
    written[0] = 1 << 40
    assert read[0] == 1 << 40
