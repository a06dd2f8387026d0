"""The VIPs that a set of objects comes to when every backend counts as up, or but for some.

What the operator would decide if it had probed; for looking at manifests where nobody probes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from vpplb.model.health import BackendHealth, HealthState
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Backend, Frontend
from vpplb.model.problem import Problem
from vpplb.model.vip import Vip, VipId, VipTable
from vpplb.plan.desired import DecisionContent, PreviousDecision, choose_settings, desired_vip
from vpplb.plan.pools import decide_weights
from vpplb.plan.resolve import missing_health_check, resolve_objects
from vpplb.plan.resolved import ResolvedFrontend
from vpplb.plan.serving_start import ServingStart

NOW = 1
"""Flush epoch of what is flushed now: all others are 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssumedVips:
    """The VIP that each accepted frontend comes to, and what is wrong with the set."""

    vips: Mapping[ObjectKey, tuple[VipId, Vip]]
    problems: tuple[Problem, ...]

    @property
    def table(self) -> VipTable:
        return dict(self.vips.values())


def assume_vips(
    frontends: Mapping[ObjectKey, Frontend],
    backends: Mapping[ObjectKey, Backend],
    health_checks: Collection[ObjectKey],
    *,
    down: Collection[ObjectKey] = (),
    before: VipTable,
) -> AssumedVips:
    """Decide on a whole set.

    Backends are up but those of `down`, those paused or disabled, and those whose health check
    does not exist (never probed: unknown). `before` is what there is: a table length that serves
    is kept, and a server that had a weight and goes down is flushed as its frontend says.
    """
    health = {
        key: BackendHealth(state=_assume_state(backend, health_checks, down=key in down))
        for key, backend in backends.items()
    }
    resolution = resolve_objects(frontends, backends, health_checks)
    vips: dict[ObjectKey, tuple[VipId, Vip]] = {}
    for key, resolved in resolution.frontends.items():
        vip = resolved.frontend.vip
        previous = _assume_previous(resolved, before.get(vip))
        config = choose_settings(resolved, previous)
        start = ServingStart(decision=decide_weights(resolved.members, health))
        desired = desired_vip(config, start, previous, epoch=NOW)
        if desired is not None:
            vips[key] = (vip, desired)
    return AssumedVips(vips=vips, problems=resolution.problems)


def _assume_state(
    backend: Backend, health_checks: Collection[ObjectKey], *, down: bool
) -> HealthState:
    if not backend.enabled:
        return HealthState.DISABLED
    if backend.paused:
        return HealthState.PAUSED
    if missing_health_check(backend, health_checks):
        return HealthState.UNKNOWN
    return HealthState.DOWN if down else HealthState.UP


def _assume_previous(resolved: ResolvedFrontend, vip: Vip | None) -> PreviousDecision:
    """Take a server that has a weight for one that was up."""
    servers = vip.servers if vip else {}
    serving = {address for address, server in servers.items() if server.weight}
    up = {m.backend: HealthState.UP for m in resolved.members if m.address in serving}
    return PreviousDecision(content=DecisionContent(vip=vip), states=up)
