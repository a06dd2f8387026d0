"""Objects as an operator and agents leave them in a cluster, for tests of what reads them."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, NamedTuple

from data.objects import NOON, vip
from vpplb.kube.api_types import JsonObject
from vpplb.model.vip import AppServer, Encap, Vip, VipId, VipSettings
from vpplb.resources.dataplane_codec import dump_dataplane

WEB = vip("192.0.2.10/32")


class InPool(NamedTuple):
    """A member with its state; `weight` is the configured one."""

    pool: str
    name: str
    address: str
    state: str = "up"
    weight: int = 100
    effective: int = 100


TWO = (InPool("main", "a", "10.0.0.1"), InPool("main", "b", "10.0.0.2"))


def at(seconds: float) -> str:
    """Return a time that many seconds after noon."""
    return (NOON + timedelta(seconds=seconds)).isoformat()


def condition(type_: str, status: str = "True", reason: str = "", message: str = "") -> JsonObject:
    return {
        "type": type_,
        "status": status,
        "reason": reason or type_,
        "message": message,
        "lastTransitionTime": at(0),
    }


def metadata(name: str, namespace: str = "default", generation: int = 1) -> JsonObject:
    return {"name": name, "namespace": namespace, "generation": generation, "resourceVersion": "1"}


def decided_backend(
    name: str,
    address: str,
    state: str = "up",
    *,
    namespace: str = "default",
    transitions: Sequence[tuple[str, str, float]] = (),
    conditions: Sequence[JsonObject] = (),
    status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> JsonObject:
    """Return a Backend; `transitions` are (from, to, seconds after noon), newest first."""
    code, detail = {"up": ("L7OK", "200 OK"), "down": ("L4CON", "connection refused")}.get(
        state, ("", "")
    )
    shown = {
        "state": state,
        "since": at(0),
        "code": code,
        "detail": detail,
        "frontends": 1,
        "observedGeneration": 1,
        "conditions": [condition("Accepted"), condition("Healthy"), *conditions],
        "transitions": [
            {"from": before, "to": after, "at": at(when), "code": code, "detail": detail}
            for before, after, when in transitions
        ],
    }
    return {
        "metadata": metadata(name, namespace),
        "spec": {"address": address, **spec},
        "status": {**shown, **(status or {})},
    }


def wanted_vip(members: Sequence[InPool], table_length: int = 1024) -> Vip:
    weights = {ip_address(one.address): 0 for one in members}
    for one in members:
        weights[ip_address(one.address)] = max(weights[ip_address(one.address)], one.effective)
    return Vip(
        settings=VipSettings(encap=Encap.GRE4, table_length=table_length),
        servers={address: AppServer(weight=weight) for address, weight in weights.items()},
    )


def decided_frontend(
    name: str = "web",
    members: Sequence[InPool] = TWO,
    on: VipId = WEB,
    *,
    namespace: str = "default",
    conditions: Sequence[JsonObject] = (),
    status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> JsonObject:
    """Return a Frontend whose VIP is programmed; `conditions` replace those of their types."""
    good = [condition(one) for one in ("Accepted", "ResolvedRefs", "Available", "Programmed")]
    shown = {one["type"]: one for one in [*good, condition("Degraded", "False"), *conditions]}
    active = next((one.pool for one in members if one.effective), None)
    pools = dict.fromkeys(one.pool for one in members)
    return {
        "metadata": metadata(name, namespace),
        "spec": {
            "address": str(on.prefix.network_address),
            "port": on.port,
            "pools": [
                {
                    "name": pool,
                    "backends": [
                        {"name": one.name, "weight": one.weight}
                        for one in members
                        if one.pool == pool
                    ],
                }
                for pool in pools
            ],
            **spec,
        },
        "status": {
            "state": "up" if active else "down",
            "activePool": active,
            "ready": f"{sum(one.state == 'up' for one in members)}/{len(members)}",
            "nodes": {"desired": 1, "programmed": 1, "summary": "1/1"},
            "observedGeneration": 1,
            "conditions": list(shown.values()),
            "dataplane": dump_dataplane(on, wanted_vip(members)),
            "backends": [
                {
                    "name": one.name,
                    "address": one.address,
                    "pool": one.pool,
                    "state": one.state,
                    "weight": one.weight,
                    "effectiveWeight": one.effective,
                }
                for one in members
            ],
            **(status or {}),
        },
    }


def node_dataplane(
    name: str = "n1",
    programmed: Mapping[str, str] | None = None,
    *,
    conditions: Sequence[JsonObject] = (),
    labels: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
    **status: Any,
) -> JsonObject:
    """Return a node's Dataplane, connected and synced."""
    shown = {one["type"]: one for one in [condition("Connected"), condition("Synced"), *conditions]}
    return {
        "metadata": {
            **{"name": name, "generation": 1, "resourceVersion": "1"},
            "labels": dict(labels or {}),
        },
        "spec": dict(spec or {}),
        "status": {
            "vpp": {"version": "26.10", "pid": 7, "connected": True, "since": at(0)},
            "frontends": {"total": 1, "programmed": 1, "summary": "1/1"},
            "programmed": dict(programmed or {}),
            "others": 0,
            "lastChange": at(0),
            "observedGeneration": 1,
            "conditions": list(shown.values()),
            **status,
        },
    }
