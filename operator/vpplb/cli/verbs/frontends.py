"""Frontends as their status tells, a line each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vpplb.cli.verbs.statuses import (
    FieldDeviation,
    ObjectProblem,
    find_problems,
    read_deviations,
    read_pools,
    read_wanted,
)
from vpplb.kube.api_types import JsonObject, key_of
from vpplb.model.names import ObjectKey
from vpplb.model.vip import Vip
from vpplb.plan.maglev_table import count_buckets
from vpplb.resources.conditions import find_condition
from vpplb.resources.frontend import FrontendStatus
from vpplb.resources.statuses import VALID
from vpplb.resources.stored import read_status, spec_of


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendLine:
    """A frontend in one line. `ready` and `nodes` are such as `2/3`; `note`: what to beware of."""

    namespace: str
    name: str
    vip: str
    state: str
    active_pool: str
    ready: str
    nodes: str
    encap: str
    table_length: int | None
    revision: str
    note: str
    problems: tuple[ObjectProblem, ...]
    deviations: tuple[FieldDeviation, ...]


def read_frontend_line(raw: JsonObject) -> FrontendLine:
    spec, (namespace, name) = spec_of(raw), key_of(raw)
    status = read_status(raw, FrontendStatus)
    loaded = read_wanted(raw)
    settings = loaded[1].settings if loaded else None
    return FrontendLine(
        namespace=namespace,
        name=name,
        vip=str(loaded[0]) if loaded else _written_vip(spec),
        state=status.state or "unknown",
        active_pool=status.active_pool or "",
        ready=status.ready or "",
        nodes=status.nodes.summary if status.nodes else "",
        encap=settings.encap.value if settings else "",
        table_length=settings.table_length if settings else None,
        revision=loaded[2] if loaded else "",
        note=_operator_note(status),
        problems=find_problems(raw, FrontendStatus),
        deviations=read_deviations(raw),
    )


def _operator_note(status: FrontendStatus) -> str:
    """Return what the operator warns of, though it accepts the frontend."""
    accepted = find_condition(status.conditions, "Accepted")
    warned = accepted is not None and accepted.status == "True" and accepted.message != VALID
    return accepted.message if accepted is not None and warned else ""


def _written_vip(spec: JsonObject) -> str:
    port = spec.get("port")
    end = f"{str(spec.get('protocol') or 'TCP').lower()}/{port}" if port else "any"
    return f"{spec.get('address') or 'without an address'} {end}"


def share_by_server(vip: Vip) -> dict[str, tuple[float, float]]:
    """Return for each server the part of new flows that it gets by VPP's table, and its due."""
    weights = {address: server.weight for address, server in vip.servers.items()}
    length, total = vip.settings.table_length, sum(weights.values())
    return {
        str(address): (buckets / length, weights[address] / total if total else 0.0)
        for address, buckets in count_buckets(weights, length).items()
    }


def key_by_name(items: Sequence[JsonObject]) -> dict[str, JsonObject]:
    return {str(one["metadata"]["name"]): one for one in items}


def frontends_by_backend(frontends: Iterable[JsonObject]) -> dict[ObjectKey, list[JsonObject]]:
    """Return, by backend, the frontends that have it in one of their pools, in order of name."""
    users: dict[ObjectKey, list[JsonObject]] = {}
    for raw in sorted(frontends, key=key_of):
        namespace = key_of(raw).namespace
        names = {one["name"] for pool in read_pools(raw) for one in pool["backends"]}
        for name in names:
            users.setdefault(ObjectKey(namespace, name), []).append(raw)
    return users
