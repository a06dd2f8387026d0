"""Text made fit to read: in a terminal, a log, or a CI's output.

Names in files, reason phrases, certificates, errors of VPP and of the API server are other
people's. An escape code in them would move the cursor, a line break would forge a line, a
bidirectional mark would show it in another order (CVE-2021-42574). Whatever cannot be printed is
written as JSON writes it, so that a JSON text means the same before and after.
"""

import json
from collections.abc import Sequence


def make_printable(text: str, *, keep: str = "") -> str:
    r"""Return `text` on one line, with `\u001b` in place of ESC, `\n` in place of a line break.

    What is escaped is what `str.isprintable` says: C0, DEL, C1, marks of direction, separators of
    lines, lone surrogates. The characters of `keep` stay.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in keep else json.dumps(one)[1:-1] for one in text
    )


def join_few(texts: Sequence[str], separator: str = ", ", *, most: int = 5) -> str:
    """Join the first few and count the others: hundreds of nodes make no endless message."""
    more = [f"and {len(texts) - most} more"] if len(texts) > most else []
    return separator.join([*texts[:most], *more])
