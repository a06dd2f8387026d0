"""The state file: statuses of all objects, for a process that has no API server to keep them.

One JSON object, `{kind: {namespace/name: status}}`, replaced as a whole by renaming, so that a
reader, and the next start, see either the old or the new, whenever the power goes.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vpplb.model.names import ObjectKey

Statuses = Mapping[str, Mapping[ObjectKey, Mapping[str, object]]]
"""Statuses by kind, then by key; the namespace of cluster-scoped kinds is empty."""


class StateFile:
    """A state file at `path`. Its calls block on the disk: run them in a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, dict[ObjectKey, dict[str, object]]]:
        """Read what was saved; whatever is missing or makes no sense is left out."""
        try:
            content = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        if not isinstance(content, dict):
            return {}
        return {kind: _statuses(of_kind) for kind, of_kind in content.items()}

    def save(self, statuses: Statuses) -> None:
        """Replace the file; OSError when that fails, and then the file is as it was.

        Nothing is written where that would change nothing.
        """
        content = {
            kind: {f"{key.namespace}/{key.name}": status for key, status in sorted(of_kind.items())}
            for kind, of_kind in sorted(statuses.items())
        }
        text = json.dumps(content, indent=1) + "\n"
        if not self._is(text):
            self._replace(text)

    def _is(self, text: str) -> bool:
        try:
            return self._path.read_text() == text
        except (OSError, ValueError):
            return False

    def _replace(self, text: str) -> None:
        folder = self._path.parent
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(handle, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Make the renaming last, too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _statuses(of_kind: object) -> dict[ObjectKey, dict[str, object]]:
    if not isinstance(of_kind, dict):
        return {}
    return {
        ObjectKey(*name.split("/", 1)): status
        for name, status in of_kind.items()
        if "/" in name and isinstance(status, dict)
    }
