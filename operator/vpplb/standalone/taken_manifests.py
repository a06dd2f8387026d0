"""The manifests that were taken last, kept over a restart.

A set with a mistake is refused, and what runs goes on. That must hold as well when the program
starts anew meanwhile, for whatever reason: else a mistake that did no harm for weeks is an outage
on the night of a power cut.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from vpplb.files.json_files import UnusableFile, read_json, write_json
from vpplb.files.manifests import LoadedManifests, load_document
from vpplb.files.yaml_documents import YamlDocument
from vpplb.resources.allowances import AddressAllowances

log = logging.getLogger(__name__)


class TakenManifests:
    """The objects of the set of `folder` that was taken last, in the file `path`.

    Secrets are among them, so nobody but the owner can read it. Its calls block on the disk.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self._path, self._folder = path, str(folder.absolute())

    def save(self, loaded: LoadedManifests) -> None:
        """Keep a set that was taken; where that cannot be it is logged."""
        content = {"folder": self._folder, "objects": list(_iter_raw(loaded))}
        try:
            write_json(self._path, content)
        except (OSError, TypeError, ValueError) as error:
            log.error("the manifests cannot be kept for the next start: %s", error)

    def load(self, allowed: AddressAllowances) -> LoadedManifests | None:
        """Return the set; None when there is none of this folder, or it is not right any more."""
        try:
            content = read_json(self._path)
        except UnusableFile as error:
            log.error("%s is not used: %s", self._path, error)
            return None
        if not isinstance(content, Mapping) or content.get("folder") != self._folder:
            return None
        loaded, kept = LoadedManifests(allowed=allowed), content.get("objects")
        for raw in kept if isinstance(kept, list) else ():
            load_document(loaded, str(self._path), YamlDocument(value=raw, line=1, lines={}))
        for finding in loaded.findings:
            log.error("the manifests that were kept cannot be used: %s", finding)
        return loaded if loaded.objects and not loaded.findings else None

    def read_time(self) -> float:
        """Return since when the set is the one (Unix seconds)."""
        return self._path.stat().st_mtime


def _iter_raw(loaded: LoadedManifests) -> Iterator[Mapping[str, object]]:
    for source in loaded.objects.values():
        yield source.raw
    for key, secret in sorted(loaded.secrets.items()):
        values = {name: value for name, value in secret.values.items() if value is not None}
        metadata = key._asdict()
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}
