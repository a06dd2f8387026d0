"""A server of the dashboard with objects that a test makes up, in a thread of its own."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from vpplb.model.clock import SystemClock
from vpplb.model.health import ProbeCode
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.probers.probe_histories import ProbeHistories
from vpplb.reconcile.ports import ProbeHistory, ProbeRecord
from vpplb.telemetry.event_stream import EventStream
from vpplb.telemetry.http import HttpServer, ReadVips
from vpplb.telemetry.http_readers import HttpReaders

SINCE = "2026-01-01T12:00:00+00:00"
LEADING: Mapping[str, object] = {
    "identity": "op-1",
    "version": "0.1.0",
    "run": "",
    "role": "leading",
    "namespaces": [],
    "leader": "op-1",
    "leaderSince": SINCE,
    "term": 1,
    "standbys": ["op-2"],
    "probing": True,
    "silentSince": None,
    "decidedAt": SINCE,
    "trouble": "",
}
"""What an operator that leads shows of the election, but for the present."""
_WELL = {"Accepted": "True", "Available": "True", "Programmed": "True", "Degraded": "False"}


def shown_frontend(
    name: str,
    states: Mapping[str, str],
    *,
    namespace: str = "shop",
    address: str = "192.0.2.1",
    pools: Sequence[str] = ("main",),
    **conditions: tuple[str, str, str],
) -> dict[str, Any]:
    """Return a Frontend as the API shows it, each backend in the first pool.

    `conditions` are those that are otherwise than well: status, reason and message by type.
    """
    up = [one for one, state in states.items() if state == "up"]
    given = {kind: (status, kind, "") for kind, status in _WELL.items()} | conditions
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": {}},
        "spec": {"address": address, "port": 80, "pools": [{"name": pool} for pool in pools]},
        "status": {
            "state": "up" if up else "down",
            "activePool": pools[0] if up else "",
            "ready": f"{len(up)}/{len(states)}",
            "backends": [
                {
                    "name": one,
                    "address": f"10.0.0.{n}",
                    "pool": pools[0],
                    "state": state,
                    "weight": 100,
                    "effectiveWeight": 100 if state == "up" else 0,
                }
                for n, (one, state) in enumerate(states.items(), 1)
            ],
            "nodes": {"desired": 1, "programmed": 1, "summary": "1/1"},
            "conditions": [
                {"type": kind, "status": status, "reason": reason, "message": message}
                for kind, (status, reason, message) in given.items()
            ],
        },
    }


def shown_backend(name: str, state: str = "up", *, namespace: str = "shop") -> dict[str, Any]:
    code, detail = ("L7OK", "200 OK") if state == "up" else ("L4CON", "connection refused")
    seen = {"to": state, "at": SINCE, "code": code, "detail": detail}
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": {}},
        "spec": {"address": "10.0.0.1", "healthCheckRef": {"name": "http"}},
        "status": {
            "state": state,
            "since": SINCE,
            "code": code,
            "detail": detail,
            "transitions": [{"from": "unknown", **seen}],
        },
    }


async def end_other_tasks() -> None:
    """End what is left in a loop: a browser that has just gone may have left a stream behind."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


class ShownObjects:
    """Implements `http.StateView` over objects as they are to be shown."""

    def __init__(self) -> None:
        self.all: dict[ObjectKind, dict[ObjectKey, Mapping[str, Any]]] = {
            kind: {} for kind in ObjectKind
        }

    def put(self, kind: ObjectKind, shown: Mapping[str, Any]) -> ObjectKey:
        metadata = shown["metadata"]
        key = ObjectKey(metadata.get("namespace", ""), metadata["name"])
        self.all[kind][key] = shown
        return key

    def list_keys(self, kind: ObjectKind) -> Sequence[ObjectKey]:
        return sorted(self.all[kind])

    def list_members(self, frontend: ObjectKey) -> Sequence[ObjectKey]:
        members = self.all[ObjectKind.FRONTEND][frontend]["status"]["backends"]
        return sorted(ObjectKey(frontend.namespace, one["name"]) for one in members)

    def list_users(self, health_check: ObjectKey) -> Sequence[ObjectKey]:
        backends = self.all[ObjectKind.BACKEND].items()
        named = {key: one["spec"].get("healthCheckRef", {}).get("name") for key, one in backends}
        return sorted(key for key, name in named.items() if name == health_check.name)

    def show_object(self, kind: ObjectKind, key: ObjectKey) -> Mapping[str, object] | None:
        return self.all[kind].get(key)


class DashboardServer:
    """Serves as `with DashboardServer(…)`; what it is told, it tells on the loop of its thread."""

    def __init__(self, *objects: tuple[ObjectKind, Mapping[str, Any]], port: int = 0) -> None:
        self.objects, self.stream, self.not_ready = ShownObjects(), EventStream(), ""
        for kind, shown in objects:
            self.objects.put(kind, shown)
        self.readers = HttpReaders()
        self.vips: Mapping[str, Mapping[str, object]] = {}
        self.histories = ProbeHistories(lambda backends: None, SystemClock())
        self.unprobed: set[ObjectKey] = set()
        self.operator: dict[str, object] = {**LEADING}
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _run(self) -> None:
        server = HttpServer(
            address=f"127.0.0.1:{self.port}",
            metrics=lambda: [b""],
            facts={"role": lambda: "leading", "leader": lambda: "op-1"},
            checks={"api": lambda: self.not_ready or None},
            view=self.objects,
            stream=self.stream,
            find_node=self._find_node,
            histories=self._read_histories,
            operator=self._show_operator,
            dashboard=True,
            readers=self.readers,
        )
        async with server:
            assert server.listen_address is not None
            self.port = server.listen_address.port
            self._ready.set()
            await self._stop.wait()
        await end_other_tasks()

    def _find_node(self, node: str) -> ReadVips | None:
        async def read(frontend: ObjectKey | None) -> Mapping[str, object]:
            return self.vips[node]

        return read if node in self.vips else None

    def _show_operator(self) -> Mapping[str, object]:
        return {**self.operator, "now": datetime.now(UTC).isoformat()}

    def elect(self, **changed: object) -> None:
        """Have the election as it is now, but for this; and that told."""
        self.operator |= changed
        self.tell("operator", **self._show_operator())

    def _read_histories(self, backends: Sequence[ObjectKey]) -> Mapping[ObjectKey, ProbeHistory]:
        self.histories.follow_backends(backends)
        show = self.histories.show_history
        return {each: show(each, is_probed=each not in self.unprobed) for each in backends}

    def _call(self, callback: Callable[..., None], *args: object) -> None:
        self._loop.call_soon_threadsafe(callback, *args)

    def end_streams(self) -> None:
        """End the streams of events, those to come too."""
        self._call(self.stream.close)

    def hang(self, seconds: float) -> None:
        """Have the loop do nothing else for so long."""
        self._call(time.sleep, seconds)

    def change(self, kind: ObjectKind, shown: Mapping[str, Any]) -> None:
        """Have an object changed, and that told."""

        def tell() -> None:
            key = self.objects.put(kind, shown)
            told = {"object": shown}
            self.stream.publish(kind.lower(), told, object=f"{key.namespace}/{key.name}")

        self._call(tell)

    def probe(
        self, name: str, took: float = 0.001, code: ProbeCode = ProbeCode.L7OK, detail: str = ""
    ) -> None:
        """Have a backend of `shop` probed, with this result, if anybody follows that."""
        record = ProbeRecord(ObjectKey("shop", name), time.time(), took, code, detail)
        self._call(self.histories.add_records, [record])

    def tell(self, event: str, **data: object) -> None:
        """Have an event told."""
        self._call(lambda: self.stream.publish(event, data))
