"""Where a plan comes from: manifests, or a cluster; against nothing, manifests, or a VPP."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vpplb.agent.frontend_selector import FrontendSelector, SelectedFrontends
from vpplb.agent.newest_decisions import NewestDecisions
from vpplb.cli.check import find_across
from vpplb.cli.plan_view import PlanView
from vpplb.files.findings import BadManifests
from vpplb.files.json_files import UnusableFile
from vpplb.files.manifests import LoadedManifests, load_manifests
from vpplb.files.owned_state_store import StoredState, VppIdentity, read_owned, read_stored_state
from vpplb.kube.api_types import JsonObject, NotFound, cluster_key
from vpplb.kube.client import KubeClient
from vpplb.kube.object_cache import ObjectCache
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.vip import LbConf, VipId, VipTable
from vpplb.plan.assumption import AssumedVips, assume_vips
from vpplb.plan.obstacles import FlushEpochs
from vpplb.plan.settings import DesiredSettings, diff_settings
from vpplb.resources.allowances import AddressAllowances
from vpplb.resources.raw_fields import node_labels
from vpplb.sync.dry_run import DryRun
from vpplb.sync.ports import ObservedVpp
from vpplb.sync.vip_state import OwnedState
from vpplb.vpp.lb import PapiLoadBalancer


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSource:
    """A node of a cluster, and where its VPP and its agent's memory are."""

    node: str
    socket: Path
    namespaces: Sequence[str]
    state_file: Path | None


# --- manifests ------------------------------------------------------------------------------------


def plan_manifests(
    manifests: Iterable[Path],
    settings: DesiredSettings,
    *,
    socket: Path | None,
    start: Sequence[Path],
    down: Sequence[str],
    own_all: bool,
    allowed: AddressAllowances,
) -> PlanView:
    """Plan what manifests say (BadManifests, LoadBalancerGone).

    Wrong is what `vpplb check` calls so. Those to start from may be in force, though a reference
    of theirs leads nowhere: these are taken as far as they go.
    """
    loaded = _load_manifests(manifests, allowed)
    if across := find_across(loaded)[0]:
        raise BadManifests(across)
    owned: dict[VipId, ObjectKey] = {}
    about = "an empty VPP"
    observed = ObservedVpp()
    if start:
        about = ", ".join(map(str, start))
        old = _load_manifests(start, allowed)
        assumed = _assume_loaded(old, (), {})
        owned = {vip: key for key, (vip, _) in assumed.vips.items()}
        observed = ObservedVpp(table=assumed.table, conf=_plugin_settings(old, settings))
    elif socket is not None:
        observed, version = asyncio.run(_read_vpp(socket))
        about = f"VPP {version} at {socket}"
    known: dict[VipId, FlushEpochs] = {vip: {} for vip in observed.table}
    dry_run = DryRun(OwnedState(owned=owned, flushed=known), own_all=own_all)
    dry_run.set_settings(_merged_settings(loaded, settings))
    assumed = _assume_loaded(loaded, _find_named(down, loaded), observed.table)
    for key, (vip, desired) in assumed.vips.items():
        dry_run.set_desired(key, vip, desired, "")
    note = "every backend counts as up but those paused, disabled or named by --down"
    return PlanView(result=dry_run.plan_calls(observed), about=about, notes=(note,))


def _load_manifests(paths: Iterable[Path], allowed: AddressAllowances) -> LoadedManifests:
    loaded = load_manifests(paths, allowed)
    if loaded.findings:
        raise BadManifests(loaded.findings)
    return loaded


def _assume_loaded(
    loaded: LoadedManifests, down: Iterable[ObjectKey], before: VipTable
) -> AssumedVips:
    return assume_vips(
        loaded.frontends, loaded.backends, loaded.health_checks, down=set(down), before=before
    )


def _find_named(down: Iterable[str], loaded: LoadedManifests) -> set[ObjectKey]:
    """Find the backends; BadManifests for a name that is none's, or several's."""
    found = set()
    for name in down:
        keys = [key for key in loaded.backends if name in (key.name, str(key))]
        if len(keys) != 1:
            what = "there is no" if not keys else "more than one namespace has a"
            raise BadManifests([f"--down {name}: {what} Backend {name}"])
        found.update(keys)
    return found


def _merged_settings(loaded: LoadedManifests, settings: DesiredSettings) -> DesiredSettings:
    """Take the settings of the plugin from the first Dataplane, as `vpplb standalone` does."""
    dataplane = next(iter(loaded.dataplanes.values()), None)
    return dataplane.spec.merge_settings(settings) if dataplane else settings


def _plugin_settings(loaded: LoadedManifests, settings: DesiredSettings) -> LbConf:
    change = diff_settings(_merged_settings(loaded, settings), LbConf())
    return change.conf if change else LbConf()


# --- a cluster ------------------------------------------------------------------------------------


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
    observed, version = await _read_vpp(live.socket)
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


async def _read_vpp(socket: Path) -> tuple[ObservedVpp, str]:
    """Read a VPP once; return what it has, and its version."""
    lb = PapiLoadBalancer(socket)
    try:
        info = await lb.connect()
        return await lb.read(), info.version
    finally:
        await lb.close()
