"""What all attempts over connections share. A module of its own: mypyc cannot compile it."""

from dataclasses import dataclass

from vpplb.probers.searcher import BodySearchProcess
from vpplb.probers.socket_pool import SocketPools


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResources:
    """Those of one process. `in_hand`: as `worker_messages` has it."""

    sockets: SocketPools
    searcher: BodySearchProcess
    in_hand: memoryview
