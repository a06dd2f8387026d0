"""JSON files that are replaced whole or not at all.

The new content is written beside the file and renamed over it, so that a reader, and the next
start, see either the old or the new, whenever the power goes. The calls block on the disk.
"""

import json
import os
import tempfile
from pathlib import Path


def read_json(path: Path) -> object:
    """Return the content; None where there is no file that can be read and understood."""
    try:
        content: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content


def write_json(path: Path, content: object, *, indent: int | None = None) -> None:
    """Replace the file, making its folder; OSError when that fails, and then it is as it was.

    Nothing is written where that would change nothing. With an `indent` people read it better,
    but it takes ten times as long.
    """
    text = json.dumps(content, indent=indent) + "\n"
    if _holds(path, text):
        return
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(folder)


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text() == text
    except (OSError, ValueError):
        return False


def _sync_folder(folder: Path) -> None:
    """Make the renaming last, too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
