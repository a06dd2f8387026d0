"""A plan and its forecast for people (tables) and for programs (JSON)."""

import json
from collections.abc import Callable
from typing import NamedTuple, assert_never

from vpplb.acting.shown_forecast import list_forecasts, show_forecast, show_settings
from vpplb.cli.tables import write_table
from vpplb.cli.terminal import count_of, print_coloured, print_line
from vpplb.plan.forecast import ServerShare, VipForecast
from vpplb.plan.ops import AddServer, AddVip, DelServer, DelVip, Op, SetConf, SetWeight
from vpplb.plan.render import call_text, op_text, settings_text
from vpplb.sync.dry_run import DryRunResult
from vpplb.vpp.codec import NotSendable, encode_op


class PlanView(NamedTuple):
    """A plan with its forecast. `about` says what it starts from; `notes` what else matters."""

    result: DryRunResult
    about: str
    notes: tuple[str, ...] = ()

    def list_forecasts(self) -> list[VipForecast]:
        """Return the forecasts of all VIPs that are, or would be, a frontend's."""
        return list_forecasts(self.result)


def print_plan(view: PlanView) -> None:
    result = view.result
    print_line(f"from {view.about}")
    for note in view.notes:
        print_line(f"note: {note}")
    if result.withheld:
        print_line(f"note: {result.withheld}")
    for blocked, obstacle in result.blocked.items():
        print_line(f"note: {blocked} cannot be made: {obstacle}")
    if result.others:
        print_line(f"note: {count_of(result.others, 'VIP')} of others left alone")
    print_line("")
    print_line(f"{count_of(len(result.ops), 'call')}, in order" + ":" * bool(result.ops))
    for number, op in enumerate(result.ops, 1):
        print_line(f"{number:5}  {call_text(op)}{_refusal_text(op)}")
    for one in view.list_forecasts():
        print_line("")
        print_line(_vip_headline(one))
        print_coloured(_servers_table(one))


def _vip_headline(one: VipForecast) -> str:
    if one.before is None and one.after is not None:
        return f"{one.vip}  new  {settings_text(one.after.settings)}"
    if one.after is None:
        return f"{one.vip}  removed"
    if one.before is not None and one.before.settings != one.after.settings:
        was, now = settings_text(one.before.settings), settings_text(one.after.settings)
        return f"{one.vip}  recreated, its flows are lost  {was} → {now}"
    if one.changed == 0:
        return f"{one.vip}  no new flow goes elsewhere  {settings_text(one.after.settings)}"
    part = f"{one.changed} of {one.buckets} buckets ({_percent_text(one.changed_part)})"
    return f"{one.vip}  {part} change hands  {settings_text(one.after.settings)}"


def _servers_table(one: VipForecast) -> str:
    rows = [
        (
            str(address),
            _change_text(before, after, lambda share: str(share.weight)),
            _change_text(before, after, lambda share: str(share.buckets)),
            _change_text(before, after, lambda share: _percent_text(share.part)),
        )
        for address, (before, after) in one.servers.items()
    ]
    return write_table(["server", "weight", "buckets", "share of new flows"], rows, indent="  ")


def _change_text(
    before: ServerShare | None, after: ServerShare | None, text: Callable[[ServerShare], str]
) -> str:
    was, now = ("–" if share is None else text(share) for share in (before, after))
    return was if was == now else f"{was} → {now}"


def _percent_text(part: float) -> str:
    return f"{100 * part:.2f} %"


def _refusal_text(op: Op) -> str:
    try:
        encode_op(op)
    except NotSendable as error:
        return f"  NOT SENT: {error}"
    return ""


def to_json(view: PlanView) -> str:
    """Write for programs: shares are parts of 1."""
    result = view.result
    content: dict[str, object] = {
        "from": view.about,
        "notes": list(view.notes),
        "others": result.others,
        "withheld": result.withheld,
        "blocked": {str(vip): obstacle for vip, obstacle in result.blocked.items()},
        "calls": [_call_json(op) for op in result.ops],
        "vips": [show_forecast(one) for one in view.list_forecasts()],
    }
    return json.dumps(content, indent=2)


def _call_json(op: Op) -> dict[str, object]:
    try:
        call: dict[str, object] = {"message": encode_op(op)[0]}
    except NotSendable as error:
        call = {"message": None, "notSent": str(error)}
    if not isinstance(op, SetConf):
        call["vip"] = str(op.vip)
    return call | {"does": op_text(op), **_arguments_json(op)}


def _arguments_json(op: Op) -> dict[str, object]:
    match op:
        case SetConf(conf=conf):
            return {
                "ipv4SourceAddress": str(conf.ipv4_source),
                "ipv6SourceAddress": str(conf.ipv6_source),
                "stickyBucketsPerCore": conf.sticky_buckets_per_core,
                "flowTimeoutSeconds": conf.flow_timeout,
            }
        case AddVip():
            return {"add": True, "recreated": op.recreated, **show_settings(op.settings)}
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
