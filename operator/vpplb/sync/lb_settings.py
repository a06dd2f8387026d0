"""Keeps the settings of the whole plugin (`lb_conf`) as desired, or says why they are not."""

import logging

from vpplb.model.vip import LbConf, VipTable
from vpplb.plan.ops import ChangeKind, SetConf, VppChange
from vpplb.plan.settings import (
    DesiredSettings,
    diff_settings,
    explain_flow_loss,
    explain_lack_of_memory,
    resizes_buckets,
    without_resizing,
)
from vpplb.plan.warnings import warn_of_unset_sources
from vpplb.sync.apply import explain_refusal
from vpplb.sync.contention import ContentionTracker
from vpplb.sync.ports import LoadBalancer, SyncListener

log = logging.getLogger(__name__)


class SettingsSyncer:
    """What is desired and found. A call that VPP refused is not sent again before a reading."""

    def __init__(
        self, lb: LoadBalancer, listener: SyncListener, contention: ContentionTracker
    ) -> None:
        self._lb, self._listener, self._contention = lb, listener, contention
        self._desired, self._found = DesiredSettings(), LbConf()
        self._refused: SetConf | None = None
        self._withheld = ""
        """Why the number of sticky buckets is left as it is."""
        self._no_room: str | None = None
        """Why VPP has no room for those desired; None: to be asked."""
        self._contested = False
        self._error = ""
        self._warned: tuple[str, ...] = ()

    def set_desired(self, desired: DesiredSettings) -> bool:
        """Want these settings; return whether that is news."""
        if desired == self._desired:
            return False
        self._desired, self._refused, self._no_room = desired, None, None
        return True

    def set_observed(self, found: LbConf, table: VipTable) -> None:
        """Note what VPP was found to have; warn, once, where its packets come from nowhere."""
        self._found, self._refused = found, None
        warnings = warn_of_unset_sources(found, table)
        for warning in warnings if warnings != self._warned else ():
            log.warning("%s", warning)
        self._warned = warnings

    def on_reconnected(self) -> None:
        """Forget what is known of that VPP's memory: it may be another one."""
        self._no_room = None

    @property
    def due_call(self) -> SetConf | None:
        desired = without_resizing(self._desired) if self._withheld else self._desired
        return diff_settings(desired, self._found)

    async def send_due(self, *, in_service: bool) -> None:
        """Send what is due (LoadBalancerGone). `in_service`: VPP has VIPs with servers."""
        self._withheld = await self._explain_withheld(in_service)
        op = self.due_call
        if op is not None and op == self._refused:
            return  # VPP would refuse it again, and what it said stands
        self._refused, error = None, self._withheld
        if op is not None:
            (outcome,) = await self._lb.apply_ops([op])
            if outcome.ok:
                self._note_sent(op.conf, in_service)
            else:
                self._refused, error = op, explain_refusal(outcome)
        self._report_error(error)

    def note_contest(self, settled: bool, now: float) -> bool:
        """Say, after a reading, whether somebody changed what was `settled`, to be repaired now."""
        op = self.due_call if settled or self._contested else None
        why = self._contention.defer_repair(SetConf, now) if op is not None else ""
        self._contested = bool(why)
        if why:
            self._refused = op
            self._report_error(f"the settings: {why}")
        return op is not None and not why

    def _note_sent(self, conf: LbConf, in_service: bool) -> None:
        resized = conf.sticky_buckets_per_core != self._found.sticky_buckets_per_core
        self._found = conf
        self._listener.on_vpp_changed([VppChange(ChangeKind.CONF, SetConf(conf=conf))])
        if resized and in_service:
            self._listener.on_flows_forgotten(conf.sticky_buckets_per_core)

    async def _explain_withheld(self, in_service: bool) -> str:
        if not resizes_buckets(self._desired, self._found):
            return ""
        if in_service and not self._desired.allow_flow_loss:
            return explain_flow_loss(self._desired)
        if self._no_room is None:
            self._no_room = explain_lack_of_memory(self._desired, await self._lb.read_heap())
        return self._no_room

    def _report_error(self, error: str) -> None:
        if error != self._error:
            self._error = error
            self._listener.on_settings_error(error)
