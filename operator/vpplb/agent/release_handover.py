"""Whether this agent may have its node, or another release has it.

Where agents of two releases were put on one node the one that came first programs its VPP
(`vpp.lock`). But whenever that one restarts, for an upgrade say, the second would find the VPP
free, and take away the VIPs of the first, which it does not know. So the node's Dataplane says
whose the node is, and another release's agent waits until the owner's was away for `HANDOVER`, or
until a person gives the node up by taking the annotation away. Meanwhile it does not keep the lock.
Away is who was looked for and not found: where no lock can be taken nobody is known to be away.
"""

import asyncio
import logging

from vpplb.files.owned_state_store import OwnedStateStore
from vpplb.kube.api_types import KubeError, NotFound, cluster_key
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKind
from vpplb.resources.dataplane import RELEASE, release_of
from vpplb.sync.ports import LoadBalancerGone
from vpplb.vpp.lock import VppLock

log = logging.getLogger(__name__)

HANDOVER = 900.0
"""Seconds without an agent of its own after which a node is another release's for the taking.

A kubelet waits up to 300 s before it starts a program anew that ended, or asks for an image again.
"""
LOOK_EVERY = 1.0
"""Seconds from one look to the next."""
PATIENCE = 2.0
"""Seconds for which the API server is waited for, before the file on the node has to do."""


class ReleaseHandover:
    """Waits for the VPP of `node` on behalf of `release`. `why` says what it waits for, if it does.

    `store` is this agent's memory, which also says whose the node was.
    """

    def __init__(
        self, client: KubeClient, node: str, release: str, lock: VppLock, store: OwnedStateStore
    ) -> None:
        self._client, self._key, self._release = client, cluster_key(node), release
        self._lock, self._store = lock, store
        self._free_since: float | None = None
        self._annotated = True
        self.why = ""

    async def wait_ours(self) -> None:
        """Return once the VPP's lock is held, and the node is no other release's."""
        while why := await self._try_take():
            if why.partition(":")[0] != self.why.partition(":")[0]:
                log.warning("%s", why)
            self.why = why
            await asyncio.sleep(LOOK_EVERY)
        self.why = ""

    async def _try_take(self) -> str:
        """Take the lock, and keep it if the node may be had; else say why not."""
        try:
            owner = await self._find_owner()
        except (KubeError, TimeoutError) as error:
            self._free_since = None
            return f"it is not known whose node {self._key.name} is: {str(error) or 'no answer'}"
        try:
            self._lock.acquire()
        except LoadBalancerGone as held:
            self._free_since = None
            return str(held)
        if owner in ("", self._release):
            return ""
        whose = f"node {self._key.name} is of release {owner}, which"
        if not self._lock.held:
            self._free_since = None
            trouble = self._lock.trouble or f"there is no {self._lock.path.parent}"
            return f"{whose} may have an agent here ({trouble}): {self._name_ways()}"
        now = asyncio.get_running_loop().time()
        self._free_since = now if self._free_since is None else self._free_since
        left = self._free_since + HANDOVER - now
        if left <= 0:
            return ""
        self._lock.release()
        way = f"when that stays away for {left:.0f} s more"
        return f"{whose} has no agent here now: {self._name_ways(way)}"

    def _name_ways(self, *ways: str) -> str:
        """Say in which of these ways the node becomes ours, and that a person may give it up."""
        if self._annotated:
            ways += (f"after `kubectl annotate dataplane {self._key.name} {RELEASE}-`",)
        return f"it is taken over {', or '.join(ways)}" if ways else "it is left alone"

    async def _find_owner(self) -> str:
        """Return the release whose the node is, empty for nobody's.

        Where the API server does not answer, or has no Dataplane, the file says it; without an
        answer and without a file KubeError or TimeoutError.
        """
        self._annotated = True
        try:
            async with asyncio.timeout(PATIENCE):
                dataplane = await self._client.get_object(ObjectKind.DATAPLANE, self._key)
        except NotFound:
            self._annotated = False
            return self._store.read_release() or ""
        except (KubeError, TimeoutError):
            if (release := self._store.read_release()) is None:
                raise
            return release
        return release_of(dataplane["metadata"])
