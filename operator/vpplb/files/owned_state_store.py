"""What must be known of a VPP after a restart: kept in a small file on the node.

Which VIPs are ours, which flushes were applied, the settings that the node's Dataplane had and the
labels of its Node, which decision on each frontend was the last, and where operators are: with that
an agent can begin while the API server is away.

The file is bound to its VPP: VIPs with the same names on another one are somebody else's, so a
copy is of no use there. Where the file is lost or of no use, a node's Dataplane still says whose
the VIPs are; flushes are then taken for applied.

A slow disk holds up no change of a VIP; but one that becomes ours waits for it (`save_now`), since
whoever dies in between must find it again.
"""

import asyncio
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from vpplb.files.json_files import UnusableFile, read_json, set_aside, write_json
from vpplb.model.decision_order import DecisionMark, DecisionOrder
from vpplb.model.names import ObjectKey
from vpplb.model.vip import VipId
from vpplb.sync.vip_state import OwnedState

log = logging.getLogger(__name__)

VERSION = 3
MACHINE_ID = Path("/etc/machine-id")
SPACING = 0.5
"""Seconds from one write that is not urgent to the next: while many frontends change nobody needs
each step. A process that crashes in between may flush some servers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VppIdentity:
    """Which VPP a file is about: node, machine and API socket.

    `machine` is a hash of the machine's id, empty where that is not known (in a container): then
    the others have to do.
    """

    node: str
    machine: str
    vpp: str

    @classmethod
    def of_socket(cls, node: str, api_socket: Path) -> "VppIdentity":
        try:
            text = MACHINE_ID.read_text().strip()
        except (OSError, ValueError):
            text = ""
        machine = hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""
        return cls(node=node, machine=machine, vpp=os.path.realpath(api_socket))

    def explain_difference(self, other: "VppIdentity") -> str:
        """Say in what another VPP is not this one; empty for the same."""
        if other.node != self.node:
            return f"it is of node {other.node}, and this is {self.node}"
        if other.vpp != self.vpp:
            return f"it is of the VPP at {other.vpp}, and this one is at {self.vpp}"
        if other.machine and self.machine and other.machine != self.machine:
            return "it is of another machine"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredState:
    """What is kept. `spec` is the Dataplane's, `labels` are the Node's; None: never seen.

    `marks` are the last decisions, `programmed` the revisions that VPP had of frontends (None: it
    was not written), `operators` the operators as JSON of texts, `release` the agent's.
    """

    state: OwnedState = field(default_factory=OwnedState)
    spec: Mapping[str, object] | None = None
    labels: Mapping[str, str] | None = None
    marks: Mapping[ObjectKey, DecisionMark] = field(default_factory=dict)
    programmed: Mapping[ObjectKey, str] | None = None
    operators: tuple[Mapping[str, str], ...] = ()
    release: str = ""


class OwnedStateStore:
    """Writes what its callables return to the file `path`, if there is one, now or soon.

    They are as the fields of `StoredState`; `spec`, `labels` and `operators` go with it, as they
    were told last. The newest wins. A disk that refuses is logged, and no error: VPP is to be
    programmed all the same. Nothing is written before `load`: until then the file is another
    process's, or unread.
    """

    def __init__(
        self,
        path: Path | None,
        owned_state: Callable[[], OwnedState],
        identity: VppIdentity,
        marks: Callable[[], Mapping[ObjectKey, DecisionMark]] = dict,
        programmed: Callable[[], Mapping[ObjectKey, str] | None] = lambda: None,
        release: str = "",
    ) -> None:
        self._path, self._owned_state, self._identity = path, owned_state, identity
        self._marks, self._programmed, self._release = marks, programmed, release
        self.spec: Mapping[str, object] | None = None
        """What the node's Dataplane last said, None when it was never seen."""
        self.labels: Mapping[str, str] | None = None
        self.operators: tuple[Mapping[str, str], ...] = ()
        self.trouble = ""
        """Why the file that there was is not used."""
        self._loaded = False
        self._wanted = asyncio.Event()
        self._writing = threading.Lock()
        self._taken = self._written = 0

    def load(self) -> StoredState | None:
        """Read the file, which is ours from now on; one of no use is set aside, logged and told."""
        self._loaded = True
        if self._path is None:
            return None
        try:
            stored = read_stored_state(self._path, self._identity)
        except UnusableFile as error:
            self.trouble = set_aside(self._path, str(error))
            return None
        if stored is not None:
            self.spec, self.labels = stored.spec, stored.labels
            self.operators = stored.operators
        return stored

    def read_release(self) -> str | None:
        """Return whose memory the file is, empty where it does not tell; None: it is of no use."""
        try:
            stored = read_stored_state(self._path, self._identity) if self._path else None
        except UnusableFile:
            return None
        return None if stored is None else stored.release

    def set_spec(self, spec: Mapping[str, object]) -> None:
        if spec != self.spec:
            self.spec = spec
            self.save_soon()

    def set_labels(self, labels: Mapping[str, str]) -> None:
        if labels != self.labels:
            self.labels = labels
            self.save_soon()

    def set_operators(self, operators: Iterable[Mapping[str, str]]) -> None:
        told = tuple(operators)
        if told != self.operators:
            self.operators = told
            self.save_soon()

    def save_now(self) -> None:
        """Write now, and wait for the disk: for what must be known before VPP is changed."""
        if self._path is None or not self._loaded:
            return
        self._wanted.clear()
        self._save(*self._take_snapshot())

    def save_soon(self) -> None:
        if self._path is not None and self._loaded:
            self._wanted.set()

    @property
    def is_behind(self) -> bool:
        """Whether something is due, under way, or was refused by the disk."""
        return self._wanted.is_set() or self._written != self._taken

    def close(self) -> None:
        """Write what the file lacks; for the end, when nothing changes more."""
        if self.is_behind:
            self.save_now()

    async def run(self) -> None:
        """Write what is to be kept soon, on another thread, until cancelled."""
        while True:
            await self._wanted.wait()
            if self._wanted.is_set():  # else `save_now` came first
                self._wanted.clear()
                await asyncio.to_thread(self._save, *self._take_snapshot())
                await asyncio.sleep(SPACING)

    def _take_snapshot(self) -> tuple[int, StoredState]:
        self._taken += 1
        return self._taken, StoredState(
            state=self._owned_state(),
            spec=self.spec,
            labels=self.labels,
            marks=self._marks(),
            programmed=self._programmed(),
            operators=self.operators,
            release=self._release,
        )

    def _save(self, number: int, stored: StoredState) -> None:
        with self._writing:
            if self._path is None or number < self._written:
                return
            try:
                write_stored_state(self._path, stored, self._identity)
                self._written = number
            except OSError as error:
                log.error("the memory of VPP cannot be written to %s: %s", self._path, error)


def read_stored_state(path: Path, identity: VppIdentity) -> StoredState | None:
    """Read the file, None where there is none; UnusableFile, also for another VPP's."""
    content = read_json(path)
    if content is None:
        return None
    if not isinstance(content, Mapping) or content.get("version") != VERSION:
        raise UnusableFile("it is of another version, or no memory of VIPs")
    try:
        of = VppIdentity(
            **{part: str(content["router"][part]) for part in ("node", "machine", "vpp")}
        )
        state = OwnedState(
            owned=parse_owned(content["owned"]),
            flushed={
                VipId.parse_text(vip): {ip_address(a): int(epoch) for a, epoch in servers.items()}
                for vip, servers in content["flushed"].items()
            },
        )
        spec, labels = content["spec"], content.get("labels")
        if not isinstance(spec, Mapping | None):
            raise ValueError("spec is no object")
        marks = {
            ObjectKey.parse_text(key): _parse_mark(mark)
            for key, mark in content.get("decisions", {}).items()
        }
        found = content.get("programmed")
        programmed = None if found is None else _parse_programmed(found)
        operators = tuple(map(_parse_texts, content.get("operators", ())))
        labels = None if labels is None else _parse_texts(labels)
        release = str(content.get("release") or "")
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise UnusableFile(f"it is damaged: {error}") from error
    if other := identity.explain_difference(of):
        raise UnusableFile(other)
    return StoredState(
        state=state,
        spec=spec,
        labels=labels,
        marks=marks,
        programmed=programmed,
        operators=operators,
        release=release,
    )


def write_stored_state(path: Path, stored: StoredState, identity: VppIdentity) -> None:
    """Write the file, whole or not at all; OSError when the disk refuses."""
    flushed = {
        _text(vip): {str(address): epoch for address, epoch in epochs.items()}
        for vip, epochs in stored.state.flushed.items()
    }
    content = {
        "version": VERSION,
        "router": asdict(identity),
        "spec": stored.spec,
        "owned": format_owned(stored.state.owned),
        "flushed": flushed,
        # What versions before did not write may be absent.
        "labels": stored.labels,
        "decisions": {
            str(key): [mark.uid, mark.order.term, mark.order.sequence, mark.revision]
            for key, mark in sorted(stored.marks.items())
        },
        "programmed": None
        if stored.programmed is None
        else {str(key): revision for key, revision in sorted(stored.programmed.items())},
        "operators": [dict(one) for one in stored.operators],
        "release": stored.release,
    }
    write_json(path, content)


def format_owned(owned: Mapping[VipId, ObjectKey]) -> str:
    """Write owners as the file and the Dataplane's status do: a line a VIP, its frontend last.

    One text, since a map of a thousand entries costs the API server 19 ms of CPU each time that
    anything of the Dataplane is written, and this 4.
    """
    return "".join(sorted(f"{_text(vip)} {owner}\n" for vip, owner in owned.items()))


def parse_owned(told: object) -> dict[VipId, ObjectKey]:
    """Read owners; ValueError where they make no sense."""
    if not isinstance(told, str):
        raise ValueError(f"not VIPs and their frontends: {told!r:.100}")
    return dict(map(_parse_owner, told.splitlines()))


def read_owned(dataplane: Mapping[str, Any]) -> OwnedState | None:
    """Read from a Dataplane's status whose VIPs its node's are; None where that makes no sense."""
    try:
        return OwnedState(owned=parse_owned((dataplane.get("status") or {}).get("owned") or ""))
    except ValueError:
        return None


def _parse_owner(line: str) -> tuple[VipId, ObjectKey]:
    vip, _, owner = line.rpartition(" ")
    return VipId.parse_text(vip), ObjectKey.parse_text(owner)


def _parse_mark(told: object) -> DecisionMark:
    match told:
        case [str(uid), int(term), int(sequence), str(revision)]:
            return DecisionMark(uid=uid, order=DecisionOrder(term, sequence), revision=revision)
    raise ValueError(f"not a decision: {told!r:.100}")


def _parse_programmed(told: object) -> Mapping[ObjectKey, str]:
    return {ObjectKey.parse_text(key): revision for key, revision in _parse_texts(told).items()}


def _parse_texts(told: object) -> Mapping[str, str]:
    if isinstance(told, Mapping) and all(isinstance(text, str) for text in told.values()):
        return told
    raise ValueError(f"not texts: {told!r:.100}")


_text = lru_cache(maxsize=1 << 16)(VipId.__str__)
"""Kept, since with each VIP that comes all are written again."""
