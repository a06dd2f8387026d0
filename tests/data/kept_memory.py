"""The file in which an agent remembers what is its own, as tests read and write it."""

import json
from pathlib import Path

from vpplb.files.owned_state_store import (
    StoredState,
    VppIdentity,
    read_stored_state,
    write_stored_state,
)
from vpplb.sync.vip_state import OwnedState

HERE = VppIdentity(node="n1", machine="m", vpp="/run/vpp/api.sock")


def kept(path: Path) -> StoredState | None:
    """Read a memory, whichever router's it is."""
    if not path.exists():
        return None
    return read_stored_state(path, VppIdentity(**json.loads(path.read_text())["router"]))


def kept_state(path: Path) -> OwnedState | None:
    """Read what of a memory is the syncer's."""
    memory = kept(path)
    return memory.state if memory else None


def keep_state(path: Path, state: OwnedState, router: VppIdentity = HERE) -> None:
    """Write a memory."""
    write_stored_state(path, StoredState(state=state), router)
