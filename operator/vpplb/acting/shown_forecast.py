"""Forecasts in JSON's types, as `vpplb plan -o json` and the dashboard show them."""

from collections.abc import Mapping

from vpplb.model.vip import IPAddress, VipId, VipSettings
from vpplb.plan.forecast import ServerShare, VipForecast, forecast_vip
from vpplb.plan.ops import DelServer, DelVip, Op, SetWeight
from vpplb.sync.dry_run import DryRunResult

ShownForecast = dict[str, object]


def list_forecasts(result: DryRunResult) -> list[VipForecast]:
    """Return the forecasts of all VIPs that are, or would be, a frontend's."""
    return [forecast_vip(vip, result.before[vip], result.after[vip]) for vip in result.before]


def list_cut(ops: tuple[Op, ...]) -> set[tuple[VipId, IPAddress | None]]:
    """Return the servers whose flows the calls cut, by VIP; None stands for all of a VIP's."""
    cut: set[tuple[VipId, IPAddress | None]] = set()
    for op in ops:
        match op:
            case SetWeight(flush=True) | DelServer(flush=True):
                cut.add((op.vip, op.address))
            case DelVip():
                cut.add((op.vip, None))
            case _:
                pass
    return cut


def show_forecast(one: VipForecast) -> ShownForecast:
    """Show a VIP's settings, what changes hands, and each server's share, as parts of 1."""
    return {
        "vip": str(one.vip),
        "before": show_settings(one.before.settings) if one.before else None,
        "after": show_settings(one.after.settings) if one.after else None,
        "changed": {"buckets": one.changed, "of": one.buckets, "part": one.changed_part},
        "servers": [
            {"address": str(address), "before": _show_share(before), "after": _show_share(after)}
            for address, (before, after) in one.servers.items()
        ],
    }


def show_settings(settings: VipSettings) -> Mapping[str, object]:
    return {
        "encap": settings.encap.value,
        "dscp": settings.dscp,
        "targetPort": settings.target_port,
        "srcIPSticky": settings.src_ip_sticky,
        "flowTableLength": settings.table_length,
    }


def _show_share(share: ServerShare | None) -> Mapping[str, object] | None:
    if share is None:
        return None
    return {"weight": share.weight, "buckets": share.buckets, "part": share.part}
