"""Which agents are gone: their leases are judged, and their Dataplanes told.

An agent renews a lease named as its node. When that runs out the node's Dataplane gets
`Connected` Unknown with reason `AgentGone`, and so counts as not programmed; the agent puts that
right when it is back. Nobody is judged while leases cannot be read.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vpplb.kube.api_types import KubeError, NotFound, cluster_key
from vpplb.kube.client import KubeClient
from vpplb.kube.leases.agent_lease import DURATION, LeaseObserver
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.conditions import find_condition, load_conditions, set_condition
from vpplb.resources.dataplane import AGENT_GONE, agent_gone

log = logging.getLogger(__name__)

LOOK_EVERY = 3.0
"""Seconds between looks at the leases."""


@dataclass(slots=True)
class AgentHeartbeats:
    """Looks at the leases in `namespace`; `nodes` gives the nodes that have an agent.

    Of each, by its name, `nodes` says whether its Dataplane shows that the agent is gone: what is
    true is compared with what is shown at each look, so it is told again where it was lost. A node
    whose lease was never seen is given its duration from our first look. `trouble` says why nobody
    can be judged, or told; empty when all can.
    """

    client: KubeClient
    namespace: str
    nodes: Callable[[], Mapping[str, bool]]
    clock: Clock
    _observer: LeaseObserver = field(default_factory=LeaseObserver)
    _waiting: dict[str, float] = field(default_factory=dict)
    trouble: str = ""
    _looked: float | None = None
    _missed: bool = False

    async def run(self) -> None:
        while True:
            try:
                await self.look_at_leases(asyncio.get_running_loop().time())
            except KubeError as error:
                level = logging.DEBUG if self.trouble else logging.WARNING
                self.trouble = f"agents' leases in {self.namespace} cannot be judged: {error}"
                log.log(level, "%s", self.trouble)
            else:
                self.trouble = ""
            await asyncio.sleep(LOOK_EVERY)

    async def look_at_leases(self, now: float) -> None:
        """Look once, at `now` of the loop's clock, and tell what changed (KubeError)."""
        try:
            leases = (await self.client.list_objects(ObjectKind.LEASE, self.namespace)).items
        except KubeError:
            self._missed = True
            raise
        if self._missed and self._looked is not None:
            self._extend_waits(now - self._looked)
        self._looked, self._missed = now, False
        for lease in leases:
            self._observer.observe_lease(lease, now)
        failure: KubeError | None = None
        for node, shown_gone in sorted(self.nodes().items()):
            if self._is_alive(node, now) or shown_gone:
                continue
            try:
                await self._show_gone(node)
            except NotFound:
                continue  # its Dataplane is gone, too
            except KubeError as error:
                failure = error  # and the others are told
        if failure is not None:
            raise failure

    def _extend_waits(self, seconds: float) -> None:
        """When we could not look, agents could not renew, most likely."""
        self._observer.add_grace(seconds)
        self._waiting = {node: until + seconds for node, until in self._waiting.items()}

    def _is_alive(self, node: str, now: float) -> bool:
        key = ObjectKey(self.namespace, node)
        if self._observer.expires_at(key) is not None:
            self._waiting.pop(node, None)
            return self._observer.is_alive(key, now)
        return now < self._waiting.setdefault(node, now) + DURATION.total_seconds()

    async def _show_gone(self, node: str) -> None:
        key = cluster_key(node)
        shown = load_conditions(
            (await self.client.get_object(ObjectKind.DATAPLANE, key)).get("status")
        )
        connected = find_condition(shown, "Connected")
        if connected is not None and connected.reason == AGENT_GONE:
            return
        log.warning("the agent of node %s is gone: its lease has run out", node)
        gone = agent_gone()
        conditions = set_condition(shown, gone, self.clock.now())
        body = {"status": {"conditions": [condition.dump_json() for condition in conditions]}}
        await self.client.patch_status(ObjectKind.DATAPLANE, key, body)
