"""A plan and its forecast for people (tables) and for programs (JSON)."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from vpplb.cli.tables import columns
from vpplb.cli.terminal import say, say_coloured
from vpplb.model.vip import VipSettings
from vpplb.plan.forecast import Forecast, Share, forecast
from vpplb.plan.ops import AddServer, AddVip, DelServer, DelVip, Op, SetConf, SetWeight
from vpplb.plan.render import call_text, op_text, settings_text
from vpplb.sync.dry_run import DryRunResult
from vpplb.vpp.codec import NotSendable, encode_op


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A plan with its forecast. `about` says what it starts from; `notes` what else matters."""

    result: DryRunResult
    about: str
    notes: tuple[str, ...] = ()

    def forecasts(self) -> list[Forecast]:
        """Return the forecasts of all VIPs that are, or would be, a frontend's."""
        before, after = self.result.before, self.result.after
        return [forecast(vip, before[vip], after[vip]) for vip in before]


def show(view: View) -> None:
    """Print for people."""
    result = view.result
    say(f"from {view.about}")
    for note in view.notes:
        say(f"note: {note}")
    if result.withheld:
        say(f"note: {result.withheld}")
    for blocked, obstacle in result.blocked.items():
        say(f"note: {blocked} cannot be made: {obstacle}")
    if result.others:
        say(f"note: {_count(result.others, 'VIP')} of others left alone")
    say("")
    say(f"{_count(len(result.ops), 'call')}, in order" + ":" * bool(result.ops))
    for number, op in enumerate(result.ops, 1):
        say(f"{number:5}  {call_text(op)}{_refusal(op)}")
    for one in view.forecasts():
        say("")
        say(_headline(one))
        say_coloured(_table(one))


def _headline(one: Forecast) -> str:
    if one.before is None and one.after is not None:
        return f"{one.vip}  new  {settings_text(one.after.settings)}"
    if one.after is None:
        return f"{one.vip}  removed"
    if one.before is not None and one.before.settings != one.after.settings:
        was, now = settings_text(one.before.settings), settings_text(one.after.settings)
        return f"{one.vip}  recreated, its flows are lost  {was} → {now}"
    if one.changed == 0:
        return f"{one.vip}  no new flow goes elsewhere  {settings_text(one.after.settings)}"
    part = f"{one.changed} of {one.buckets} buckets ({_percent(one.changed_part)})"
    return f"{one.vip}  {part} change hands  {settings_text(one.after.settings)}"


def _table(one: Forecast) -> str:
    rows = [
        (
            str(address),
            _change(before, after, lambda share: str(share.weight)),
            _change(before, after, lambda share: str(share.buckets)),
            _change(before, after, lambda share: _percent(share.part)),
        )
        for address, (before, after) in one.servers.items()
    ]
    return columns(["server", "weight", "buckets", "share of new flows"], rows, indent="  ")


def _change(before: Share | None, after: Share | None, text: Callable[[Share], str]) -> str:
    was, now = ("–" if share is None else text(share) for share in (before, after))
    return was if was == now else f"{was} → {now}"


def _percent(part: float) -> str:
    return f"{100 * part:.2f} %"


def _refusal(op: Op) -> str:
    try:
        encode_op(op)
    except NotSendable as error:
        return f"  NOT SENT: {error}"
    return ""


def to_json(view: View) -> str:
    """Write for programs: shares are parts of 1."""
    result = view.result
    content: dict[str, object] = {
        "from": view.about,
        "notes": list(view.notes),
        "others": result.others,
        "withheld": result.withheld,
        "blocked": {str(vip): obstacle for vip, obstacle in result.blocked.items()},
        "calls": [_call(op) for op in result.ops],
        "vips": [_vip(one) for one in view.forecasts()],
    }
    return json.dumps(content, indent=2)


def _call(op: Op) -> dict[str, object]:
    try:
        call: dict[str, object] = {"message": encode_op(op)[0]}
    except NotSendable as error:
        call = {"message": None, "notSent": str(error)}
    if not isinstance(op, SetConf):
        call["vip"] = str(op.vip)
    return call | {"does": op_text(op), **_arguments(op)}


def _arguments(op: Op) -> dict[str, object]:
    match op:
        case SetConf(conf=conf):
            return {
                "ipv4SourceAddress": str(conf.ipv4_source),
                "ipv6SourceAddress": str(conf.ipv6_source),
                "stickyBucketsPerCore": conf.sticky_buckets_per_core,
                "flowTimeoutSeconds": conf.flow_timeout,
            }
        case AddVip():
            return {"add": True, "recreated": op.recreated, **_settings(op.settings)}
        case DelVip():
            return {"add": False}
        case AddServer():
            return {"add": True, "server": str(op.address), "weight": op.weight}
        case DelServer():
            return {"add": False, "server": str(op.address), "flush": op.flush}
        case SetWeight():
            return {"server": str(op.address), "weight": op.weight, "flush": op.flush}
        case _:
            assert_never(op)


def _settings(settings: VipSettings) -> dict[str, object]:
    return {
        "encap": settings.encap.value,
        "dscp": settings.dscp,
        "targetPort": settings.target_port,
        "srcIPSticky": settings.src_ip_sticky,
        "flowTableLength": settings.table_length,
    }


def _vip(one: Forecast) -> dict[str, object]:
    return {
        "vip": str(one.vip),
        "before": _settings(one.before.settings) if one.before else None,
        "after": _settings(one.after.settings) if one.after else None,
        "changed": {"buckets": one.changed, "of": one.buckets, "part": one.changed_part},
        "servers": [
            {"address": str(address), "before": _share(before), "after": _share(after)}
            for address, (before, after) in one.servers.items()
        ],
    }


def _share(share: Share | None) -> dict[str, object] | None:
    if share is None:
        return None
    return {"weight": share.weight, "buckets": share.buckets, "part": share.part}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
