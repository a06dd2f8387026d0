"""Whether the API server keeps this agent to its own node.

All agents have one ServiceAccount. What keeps one of them from writing for another's node is an
admission policy, and a policy that names the wrong account is off without a word. So the agent
looks: it asks to make the lease of a node that is not its own, as a dry run, and has to be refused.
"""

import asyncio
import logging

from vpplb.kube.api_types import KubeError
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey, ObjectKind

log = logging.getLogger(__name__)

FIRST = 30.0
"""Seconds until the first look: an installation makes its policies last."""
AGAIN = 3600.0
"""Seconds until another look, where it was not refused or nobody answered."""
LONGEST_NAME = 253

KEPT = "kept to its own node"
OPEN = "may write for other nodes: no admission policy keeps its account to its own"


class NodeGuard:
    """Looks until it was refused once; `lease` is that of the agent's own node."""

    def __init__(self, client: KubeClient, lease: ObjectKey) -> None:
        self._client, self._lease = client, lease
        self.said = "not looked at yet"
        """What was seen at the last look, for people."""

    async def run(self) -> None:
        pause = FIRST
        while self.said != KEPT:
            await asyncio.sleep(pause)
            await self.look_once()
            pause = AGAIN

    async def look_once(self) -> None:
        """Ask, and note in `said` what came of it."""
        name = f"not-{self._lease.name}"[:LONGEST_NAME].rstrip("-.")
        body = {"metadata": {"namespace": self._lease.namespace, "name": name}, "spec": {}}
        try:
            refused = await self._client.is_forbidden(ObjectKind.LEASE, body)
        except KubeError as error:
            self.said = f"not known: {error}"
            return
        if not refused:
            log.warning("this agent %s (agent.ownNodeOnly in the chart)", OPEN)
        self.said = KEPT if refused else OPEN
