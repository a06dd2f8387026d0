"""A plan for a node of a cluster: what its agent would do now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vpplb.agent.frontend_selector import FrontendSelector, SelectedFrontends
from vpplb.agent.newest_decisions import NewestDecisions
from vpplb.cli.manifest_planning import read_vpp
from vpplb.cli.plan_view import PlanView
from vpplb.files.json_files import UnusableFile
from vpplb.files.owned_state_store import StoredState, VppIdentity, read_owned, read_stored_state
from vpplb.kube.api_types import JsonObject, NotFound, cluster_key
from vpplb.kube.client import KubeClient
from vpplb.kube.object_cache import ObjectCache
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.plan.settings import DesiredSettings
from vpplb.resources.raw_fields import node_labels
from vpplb.sync.dry_run import DryRun
from vpplb.sync.vip_state import OwnedState


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSource:
    """A node of a cluster, and where its VPP and its agent's memory are."""

    node: str
    socket: Path
    namespaces: Sequence[str]
    state_file: Path | None


async def plan_node(live: NodeSource, settings: DesiredSettings, *, own_all: bool) -> PlanView:
    """Plan what the agent of a node would do now (LoadBalancerGone, KubeError, ConfigError)."""
    async with await KubeClient.from_config() as client:
        dataplane = await _read_dataplane(client, live.node)
        listings = {
            namespace: await client.list_objects(ObjectKind.FRONTEND, namespace)
            for namespace in live.namespaces or (None,)
        }
    stored = _read_state_file(live)
    state = (stored.state if stored else read_owned(dataplane or {})) or OwnedState()
    dry_run = DryRun(state, own_all=own_all)
    cache = ObjectCache()
    selector = FrontendSelector(
        dry_run, cache, NewestDecisions(), live.node, settings, SelectedFrontends()
    )
    cache.add_handlers(selector)
    selector.resume(state.owned, stored.marks if stored else {})
    if dataplane is not None:
        selector.set_labels(node_labels(dataplane["metadata"]))
        selector.set_dataplane(dataplane)
    note_listed = selector.begin_list()
    for namespace, listing in listings.items():
        await cache.apply_listing(ObjectKind.FRONTEND, namespace, listing)
    note_listed()
    observed, version = await read_vpp(live.socket)
    selector.note_observed(observed.table)
    result = dry_run.plan_calls(observed)
    return PlanView(
        result=result,
        about=f"VPP {version} at {live.socket}, for node {live.node}",
        notes=tuple(_plan_notes(live, dataplane, dry_run, result.lost)),
    )


def _read_state_file(live: NodeSource) -> StoredState | None:
    """Read what the agent's file says, as the agent would."""
    if live.state_file is None:
        return None
    try:
        return read_stored_state(live.state_file, VppIdentity.of_socket(live.node, live.socket))
    except UnusableFile:
        return None


async def _read_dataplane(client: KubeClient, node: str) -> JsonObject | None:
    try:
        return await client.get_object(ObjectKind.DATAPLANE, cluster_key(node))
    except NotFound:
        return None


def _plan_notes(
    live: NodeSource, dataplane: JsonObject | None, dry_run: DryRun, lost: Iterable[ObjectKey]
) -> Iterable[str]:
    if dataplane is None:
        yield f"there is no Dataplane {live.node}: no agent has run there, its labels are unknown"
    if dry_run.paused:
        yield "the Dataplane is paused: nothing is sent until it is resumed"
    if live.state_file is None:
        yield "without --state-file flushes that are still due are not shown"
    for key in lost:
        yield f"Frontend {key} wants a VIP that another frontend has"
