"""Frontends as their status tells, a line each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vpplb.acting.spec_edits import read_pools
from vpplb.cli.verbs.object_problems import (
    FieldDeviation,
    ObjectProblem,
    find_problems,
    read_deviations,
)
from vpplb.cli.verbs.shown_status import (
    ShownFrontend,
    ShownVip,
    find_shown,
    read_shown_frontend,
)
from vpplb.kube.api_types import JsonObject, key_of
from vpplb.model.names import ObjectKey
from vpplb.plan.maglev_table import count_buckets
from vpplb.resources.raw_fields import VALID, spec_of


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
    status = read_shown_frontend(raw)
    vip = status.vip
    return FrontendLine(
        namespace=namespace,
        name=name,
        vip=str(vip.vip) if vip else _written_vip(spec),
        state=status.state or "unknown",
        active_pool=status.active_pool,
        ready=status.ready,
        nodes=status.nodes,
        encap=vip.encap if vip else "",
        table_length=vip.table_length if vip else None,
        revision=vip.revision if vip else "",
        note=_operator_note(status),
        problems=find_problems(raw, status.conditions, status.odd),
        deviations=read_deviations(raw),
    )


def _operator_note(status: ShownFrontend) -> str:
    """Return what the operator warns of, though it accepts the frontend."""
    accepted = find_shown(status.conditions, "Accepted")
    warned = accepted is not None and accepted.status == "True" and accepted.message != VALID
    return accepted.message if accepted is not None and warned else ""


def _written_vip(spec: JsonObject) -> str:
    port = spec.get("port")
    end = f"{str(spec.get('protocol') or 'TCP').lower()}/{port}" if port else "any"
    return f"{spec.get('address') or 'without an address'} {end}"


def share_by_server(vip: ShownVip) -> dict[str, tuple[float, float]]:
    """Return for each server the part of new flows that it gets by VPP's table, and its due."""
    weights, length = vip.weights, vip.table_length
    total = sum(weights.values())
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
