"""The agent's node on the API server: its Node's labels, and its Dataplane object.

The Dataplane is named as the node, carries its labels (so that the operator knows which
frontends a node shall carry without reading Nodes) and is owned by it, so it goes with it. An
annotation tells which labels are the Node's: those of others are left alone.

Two machines may have agents of one node's name: an image that was cloned, a name typed twice. The
one that came first goes on; the second keeps its hands off its VPP and the Dataplane. An agent that
is started again, beside the same VPP, is the same one and need not wait. Where a kubelet says on
which machine the node is, an agent there has the first claim, also after a crash of the machine.
"""

import asyncio
import hashlib
import json
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from vpplb.files.machine import boot_id
from vpplb.files.owned_state_store import OwnedStateStore
from vpplb.kube.api_types import ApiError, Conflict, JsonObject, KubeError, NotFound, cluster_key
from vpplb.kube.client import KubeClient
from vpplb.model.backoff import backoff_seconds
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.dataplane import RELEASE
from vpplb.resources.raw_fields import NODE_LABELS
from vpplb.resources.stored_objects import StoredObject

log = logging.getLogger(__name__)

REFRESH = 30.0
"""Seconds between looks at the Node's labels."""
RETRY = (0.2, 5.0)
UNPROCESSABLE = 422
"""The API server's definition does not take an object."""
REMAKE_DELAY = 1.0
"""Seconds until a Dataplane that was deleted is made anew: if its Node goes, so does this agent."""


OnLabels = Callable[[Mapping[str, str]], None]


def agent_identity(node: str, socket: Path) -> str:
    """Return a name of the agent beside the VPP of this socket, until the machine starts anew."""
    digest = hashlib.sha256(str(socket.resolve()).encode()).hexdigest()[:8]
    return f"{node}_{boot_id()}_{digest}"


def outranks_holder(kubelet: str, holder: str) -> bool:
    """Whether an agent need not wait for a holder; `kubelet`: the boot id that the Node tells."""
    return bool(kubelet) and kubelet == boot_id() and f"_{kubelet}_" not in holder


class NodeRegistration:
    """Keeps the Dataplane of the node `name` as one of `release`, if that is not empty.

    `labels` are its Node's, none where there is none.

    `boot_id` is what the Node's kubelet says of its machine, empty where none does.
    `store` keeps the labels, and what its Dataplane says: one that is deleted, or collected with
    its Node, comes back as it was. So who has hands off this VPP (`paused`) keeps them off.
    """

    def __init__(
        self, client: KubeClient, name: str, store: OwnedStateStore, release: str = ""
    ) -> None:
        self.key = cluster_key(name)
        self._release = release
        self._store = store
        self.labels: Mapping[str, str] = {}
        self.owners: tuple[Mapping[str, object], ...] = ()
        self.boot_id = ""
        self._client = client
        self._deleted = asyncio.Event()

    async def register_node(self, on_labels: OnLabels = lambda _labels: None) -> JsonObject:
        """Read the Node and make its Dataplane, trying for as long as it takes; return that.

        `on_labels` is told the Node's labels when they are others than before.
        """
        failures = 0
        while True:
            try:
                return await self._refresh_dataplane(on_labels)
            except KubeError as error:
                failures += 1
                level = logging.WARNING if failures == 1 else logging.DEBUG
                log.log(
                    level, "dataplane %s cannot be made, will try again: %s", self.key.name, error
                )
                await asyncio.sleep(backoff_seconds(failures, *RETRY, jitter=random.random()))

    async def run(self, on_labels: OnLabels) -> None:
        """Follow the labels, and make the Dataplane anew should someone delete it."""
        while True:
            try:
                async with asyncio.timeout(REFRESH):
                    await self._deleted.wait()
                await asyncio.sleep(REMAKE_DELAY)
            except TimeoutError:
                pass
            self._deleted.clear()
            await self.register_node(on_labels)

    def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
        if kind == ObjectKind.DATAPLANE and new.key == self.key:
            self._store.set_spec(new.raw.get("spec") or {})

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        if kind == ObjectKind.DATAPLANE and key == self.key:
            self._deleted.set()

    async def _refresh_dataplane(self, on_labels: OnLabels) -> JsonObject:
        await self._read_node(on_labels)
        labels = dict(self.labels)
        try:
            found = await self._client.get_object(ObjectKind.DATAPLANE, self.key)
        except NotFound:
            return await self._create_dataplane(labels)
        metadata = found["metadata"]
        shown = metadata.get("labels") or {}
        annotations = self._make_annotations(labels)
        shown_annotations = metadata.get("annotations") or {}
        told = {name: str(shown_annotations.get(name) or "") for name in annotations}
        mirrored = told[NODE_LABELS]
        stale = set(mirrored.split(",")) & shown.keys() - labels.keys()
        if (
            not stale
            and labels.items() <= shown.items()
            and told == annotations
            and list(metadata.get("ownerReferences") or ()) == list(self.owners)
        ):
            return found
        patch = {
            "labels": labels | dict.fromkeys(stale),
            "annotations": annotations,
            "ownerReferences": list(self.owners),
        }
        patched = await self._client.patch_object(
            ObjectKind.DATAPLANE, self.key, {"metadata": patch}
        )
        if _of_another(metadata, self.owners):  # of that name: what it owned is not here
            return {**patched, "status": {}}
        return patched

    async def _create_dataplane(self, labels: Mapping[str, str]) -> JsonObject:
        metadata = {
            "name": self.key.name,
            "labels": dict(labels),
            "annotations": self._make_annotations(labels),
            "ownerReferences": list(self.owners),
        }
        spec = dict(self._store.spec or {})
        if spec:
            log.warning("dataplane %s is made anew as it was: %s", self.key.name, json.dumps(spec))
        try:
            try:
                return await self._client.create_object(
                    ObjectKind.DATAPLANE, {"metadata": metadata, "spec": spec}
                )
            except ApiError as error:
                if error.status != UNPROCESSABLE or not spec:
                    raise
                log.error("dataplane %s keeps of that only `paused`: %s", self.key.name, error)
                spec = {"paused": True} if spec.get("paused") is True else {}
                return await self._client.create_object(
                    ObjectKind.DATAPLANE, {"metadata": metadata, "spec": spec}
                )
        except Conflict:  # made by another meanwhile
            return await self._client.get_object(ObjectKind.DATAPLANE, self.key)

    def _make_annotations(self, labels: Iterable[str]) -> dict[str, str]:
        release = {RELEASE: self._release} if self._release else {}
        return {NODE_LABELS: ",".join(sorted(labels)), **release}

    async def _read_node(self, on_labels: OnLabels) -> None:
        try:
            node = await self._client.get_object(ObjectKind.NODE, self.key)
        except NotFound:
            if self.owners:  # it is being removed, and takes the Dataplane with it
                return
            node = {"metadata": {}}
        metadata, info = node["metadata"], (node.get("status") or {}).get("nodeInfo") or {}
        self.boot_id = str(info.get("bootID") or "")
        self.owners = _make_owners(self.key.name, metadata.get("uid"))
        labels = metadata.get("labels") or {}
        self._store.set_labels(labels)
        if labels != self.labels:
            self.labels = labels
            on_labels(labels)


def _of_another(metadata: JsonObject, owners: Iterable[Mapping[str, object]]) -> bool:
    """Whether an object belongs to a Node that is no more."""
    uids = {owner["uid"] for owner in metadata.get("ownerReferences") or () if "uid" in owner}
    return bool(uids) and uids.isdisjoint(owner["uid"] for owner in owners)


def _make_owners(name: str, uid: str | None) -> tuple[Mapping[str, object], ...]:
    if uid is None:
        return ()
    return ({"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid},)
