"""JSON files that are replaced whole or not at all.

The new content is written beside the file and renamed over it, so that a reader, and the next
start, see either the old or the new, whenever the power goes. The calls block on the disk.
"""

import json
import logging
import os
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)


class UnusableFile(Exception):
    """A file is there, but cannot be read, or makes no sense; the text says why."""


def read_json(path: Path) -> object:
    """Return the content, None where there is no file; UnusableFile."""
    try:
        content: object = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnusableFile(f"it cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UnusableFile(f"it is damaged: {error}") from error
    if content is None:
        raise UnusableFile("it is damaged: it says nothing")
    return content


def set_aside(path: Path, why: str) -> str:
    """Log that a file is of no use, keep it beside under another name, and return that in words.

    So nothing is lost, and the next writing does not replace what a person may still need.
    """
    said = f"{path} is not used: {why}"
    kept = path.with_name(f"{path.name}.unusable")
    if path.is_file():
        try:
            path.replace(kept)
            said += f" (kept as {kept.name})"
        except OSError as error:
            said += f" (it cannot be renamed: {error.strerror})"
    log.error("%s", said)
    return said


def write_json(path: Path, content: object, *, indent: int | None = None) -> None:
    """Replace the file, making its folder; OSError when that fails, and then it is as it was.

    Nothing is written where that would change nothing. With an `indent` people read it better,
    but it takes ten times as long.
    """
    text = json.dumps(content, indent=indent) + "\n"
    if _has_content(path, text):
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


def _has_content(path: Path, text: str) -> bool:
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
