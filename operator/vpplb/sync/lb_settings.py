"""Keeps the settings of the whole plugin (`lb_conf`) as wished, and says why where they are not."""

import logging

from vpplb.model.vip import LbConf, VipTable
from vpplb.plan.caveats import unset_sources
from vpplb.plan.ops import ChangeKind, SetConf
from vpplb.plan.settings import (
    DesiredSettings,
    diff_settings,
    explain_flow_loss,
    explain_lack_of_memory,
    resizes_buckets,
    without_resizing,
)
from vpplb.sync.apply import words
from vpplb.sync.contention import Quarrels
from vpplb.sync.ports import LoadBalancer, SyncListener

log = logging.getLogger(__name__)


class PluginConf:
    """The settings wished and found. A call that VPP refused is not sent again before a reading."""

    def __init__(self, lb: LoadBalancer, listener: SyncListener, quarrels: Quarrels) -> None:
        self._lb, self._listener, self._quarrels = lb, listener, quarrels
        self._wish, self._found = DesiredSettings(), LbConf()
        self._refused: SetConf | None = None
        self._withheld = ""
        """Why the number of sticky buckets is left as it is."""
        self._no_room: str | None = None
        """Why VPP has no room for those wished; None: to be asked."""
        self._contested = False
        self._error = ""
        self._warned: tuple[str, ...] = ()

    def want(self, wish: DesiredSettings) -> bool:
        """Wish for these settings; return whether that is news."""
        if wish == self._wish:
            return False
        self._wish, self._refused, self._no_room = wish, None, None
        return True

    def observe(self, found: LbConf, table: VipTable) -> None:
        """Note what VPP was found to have; warn, once, where its packets come from nowhere."""
        self._found, self._refused = found, None
        caveats = unset_sources(found, table)
        for caveat in caveats if caveats != self._warned else ():
            log.warning("%s", caveat)
        self._warned = caveats

    def reconnected(self) -> None:
        """Forget what is known of that VPP's memory: it may be another one."""
        self._no_room = None

    @property
    def op(self) -> SetConf | None:
        """The call that is due."""
        wish = without_resizing(self._wish) if self._withheld else self._wish
        return diff_settings(wish, self._found)

    async def settle(self, *, in_service: bool) -> None:
        """Send what is due (LoadBalancerGone). `in_service`: VPP has VIPs with servers."""
        self._withheld = await self._why_withheld(in_service)
        op = self.op
        if op is not None and op == self._refused:
            return
        self._refused, error = None, self._withheld
        if op is not None:
            (outcome,) = await self._lb.apply([op])
            if outcome.ok:
                self._done(op.conf, in_service)
            else:
                self._refused, error = op, words(outcome)
        self._say(error)

    def contest(self, settled: bool, now: float) -> bool:
        """Say, after a reading, whether somebody changed what was `settled`, to be repaired now."""
        op = self.op if settled or self._contested else None
        why = self._quarrels.repair(SetConf, now) if op is not None else ""
        self._contested = bool(why)
        if why:
            self._refused = op
            self._say(f"the settings: {why}")
        return op is not None and not why

    def _done(self, conf: LbConf, in_service: bool) -> None:
        resized = conf.sticky_buckets_per_core != self._found.sticky_buckets_per_core
        self._found = conf
        self._listener.changed(ChangeKind.CONF, 1)
        if resized and in_service:
            self._listener.flows_forgotten(conf.sticky_buckets_per_core)

    async def _why_withheld(self, in_service: bool) -> str:
        if not resizes_buckets(self._wish, self._found):
            return ""
        if in_service and not self._wish.allow_flow_loss:
            return explain_flow_loss(self._wish)
        if self._no_room is None:
            self._no_room = explain_lack_of_memory(self._wish, await self._lb.heap())
        return self._no_room

    def _say(self, error: str) -> None:
        if error != self._error:
            self._error = error
            self._listener.conf_failed(error)
