"""The state file: statuses of all objects, for a process that has no API server to keep them.

One JSON object, `{kind: {namespace/name: status}}`, replaced as a whole.
"""

from collections.abc import Mapping
from pathlib import Path

from vpplb.files.json_files import UnusableFile, read_json, set_aside, write_json
from vpplb.model.names import ObjectKey

Statuses = Mapping[str, Mapping[ObjectKey, Mapping[str, object]]]
"""Statuses by kind, then by key; the namespace of cluster-scoped kinds is empty."""


def name_beside(state_file: Path, what: str) -> Path:
    """Name a file beside a state file: `x.lock` for `x.json`, `x.east.lock` for `x.east`."""
    name = state_file.name.removesuffix(".json")
    return state_file.with_name(f"{name}.{what}")


class StateFile:
    """A state file at `path`. Its calls block on the disk: run them in a thread.

    `trouble` says why the file that there was is not used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble = ""

    def load_statuses(self) -> dict[str, dict[ObjectKey, dict[str, object]]]:
        """Read what was saved; whatever is missing or makes no sense is left out.

        A file that makes no sense at all is set aside, and that is logged.
        """
        try:
            content = read_json(self.path)
            if content is None:
                return {}
            if not isinstance(content, dict):
                raise UnusableFile("it holds no statuses")
        except UnusableFile as error:
            self.trouble = set_aside(self.path, str(error))
            return {}
        return {kind: _parse_statuses(of_kind) for kind, of_kind in content.items()}

    def save_statuses(self, statuses: Statuses) -> None:
        """Replace the file; OSError when that fails, and then the file is as it was.

        Nothing is written where that would change nothing.
        """
        content = {
            kind: {f"{key.namespace}/{key.name}": status for key, status in sorted(of_kind.items())}
            for kind, of_kind in sorted(statuses.items())
        }
        write_json(self.path, content, indent=1)


def _parse_statuses(of_kind: object) -> dict[ObjectKey, dict[str, object]]:
    if not isinstance(of_kind, dict):
        return {}
    return {
        ObjectKey(*name.split("/", 1)): status
        for name, status in of_kind.items()
        if "/" in name and isinstance(status, dict)
    }
