"""An operator on an API server in memory: all but the watch, the probes and the HTTP endpoints."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from datetime import timedelta

from data.manifests import Raw, manifest
from data.objects import NOON, key
from fakes.api_server import FakeApiServer
from fakes.clock import FakeClock
from fakes.prober import FakeProber
from vpplb.controller.operator_core import OperatorCore
from vpplb.controller.secret_reader import SecretReader
from vpplb.controller.store_handler import StoreHandler
from vpplb.kube.api_types import JsonObject, cluster_key
from vpplb.kube.object_cache import ObjectCache
from vpplb.model.health import ProbeCode
from vpplb.model.names import OWN_KINDS, ObjectKey, ObjectKind
from vpplb.reconcile.ports import CheckVerdict
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.allowances import EVERYTHING, AddressAllowances
from vpplb.telemetry.failover_traces import FailoverTraces


class LocalOperator:
    """The parts of one operator, and what users do. `settle` lets it write what is due."""

    def __init__(
        self,
        server: FakeApiServer | None = None,
        *,
        writes_per_second: float = 0.0,
        allowed: AddressAllowances = EVERYTHING,
        traces: FailoverTraces | None = None,
    ) -> None:
        self.server = server or FakeApiServer()
        self.clock, self.prober = FakeClock(), FakeProber()
        cache = self.cache = ObjectCache()
        self.reconciler = Reconciler(self.prober, self.clock, reach=allowed.reach)
        self.secrets = SecretReader(self.server, self.reconciler)
        self.core = OperatorCore(
            identity="op_1",
            cache=cache,
            writing=self.server,
            reconciler=self.reconciler,
            store=StoreHandler(self.reconciler, allowed, self.secrets.request_secrets),
            clock=self.clock,
            status_writes_per_second=writes_per_second,
            traces=traces,
        )
        on_verdict = self.reconciler.on_verdict
        self._on_verdict = traces.follow_verdicts(on_verdict) if traces else on_verdict
        self.nodes, self.stream, self.registry = (
            self.core.nodes,
            self.core.stream,
            self.core.registry,
        )
        self.view, self._writer = self.core.view, self.core.reports.writer
        self._tasks = [asyncio.create_task(self.core.run())]

    # --- what users and nodes do ------------------------------------------------------------

    def apply(self, *manifests: Raw) -> None:
        """Store objects on the server, and let the operator see them."""
        for raw in manifests:
            self.store(raw)
            self.see(*identity(raw))

    def store(self, raw: Raw) -> JsonObject:
        """Store an object as the API server would: a new spec is a new generation."""
        kind, name = identity(raw)
        before = self.server.objects.get((kind, name)) or {}
        metadata, status = raw["metadata"], raw.get("status") or before.get("status") or {}
        assert isinstance(metadata, dict)
        assert isinstance(status, dict)
        born = before.get("metadata") or {
            "generation": 0,
            "uid": f"uid-{name.name}",
            "creationTimestamp": self._next_birth(),
        }
        made = self.server.add(kind, name, status)
        made["metadata"] |= {**metadata, **born, "resourceVersion": self._version(made)}
        if before.get("spec") != raw.get("spec") or not before:
            made["metadata"]["generation"] += 1
        made |= {name: raw.get(name) for name in ("apiVersion", "kind", "spec")}
        return made

    def see(self, kind: ObjectKind, name: ObjectKey) -> None:
        """Let the operator see an object as the server has it now."""
        self.cache.apply_event(kind, None, deepcopy(self.server.objects[kind, name]))

    def delete(self, kind: ObjectKind, name: str) -> None:
        at = key(name) if kind.is_namespaced else cluster_key(name)
        gone = self.server.objects.pop((kind, at))
        self.cache.apply_event(kind, "DELETED", gone)

    def carry(self, *names: str, revision: str = "earlier") -> None:
        """Let a node have the frontends in its VPP, if not as they are wanted."""
        connected = {"type": "Connected", "status": "True", "reason": "Connected"}
        programmed = {str(key(name)): revision for name in names}
        status = {"conditions": [connected], "programmed": programmed}
        self.apply(manifest("Dataplane", "n1", {}) | {"status": status})

    def verdict(self, name: str, up: bool) -> None:
        self.clock.advance(1)
        self._on_verdict(
            CheckVerdict(
                backend=key(name),
                generation=self.prober.running[key(name)].generation,
                up=up,
                code=ProbeCode.L7OK if up else ProbeCode.L4CON,
                detail="" if up else "connection refused",
                at=self.clock.now(),
            )
        )

    async def restarted(self, allowed: AddressAllowances = EVERYTHING) -> "LocalOperator":
        """Return the next operator, once it has seen everything and decided."""
        await self.stop()
        new = LocalOperator(self.server, allowed=allowed)
        new.clock.time = self.clock.time
        order = list(OWN_KINDS)
        ours = [at for at in self.server.objects if at[0] in order]
        for kind, name in sorted(ours, key=lambda at: order.index(at[0])):
            new.see(kind, name)
        await new.secrets.read_first()
        new.reconciler.set_synced(1)
        await new.settle()
        return new

    # --- what comes of it -------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Return how many statuses are still to be written."""
        return self._writer.pending

    def read_secrets(self) -> None:
        """Read Secrets from now on."""
        self._tasks.append(asyncio.create_task(self.secrets.run()))

    async def settle(self) -> None:
        """Let everything be decided, written and announced; time passes, but costs nothing."""
        await asyncio.sleep(1)

    def status(self, kind: ObjectKind, name: str = "web") -> Mapping[str, object]:
        return self.server.status(kind, key(name))

    def shown(self, kind: ObjectKind, name: str) -> object:
        """Return the status of an object as `/api/v1` shows it."""
        found = self.view.show_object(kind, key(name))
        assert found is not None
        return found["status"]

    def condition(self, kind: ObjectKind, name: str, of_type: str) -> tuple[str, str]:
        """Return status and reason of a condition."""
        conditions = self.status(kind, name)["conditions"]
        assert isinstance(conditions, list)
        [found] = [one for one in conditions if one["type"] == of_type]
        return found["status"], found["reason"]

    @property
    def writes_due(self) -> int:
        """How many objects have a status that is still to be written."""
        return self._writer.pending

    def events(self) -> list[tuple[str, str, str]]:
        """Return the events since the last call: type, reason and note."""
        sent = [(str(e["type"]), str(e["reason"]), str(e["note"])) for e in self.server.events]
        self.server.events.clear()
        return sent

    async def stop(self) -> None:
        self.reconciler.close()
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @staticmethod
    def _version(made: JsonObject) -> str:
        return str(made["metadata"]["resourceVersion"])

    def _next_birth(self) -> str:
        """Return a time of creation later than all before."""
        return (NOON + timedelta(seconds=len(self.server.objects))).isoformat()


def identity(raw: Raw) -> tuple[ObjectKind, ObjectKey]:
    kind, metadata = ObjectKind(str(raw["kind"])), raw["metadata"]
    assert isinstance(metadata, dict)
    name = metadata["name"]
    return kind, key(name) if kind.is_namespaced else cluster_key(name)
