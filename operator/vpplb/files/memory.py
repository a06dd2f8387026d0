"""What must be known of a VPP after a restart: which VIPs are ours, which flushes were applied.

Kept in a small file on the node. Where it is lost, a node's Dataplane still says whose the VIPs
are; flushes are then taken for applied.
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

from vpplb.engine.vipbook import SyncerState
from vpplb.files.atomic import read_json, write_json
from vpplb.model.names import ObjectKey
from vpplb.model.vip import VipId

VERSION = 2
READ = (1, VERSION)
"""In the first, owners were a map."""


def load_memory(path: Path) -> SyncerState | None:
    """Read the file; None where there is none that makes sense."""
    content = read_json(path)
    if not isinstance(content, Mapping) or content.get("version") not in READ:
        return None
    try:
        return SyncerState(
            owned=owned_of(content["owned"]),
            flushed={
                VipId.parse(vip): {ip_address(a): int(epoch) for a, epoch in servers.items()}
                for vip, servers in content["flushed"].items()
            },
        )
    except (KeyError, ValueError, AttributeError, TypeError):
        return None


def save_memory(path: Path, state: SyncerState) -> None:
    """Write the file, whole or not at all; OSError when the disk refuses."""
    flushed = {
        _text(vip): {str(address): epoch for address, epoch in epochs.items()}
        for vip, epochs in state.flushed.items()
    }
    write_json(path, {"version": VERSION, "owned": owned_text(state.owned), "flushed": flushed})


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
