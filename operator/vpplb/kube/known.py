"""The newest status that the API server is known to have, for each object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vpplb.kube.kinds import JsonObject, Kind
from vpplb.model.names import ObjectKey


class Seen(NamedTuple):
    """What an object showed: its version, its UID and its status."""

    version: int
    uid: str
    status: Mapping[str, object]


def seen_in(raw: JsonObject) -> Seen:
    """Return what an object of the API server shows."""
    metadata = raw["metadata"]
    return Seen(int(metadata["resourceVersion"]), metadata["uid"], raw.get("status") or {})


@dataclass(slots=True)
class KnownStatuses:
    """Told by watches and by the answers to our own writes, in whatever order they come."""

    _seen: dict[tuple[Kind, ObjectKey], Seen] = field(default_factory=dict)

    def saw(self, kind: Kind, key: ObjectKey, now: Seen) -> None:
        """Take note of a status; one older than what is known is ignored.

        So the echo of an earlier write does not undo what a later one told. Versions are
        compared as numbers, as Kubernetes 1.35 and later guarantee.
        """
        seen = self._seen.get((kind, key))
        if seen is None or now.version >= seen.version:
            self._seen[kind, key] = now

    def get(self, kind: Kind, key: ObjectKey) -> Seen | None:
        """Return what is known of an object, None for nothing."""
        return self._seen.get((kind, key))

    def forget(self, kind: Kind, key: ObjectKey) -> None:
        """Know nothing of an object any more."""
        self._seen.pop((kind, key), None)
