"""Who an agent is, and who else may have its node's name.

Two machines may have agents of one node's name: an image that was cloned, a name typed twice. The
one that came first goes on; the second keeps its hands off its VPP and the Dataplane. An agent that
is started again, beside the same VPP, is the same one and need not wait. Where a kubelet says on
which machine the node is, an agent there has the first claim, also after a crash of the machine.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from vpplb.files.machine import boot_id
from vpplb.kube.lease_heartbeat import LeaseHeartbeat


def agent_identity(node: str, socket: Path) -> str:
    """Return a name of the agent beside the VPP of this socket, until the machine starts anew."""
    digest = hashlib.sha256(str(socket.resolve()).encode()).hexdigest()[:8]
    return f"{node}_{boot_id()}_{digest}"


def make_outranking(kubelet: Callable[[], str]) -> Callable[[str], bool]:
    """Return what says of a holder that this agent need not wait for it.

    `kubelet` gives the boot id that the Node tells, empty for none.
    """

    def outranks(holder: str) -> bool:
        told = kubelet()
        return bool(told) and told == boot_id() and f"_{told}_" not in holder

    return outranks


def explain_rivalry(heartbeat: LeaseHeartbeat) -> str:
    """Say that another agent has this node's name; until then the lease is being looked at."""
    if not heartbeat.rival:
        return f"the lease {heartbeat.key} is not claimed yet"
    return (
        f"another agent of this node's name is at work ({heartbeat.rival}; this one is"
        f" {heartbeat.holder}): hands off until its lease {heartbeat.key} has run out"
    )
