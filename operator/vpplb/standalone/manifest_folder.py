"""The folder of manifests as the source of objects: read, compared, put into the store."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vpplb.files.findings import BadManifests
from vpplb.files.manifests import LoadedManifests, ObjectId, list_files, load_manifests
from vpplb.files.state_file import StateFile
from vpplb.model.clock import SystemClock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import Backend, Frontend, HealthCheck
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.allowances import NOTHING, AddressAllowances
from vpplb.resources.backend import load_health
from vpplb.resources.previous_decision import load_previous
from vpplb.standalone.hand_changes import HandChanges
from vpplb.standalone.taken_manifests import TakenManifests

log = logging.getLogger(__name__)

POLL = 0.5
"""Seconds between looks at the files' times and sizes."""
SETTLE = 0.1
"""Seconds that files must stay as they are before they are read: half a copy is not the set."""
SETTLE_LIMIT = 5.0
"""Seconds after which files that do not stay as they are have to wait for the next look."""

Stamp = tuple[tuple[str, int, int, int], ...]


class ManifestFolder:
    """Manifests in `path`, taken into the store of `reconciler` whenever they change.

    A set with a mistake is refused as a whole, each finding logged with file and line; what
    runs goes on. `on_loaded` is called with each set that was taken, with `changes` laid over
    it; `reading` is entered while files are read again. `refused` says why the newest set is not
    in force, empty when it is, and `taken_at` (Unix seconds) when one last came into force.
    """

    def __init__(
        self,
        path: Path,
        reconciler: Reconciler,
        on_upsert: Callable[[ObjectKind, ObjectKey, Mapping[str, object]], None],
        on_delete: Callable[[ObjectKind, ObjectKey], None],
        on_loaded: Callable[[LoadedManifests], None],
        changes: HandChanges,
        taken: TakenManifests,
        allowed: AddressAllowances = NOTHING,
        reading: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._path = path
        self._allowed = allowed
        self._changes, self._taken = changes, taken
        self._files = LoadedManifests()
        self._one_at_a_time, self._one_reading = asyncio.Lock(), asyncio.Lock()
        self._reconciler = reconciler
        self._on_upsert, self._on_delete, self._on_loaded = on_upsert, on_delete, on_loaded
        self._present: dict[tuple[str, ObjectKey], object] = {}
        self._reading = reading
        self._stamp: Stamp | None = None  # None: to be read at the next look
        self.refused = ""
        self.taken_at = 0.0
        self.reload = asyncio.Event()

    def start(self, state: StateFile) -> None:
        """Read for the first time, resuming from the state file.

        Where the files are wrong those that an earlier run took last are in force; BadManifests
        when there are none.
        """
        self._stamp = _make_stamp(self._path)
        loaded = load_manifests([self._path], self._allowed)
        before = self._taken.load(self._allowed) if loaded.findings else None
        if loaded.findings and before is None:
            raise BadManifests(loaded.findings)
        self._changes.load()
        self._apply_manifests(before or loaded, state.load_statuses())
        if before is None:
            self._taken.save(loaded)
        else:
            self.taken_at = self._taken.read_time()
            self._refuse(loaded)

    async def run(self) -> None:
        """Read again when a file changes or `reload` is set, until cancelled."""
        async with self._one_at_a_time:
            await self._changes.save_due()
        while True:
            try:
                async with asyncio.timeout(POLL):
                    await self.reload.wait()
            except TimeoutError:
                pass
            if self.reload.is_set() or await self._read_stamp() != self._stamp:
                self.reload.clear()
                await self.read_again()

    async def read_again(self) -> list[str]:
        """Read the files now, and return what is wrong with them; nothing: they are in force."""
        async with self._one_reading:  # alone, so that steering need not wait for files to settle
            with self._reading():
                stamp = await self._wait_settled()
                if stamp is None:
                    return [self._refuse_unsettled()]
                async with self._one_at_a_time:
                    self._stamp = stamp
                    findings = await self._reload_manifests()
                    await self._changes.save_due()
                    return findings

    async def change_object(self, name: ObjectId, edit: Callable[[Any], Any], by: str) -> None:
        """Change the spec of an object beside the files (ChangeRefused, OSError: not done)."""
        async with self._one_at_a_time:
            changes = self._changes.prepare_edit(name, self._files.objects.get(name), edit, by)
            await self._changes.put_changes(ObjectKind(name[0]), name[1], changes, by)
            self.apply_changes()

    async def discard_changes(self) -> list[str]:
        """Let the files alone count, and return what was forgotten (OSError: nothing)."""
        async with self._one_at_a_time:
            discarded = await self._changes.discard_changes()
            self.apply_changes()
            return discarded

    def apply_changes(self) -> None:
        """Put the files that were taken last in force, with the changes that there are now."""
        self._put_in_force({})

    async def _reload_manifests(self) -> list[str]:
        try:
            loaded = await asyncio.to_thread(load_manifests, [self._path], self._allowed)
        except FileNotFoundError:  # a folder vanished while it was read: look again
            self._stamp = None
            return ["a folder vanished while it was read"]
        except Exception as error:  # whatever nobody thought of: what runs goes on
            log.exception("the manifests cannot be read, the old ones stay in force")
            self._note_refusal(f"they cannot be read ({error})")
            return [f"the manifests cannot be read: {error}"]
        if loaded.findings:
            self._refuse(loaded)
        else:
            log.info("manifests are read again: %d objects", len(loaded.objects))
            if self._present and not loaded.objects:
                log.warning("the folder has no objects any more: all %d go", len(self._present))
            self._apply_manifests(loaded, {})
            await asyncio.to_thread(self._taken.save, loaded)
        return [str(finding) for finding in loaded.findings]

    async def _read_stamp(self) -> Stamp:
        return await asyncio.to_thread(_make_stamp, self._path)

    async def _wait_settled(self) -> Stamp | None:
        """Return the stamp once nobody writes the files any more; None: that does not end."""
        try:
            async with asyncio.timeout(SETTLE_LIMIT):
                stamp = await self._read_stamp()
                while True:
                    await asyncio.sleep(SETTLE)
                    before, stamp = stamp, await self._read_stamp()
                    if stamp == before:
                        return stamp
        except TimeoutError:
            return None

    def _refuse_unsettled(self) -> str:
        """Wait for the next look, which is soon, rather than take half of what is written."""
        self._stamp = None
        why = f"the files do not stay as they are for {SETTLE} s"
        log.error("%s: not read, the old manifests stay in force", why)
        self._note_refusal(why)
        return why

    def _refuse(self, loaded: LoadedManifests) -> None:
        for finding in loaded.findings:
            log.error("%s", finding)
        log.error("the new manifests are refused, the old ones stay in force")
        more = f", and {len(loaded.findings) - 1} more" if loaded.findings[1:] else ""
        self._note_refusal(f"{loaded.findings[0]}{more}")

    def _note_refusal(self, why: str) -> None:
        since = datetime.fromtimestamp(self.taken_at, UTC).isoformat(" ", "seconds")
        self.refused = f"the newest are refused, those of {since} stay in force: {why}"

    def _apply_manifests(
        self,
        loaded: LoadedManifests,
        statuses: Mapping[str, Mapping[ObjectKey, Mapping[str, object]]],
    ) -> None:
        self._files = loaded
        self._put_in_force(statuses)
        self.refused, self.taken_at = "", SystemClock().now().timestamp()

    def _put_in_force(
        self, statuses: Mapping[str, Mapping[ObjectKey, Mapping[str, object]]]
    ) -> None:
        loaded = self._changes.lay_over(self._files)
        store = self._reconciler.store
        for name, key in self._present.keys() - loaded.objects.keys():
            kind = ObjectKind(name)
            store.remove_object(kind, key)
            self._on_delete(kind, key)
        self._present = dict(loaded.objects)
        store.put_secrets(loaded.secrets)
        for (name, key), source in loaded.objects.items():
            kind = ObjectKind(name)
            status = statuses.get(kind, {}).get(key, {})
            self._on_upsert(kind, key, {**source.raw, "status": status})
            self._resume_object(kind, key, status)
            if isinstance(source.parsed, Frontend | Backend | HealthCheck):
                store.put_object(source.parsed)
        self._on_loaded(loaded)
        self._reconciler.request_run()

    def _resume_object(
        self, kind: ObjectKind, key: ObjectKey, status: Mapping[str, object]
    ) -> None:
        match kind:
            case ObjectKind.FRONTEND:
                self._reconciler.resume_frontend(key, load_previous(key, status))
            case ObjectKind.BACKEND:
                self._reconciler.resume_backend(key, load_health(key, status))
            case _:
                pass


def _make_stamp(path: Path) -> Stamp:
    """Return what changes when a file that is read does, its rights and its folders' too.

    Symlinks are followed, as ConfigMaps need.
    """
    files, unread = list_files(path)
    found = [(folder, 0, 0, 0) for folder in unread]
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            continue
        found.append((str(file), stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size))
    return tuple(sorted(found))
