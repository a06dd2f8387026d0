"""What must be known of a VPP after a restart, in a small file on the node.

Which VIPs are ours, which flushes were applied, and the settings that the node's Dataplane had.
The file is bound to its router: VIPs with the same names on another one are somebody else's, so a
copy is of no use there. Where the file is lost or of no use, a node's Dataplane still says whose
the VIPs are; flushes are then taken for applied.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

from vpplb.files.atomic import Unusable, read_json, set_aside, write_json
from vpplb.model.names import ObjectKey
from vpplb.model.vip import VipId
from vpplb.sync.vip_state import OwnedState

VERSION = 3
MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """Which VPP a memory is about: node, machine and API socket.

    `machine` is a hash of the machine's id, empty where that is not known (in a container): then
    the others have to do.
    """

    node: str
    machine: str
    vpp: str

    @classmethod
    def here(cls, node: str, api_socket: Path) -> "Router":
        """Return the VPP behind a socket of this machine."""
        try:
            text = MACHINE_ID.read_text().strip()
        except (OSError, ValueError):
            text = ""
        machine = hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""
        return cls(node=node, machine=machine, vpp=os.path.realpath(api_socket))

    def differs(self, other: "Router") -> str:
        """Say in what another router is not this one; empty for the same."""
        if other.node != self.node:
            return f"it is of node {other.node}, and this is {self.node}"
        if other.vpp != self.vpp:
            return f"it is of the VPP at {other.vpp}, and this one is at {self.vpp}"
        if other.machine and self.machine and other.machine != self.machine:
            return "it is of another machine"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is kept. `spec` is the Dataplane's, None when it was never seen."""

    state: OwnedState = field(default_factory=OwnedState)
    spec: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """What a file says: no memory where there is none; `trouble` says why one is not used."""

    memory: Memory | None = None
    trouble: str = ""


def load_memory(path: Path, router: Router) -> Memory | None:
    """Read the file, None where there is none; Unusable, also for another router's."""
    content = read_json(path)
    if content is None:
        return None
    if not isinstance(content, Mapping) or content.get("version") != VERSION:
        raise Unusable("it is of another version, or no memory of VIPs")
    try:
        of = Router(**{part: str(content["router"][part]) for part in ("node", "machine", "vpp")})
        state = OwnedState(
            owned=owned_of(content["owned"]),
            flushed={
                VipId.parse(vip): {ip_address(a): int(epoch) for a, epoch in servers.items()}
                for vip, servers in content["flushed"].items()
            },
        )
        spec = content["spec"]
        if not isinstance(spec, Mapping | None):
            raise ValueError("spec is no object")
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise Unusable(f"it is damaged: {error}") from error
    if other := router.differs(of):
        raise Unusable(other)
    return Memory(state=state, spec=spec)


def recall(path: Path | None, router: Router) -> Recalled:
    """Read the file; one that is of no use is set aside, which is logged and told."""
    if path is None:
        return Recalled()
    try:
        return Recalled(memory=load_memory(path, router))
    except Unusable as error:
        return Recalled(trouble=set_aside(path, str(error)))


def save_memory(path: Path, memory: Memory, router: Router) -> None:
    """Write the file, whole or not at all; OSError when the disk refuses."""
    flushed = {
        _text(vip): {str(address): epoch for address, epoch in epochs.items()}
        for vip, epochs in memory.state.flushed.items()
    }
    content = {
        "version": VERSION,
        "router": asdict(router),
        "spec": memory.spec,
        "owned": owned_text(memory.state.owned),
        "flushed": flushed,
    }
    write_json(path, content)


def owned_text(owned: Mapping[VipId, ObjectKey]) -> str:
    """Write owners as the file and the Dataplane's status do: a line a VIP, its frontend last.

    One text, since a map of a thousand entries costs the API server 19 ms of CPU each time that
    anything of the Dataplane is written, and this 4.
    """
    return "".join(sorted(f"{_text(vip)} {owner}\n" for vip, owner in owned.items()))


def owned_of(told: object) -> dict[VipId, ObjectKey]:
    """Read owners, also from the map that they once were; ValueError where they make no sense."""
    match told:
        case str():
            return dict(map(_owner, told.splitlines()))
        case Mapping():
            return {VipId.parse(vip): ObjectKey.parse(owner) for vip, owner in told.items()}
        case _:
            raise ValueError(f"not VIPs and their frontends: {told!r:.100}")


def _owner(line: str) -> tuple[VipId, ObjectKey]:
    vip, _, owner = line.rpartition(" ")
    return VipId.parse(vip), ObjectKey.parse(owner)


_text = lru_cache(maxsize=1 << 16)(VipId.__str__)
"""Kept, since with each VIP that comes all are written again."""
