"""What became of this node's VPP: the status of its Dataplane."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from vpplb.agent.frontend_outcomes import FrontendOutcomes
from vpplb.agent.report_debounce import ReportDebounce
from vpplb.files.owned_state_store import OwnedStateStore, format_owned
from vpplb.kube.api_types import JsonObject, cluster_key
from vpplb.kube.kubernetes_events import EventRecorder, ObjectEvent
from vpplb.kube.status_repair import StatusRepair
from vpplb.kube.status_writer import StatusWriter, WritePriority
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.vip import StrangeVip, VipId, VipSettings
from vpplb.plan.ops import VppChange
from vpplb.plan.render import settings_text
from vpplb.resources import condition_reasons
from vpplb.resources.conditions import StatusCondition, load_conditions, set_condition
from vpplb.resources.dataplane import (
    MOST_ERRORS,
    DataplaneDirect,
    DataplaneError,
    DataplaneFrontends,
    DataplaneStatus,
    DataplaneVpp,
)
from vpplb.resources.dataplane_conditions import (
    connected_condition,
    is_declared_gone,
    list_errors,
    synced_condition,
)
from vpplb.resources.event_reasons import (
    NOBODY_LEADS,
    OPERATOR_HEARD,
    VIP_RECREATED,
    EventNote,
)
from vpplb.resources.statuses import accepted_condition
from vpplb.resources.stored import read_dataplane, read_status
from vpplb.resources.stored_objects import StoredObject
from vpplb.sync.ports import VipReport, VppInfo
from vpplb.sync.vip_state import VipState
from vpplb.telemetry.metrics import AgentMetrics
from vpplb.telemetry.sync_log import SyncLog

log = logging.getLogger(__name__)

SPACING = 0.5
"""Seconds from one write of the Dataplane to the next at least. With a thousand VIPs it costs the
API server as much as ten backends, and while many frontends change nobody needs each step."""
HEARD_SPACING = 5.0
"""The same while a leader hears all of it by the direct road at once: then the status is for people
and for whoever leads next."""
LOST_AFTER = 15.0
"""Seconds after which the status says that no leader is connected: the next one mostly is by then,
and a thousand agents need not write twice because one operator was replaced."""
SHOWN = 10
"""VIPs of others that a Dataplane names; of the rest it gives the number."""


class DataplaneReporter(SyncLog):
    """Implements `sync.ports.SyncListener`.

    Implements `kube.object_cache.ObjectHandler`, too, for the node's Dataplane.

    `outcomes` is told what becomes of the frontends, `vips` are those of the VPP, and `store` keeps
    what of them must outlive the process. `recorder` sends events about frontends; `lapsed` tells
    whether the agent's lease has run out; `on_read` is called once a new VPP has been read.

    What the last agent wrote stands until VPP has been heard of and all frontends are known
    (`resume`, `begin`): a restart that changes nothing writes nothing.
    """

    def __init__(
        self,
        writer: StatusWriter,
        metrics: AgentMetrics,
        recorder: EventRecorder,
        node: str,
        clock: Clock,
        *,
        outcomes: FrontendOutcomes,
        vips: VipState,
        store: OwnedStateStore,
        lapsed: Callable[[], bool] = lambda: False,
        on_read: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(metrics)
        self._writer, self._recorder, self._clock = writer, recorder, clock
        self._outcomes, self._vips, self._store = outcomes, vips, store
        self._on_read = on_read
        self._key = cluster_key(node)
        self._lapsed, self._shown_lapsed = lapsed, False
        self._vpp = DataplaneVpp()
        self._reason = "not connected yet"
        self._direct: DataplaneDirect | None = None
        self._heard_last: DataplaneDirect | None = None
        self._led = False
        self._settings_error = ""
        self._strange: tuple[str, ...] = ()
        self._owned: str | None = None
        self._ours: Mapping[VipId, ObjectKey] = {}
        self._last_change: datetime | None = None
        self._conditions: tuple[StatusCondition, ...] = ()
        self._accepted = accepted_condition(())
        self._operator_heard: StatusCondition | None = None
        self._uid, self._generation = "", 0
        self._heard = self._begun = False
        self._news = ReportDebounce(self._submit_status, SPACING)
        self._repair = StatusRepair(lambda _kind, _key: self._submit_soon())

    def resume(self, raw: JsonObject, kept: Mapping[ObjectKey, str] | None) -> None:
        """Take over what the last agent said in the Dataplane, as far as it makes sense.

        `kept` is what it had on its disk of what VPP has, which is ahead of what it said.
        """
        shown = read_status(raw, DataplaneStatus)
        self._last_change = self._last_change or shown.last_change
        if self._heard:  # begun without the API server: we know better
            return
        try:
            programmed = {
                ObjectKey.parse_text(key): revision
                for key, revision in (shown.programmed or {}).items()
            }
        except ValueError:
            return
        self._vpp = shown.vpp or DataplaneVpp()
        if not self._led:
            self._direct = shown.direct
        self._outcomes.resume(programmed if kept is None else kept)

    def begin(self) -> None:
        """All frontends are known: from now on the status is written."""
        self._begun = True
        # What the last agent said of its leader stands for as long as ours mostly is there by then.
        asyncio.get_running_loop().call_later(LOST_AFTER, self._forget_unheard)
        self._submit_soon()

    def _forget_unheard(self) -> None:
        """Say no more that a leader is heard of whom only the last agent has heard."""
        if not self._led and self._direct is not None:
            self._direct = None
            self._submit_soon()

    def on_upsert(self, kind: ObjectKind, old: StoredObject | None, new: StoredObject) -> None:
        if kind != ObjectKind.DATAPLANE or new.key != self._key:
            return
        if self._writer.note_change(ObjectKind.DATAPLANE, old, new):
            self._repair.note_overwrite(ObjectKind.DATAPLANE, new.raw)
        read = read_dataplane(new.raw)
        ignored = read.value.ignored if read.value else ()
        self._accepted = accepted_condition(read.problems, ignored)
        if not self._conditions or is_declared_gone(new.status):
            self._conditions = load_conditions(new.status)
            self._submit_soon()
        if (new.uid, new.generation) != (self._uid, self._generation):
            self._uid, self._generation = new.uid, new.generation
            self._submit_soon()

    def on_delete(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Forget the Dataplane; it will be made again, and wants its status then."""
        if kind != ObjectKind.DATAPLANE or key != self._key:
            return
        self._writer.forget_object(ObjectKind.DATAPLANE, self._key)
        self._repair.forget_object(ObjectKind.DATAPLANE, self._key)
        self._uid = ""

    def on_unreadable(self) -> None:
        self._outcomes.begin_whole()
        self._submit_soon()

    def set_direct(self, operator: str | None) -> None:
        """Take note which operator leads and hears us; None: none does, so the status counts."""
        loop, before, self._led = asyncio.get_running_loop(), self._direct, operator is not None
        if before is not None:
            self._heard_last = before
        if operator is None:
            self._direct = None
            self._news.set_spacing(SPACING)
            if before is not None:
                self.flush()
                loop.call_later(LOST_AFTER, self._submit_soon)
            return
        self._news.set_spacing(HEARD_SPACING)
        if before is None or before.operator != operator:
            # One that was only restarted is heard again at once: nothing that is shown is new.
            last, now = self._heard_last, self._clock.now()
            again = last is not None and last.operator == operator
            self._direct = last if again else DataplaneDirect(operator=operator, since=now)
            # All agents hear of a new leader at once, and need not all write at once.
            loop.call_later(random.uniform(0, HEARD_SPACING), self._submit_soon)

    def set_operator_heard(self, heard: StatusCondition) -> None:
        """Take note whether an operator is at work, and tell people where that has changed."""
        before, self._operator_heard = self._operator_heard, heard
        if before is not None and (before.status, before.reason) == (heard.status, heard.reason):
            return
        self._submit_soon()
        nobody = condition_reasons.NOBODY_LEADS.reason
        if heard.reason == nobody:
            log.warning("%s", heard.message)
            self._announce(NOBODY_LEADS.note(heard.message))
        elif before is not None and before.reason == nobody:
            log.info("an operator is at work again: %s", heard.message)
            self._announce(OPERATOR_HEARD.note(heard.message))

    def _announce(self, note: EventNote) -> None:
        """Send an event about this node's Dataplane."""
        if self._uid:
            node = ObjectKind.DATAPLANE, self._key, self._uid
            self._recorder.emit_event(ObjectEvent.of_note(note, *node, self._clock.now()))

    def on_beat(self) -> None:
        """Take note that the agent's lease was renewed, or was not."""
        if self._lapsed() is not self._shown_lapsed:
            self._submit_soon()

    def flush(self) -> None:
        """Hand over to the writer what waits for its time."""
        self._news.run_now()

    # --- SyncListener ------------------------------------------------------------------------

    def on_connected(self, info: VppInfo) -> None:
        log.info("connected to VPP %s (pid %d)", info.version, info.pid)
        self._metrics.set_connected(True, info.version)
        self._heard, self._reason = True, ""
        now = DataplaneVpp(
            version=info.version, pid=info.pid, connected=True, since=self._vpp.since
        )
        same = now == self._vpp  # as the last agent was connected to
        if not same:
            self._vpp = now.model_copy(update={"since": self._clock.now()})
        self._outcomes.set_connected(True, same=same)
        self._on_read()
        self._submit_soon()

    def on_disconnected(self, reason: str) -> None:
        """VPP is lost: nothing counts as programmed until it was read again."""
        if self._vpp.connected or self._vpp.since is None:
            log.warning("VPP is not connected: %s", reason)
            self._vpp = self._vpp.model_copy(
                update={"connected": False, "since": self._clock.now()}
            )
        self._heard, self._reason = True, reason
        self._outcomes.set_connected(False)
        self._metrics.set_connected(False)
        self._metrics.set_programmed(0)
        self._submit_soon()

    def on_report(self, report: VipReport) -> None:
        if self._outcomes.note_report(report):
            log.error("frontend %s (%s): %s", report.key, report.vip, report.error)
        self._store.save_soon()  # which decision it was
        self._metrics.set_programmed(self._outcomes.count)
        self._submit_soon()

    def on_adopted(self) -> None:
        self._owned = None
        self._store.save_now()
        self._submit_soon()

    def on_state_changed(self) -> None:
        self._owned = None
        self._store.save_soon()
        self._submit_soon()

    def on_vpp_changed(self, changes: Sequence[VppChange]) -> None:
        super().on_vpp_changed(changes)
        self._last_change = self._clock.now()
        self._submit_soon()

    def on_recreated(self, key: ObjectKey, vip: VipId, settings: VipSettings) -> None:
        """A VIP was made anew: people should know why its flows were lost."""
        made = settings_text(settings)
        note = f"the VIP was removed and made anew as {made}; its flows are lost"
        log.warning("frontend %s (%s): %s", key, vip, note)
        frontend = self._writer.cache.get(ObjectKind.FRONTEND, key)
        if frontend is not None:
            told = VIP_RECREATED.note(f"on node {self._key.name}: {note}")
            about = ObjectKind.FRONTEND, key, frontend.uid, self._clock.now()
            self._recorder.emit_event(ObjectEvent.of_note(told, *about, action="Program"))

    def on_strange_vips(self, strange: Sequence[StrangeVip]) -> None:
        super().on_strange_vips(strange)
        self._strange = tuple(one.text for one in strange)

    def on_synced(self, seconds: float) -> None:
        self._metrics.observe_sync(seconds)
        self._submit_soon()

    def on_settings_error(self, error: str) -> None:
        if error and error != self._settings_error:
            log.error("the lb plugin's settings: %s", error)
        self._settings_error = error
        self._submit_soon()

    @property
    def trouble(self) -> str:
        """Why VPP is not connected; empty when it is."""
        return self._reason

    # --- status ------------------------------------------------------------------------------

    def render(self) -> dict[str, object]:
        # A text of all owners is dear, and seldom another one.
        if self._owned is None:
            self._ours = self._vips.owned_state.owned
            self._owned = format_owned(self._ours)
        total, failures = len(self._outcomes.selected.keys), self._outcomes.failures
        carried = self._outcomes.carried
        programmed = {str(key): carried[key] for key in sorted(carried)}
        errors = list_errors(self._settings_error, failures)
        self._shown_lapsed = self._lapsed()
        for condition in (
            connected_condition(self._vpp, self._reason, self._shown_lapsed),
            synced_condition(self._vpp, self._reason, len(carried), total, errors),
            *([self._operator_heard] if self._operator_heard else []),
            self._accepted,
        ):
            seen = condition.model_copy(update={"observed_generation": self._generation})
            self._conditions = set_condition(self._conditions, seen, self._clock.now())
        return DataplaneStatus(
            vpp=self._vpp,
            frontends=DataplaneFrontends.summarize_frontends(len(carried), total),
            programmed=programmed,
            owned=self._owned,
            others=len(self._vips.observed.keys() - self._ours.keys()) + len(self._strange),
            strange=self._strange[:SHOWN],
            errors=tuple(
                DataplaneError(frontend=str(key), message=message)
                for key, message in sorted(failures.items())[:MOST_ERRORS]
            ),
            direct=self._direct,
            last_change=self._last_change,
            conditions=self._conditions,
            observed_generation=self._generation,
        ).dump_json()

    def _submit_soon(self) -> None:
        if self._heard and self._begun:
            self._news.request_run()

    def _submit_status(self) -> None:
        self._writer.submit_status(
            ObjectKind.DATAPLANE, self._key, self.render, WritePriority.FRONTEND
        )
