"""A plan of what manifests say; against nothing, other manifests, or a VPP."""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

from vpplb.cli.check import find_across
from vpplb.cli.plan_view import PlanView
from vpplb.files.findings import BadManifests
from vpplb.files.manifests import LoadedManifests, load_manifests
from vpplb.model.names import ObjectKey
from vpplb.model.vip import LbConf, VipId, VipTable
from vpplb.plan.assumption import AssumedVips, assume_vips
from vpplb.plan.obstacles import FlushEpochs
from vpplb.plan.settings import DesiredSettings, diff_settings
from vpplb.resources.allowances import AddressAllowances
from vpplb.sync.dry_run import DryRun
from vpplb.sync.ports import ObservedVpp
from vpplb.sync.vip_state import OwnedState


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
        observed, version = asyncio.run(read_vpp(socket))
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


async def read_vpp(socket: Path) -> tuple[ObservedVpp, str]:
    """Read a VPP once; return what it has, and its version."""
    from vpplb.vpp.lb import PapiLoadBalancer

    lb = PapiLoadBalancer(socket)
    try:
        info = await lb.connect()
        return await lb.read(), info.version
    finally:
        await lb.close()
