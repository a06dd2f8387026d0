"""The file in which an agent remembers what is its own, as tests read and write it."""

import json
from pathlib import Path

from vpplb.files.memory import Memory, Router, load_memory, save_memory
from vpplb.sync.vip_state import OwnedState

HERE = Router(node="n1", machine="m", vpp="/run/vpp/api.sock")


def kept(path: Path) -> Memory | None:
    """Read a memory, whichever router's it is."""
    if not path.exists():
        return None
    return load_memory(path, Router(**json.loads(path.read_text())["router"]))


def kept_state(path: Path) -> OwnedState | None:
    """Read what of a memory is the syncer's."""
    memory = kept(path)
    return memory.state if memory else None


def keep_state(path: Path, state: OwnedState, router: Router = HERE) -> None:
    """Write a memory."""
    save_memory(path, Memory(state=state), router)
