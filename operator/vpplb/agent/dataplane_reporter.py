"""What became of this node's VPP: the status of its Dataplane."""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from vpplb.agent.frontend_selector import SelectedFrontends
from vpplb.files.owned_state_store import OwnedStateStore, format_owned
from vpplb.kube.api_types import JsonObject, cluster_key
from vpplb.kube.kubernetes_events import EventRecorder, ObjectEvent
from vpplb.kube.object_cache import CachedObject
from vpplb.kube.status_repair import StatusRepair
from vpplb.kube.status_writer import StatusWriter, WritePriority
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.vip import StrangeVip, VipId, VipSettings
from vpplb.plan.ops import ChangeKind
from vpplb.plan.render import settings_text
from vpplb.resources.conditions import StatusCondition, find_condition, set_condition
from vpplb.resources.dataplane import (
    AGENT_GONE,
    MOST_ERRORS,
    DataplaneError,
    DataplaneFrontends,
    DataplaneStatus,
    DataplaneVpp,
    agent_gone,
)
from vpplb.resources.renderer import load_conditions
from vpplb.resources.statuses import accepted_condition
from vpplb.resources.stored import read_dataplane, read_status
from vpplb.sync.ports import VipReport, VppInfo
from vpplb.sync.vip_state import VipState
from vpplb.telemetry.metrics import AgentMetrics
from vpplb.telemetry.sync_log import SyncLog

log = logging.getLogger(__name__)

SPACING = 0.5
"""Seconds from one write of the Dataplane to the next at least. With a thousand VIPs it costs the
API server as much as ten backends, and while many frontends change nobody needs each step."""
FEW = 5
"""So many errors are said in a condition; `errors` of the status has more."""
SHOWN = 10
"""VIPs of others that a Dataplane names; of the rest it gives the number."""


class DataplaneReporter(SyncLog):
    """Implements `sync.ports.SyncListener`.

    Implements `kube.object_cache.ObjectHandler`, too, for the node's Dataplane.

    `selected` are the frontends that this node shall carry, `vips` those of its VPP, and `store`
    keeps what of them must outlive the process. `recorder` sends events about frontends; `lapsed`
    tells whether the agent's lease has run out.

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
        selected: SelectedFrontends,
        vips: VipState,
        store: OwnedStateStore,
        lapsed: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(metrics)
        self._writer, self._recorder, self._clock = writer, recorder, clock
        self._selected, self._vips, self._store = selected, vips, store
        self._key = cluster_key(node)
        self._lapsed, self._shown_lapsed = lapsed, False
        self._vpp = DataplaneVpp()
        self._reason = "not connected yet"
        self._programmed: dict[ObjectKey, str] = {}
        self._errors: dict[ObjectKey, str] = {}
        self._settings_error = ""
        self._strange: tuple[str, ...] = ()
        self._owned: str | None = None
        self._ours: Mapping[VipId, ObjectKey] = {}
        self._last_change: datetime | None = None
        self._conditions: tuple[StatusCondition, ...] = ()
        self._accepted = accepted_condition(())
        self._uid, self._generation = "", 0
        self._heard = self._begun = False
        self._news = RunDebounce(self._submit_status, SPACING)
        self._repair = StatusRepair(lambda _kind, _key: self._submit_soon())

    def resume(self, raw: JsonObject) -> None:
        """Take over what the last agent said in the Dataplane, as far as it makes sense."""
        shown = read_status(raw, DataplaneStatus)
        try:
            programmed = {
                ObjectKey.parse_text(key): revision
                for key, revision in (shown.programmed or {}).items()
            }
        except ValueError:
            return
        self._vpp, self._programmed = shown.vpp or DataplaneVpp(), programmed
        self._last_change = shown.last_change

    def begin(self) -> None:
        """All frontends are known: from now on the status is written."""
        self._begun = True
        self._submit_soon()

    def on_upsert(self, kind: ObjectKind, old: CachedObject | None, new: CachedObject) -> None:
        if kind != ObjectKind.DATAPLANE or new.key != self._key:
            return
        if self._writer.note_change(ObjectKind.DATAPLANE, old, new):
            self._repair.note_overwrite(ObjectKind.DATAPLANE, new.raw)
        read = read_dataplane(new.raw)
        ignored = read.value.ignored if read.value else ()
        self._accepted = accepted_condition(read.problems, ignored)
        if not self._conditions or _is_declared_gone(new.status):
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
        self._submit_soon()

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
        if now != self._vpp:  # not the one that the last agent was connected to
            self._vpp = now.model_copy(update={"since": self._clock.now()})
            self._programmed.clear()
        self._submit_soon()

    def on_disconnected(self, reason: str) -> None:
        """VPP is lost: nothing counts as programmed until it was read again."""
        if self._vpp.connected or self._vpp.since is None:
            log.warning("VPP is not connected: %s", reason)
            self._vpp = self._vpp.model_copy(
                update={"connected": False, "since": self._clock.now()}
            )
        self._heard, self._reason = True, reason
        self._programmed.clear()
        self._metrics.set_connected(False)
        self._metrics.set_programmed(0)
        self._submit_soon()

    def on_report(self, report: VipReport) -> None:
        if report.error:
            if self._errors.get(report.key) != report.error:
                log.error("frontend %s (%s): %s", report.key, report.vip, report.error)
            self._errors[report.key] = report.error
            self._programmed.pop(report.key, None)
        else:
            self._errors.pop(report.key, None)
            if report.revision:
                self._programmed[report.key] = report.revision
            else:
                self._programmed.pop(report.key, None)
        self._metrics.set_programmed(len(self._programmed))
        self._submit_soon()

    def on_adopted(self) -> None:
        self._owned = None
        self._store.save_now()
        self._submit_soon()

    def on_state_changed(self) -> None:
        self._owned = None
        self._store.save_soon()
        self._submit_soon()

    def on_vpp_changed(self, kind: ChangeKind, count: int) -> None:
        self._last_change = self._clock.now()
        self._metrics.record_change(kind, count)
        log.info("VPP: %d × %s", count, kind.value)
        self._submit_soon()

    def on_recreated(self, key: ObjectKey, vip: VipId, settings: VipSettings) -> None:
        """A VIP was made anew: people should know why its flows were lost."""
        made = settings_text(settings)
        note = f"the VIP was removed and made anew as {made}; its flows are lost"
        log.warning("frontend %s (%s): %s", key, vip, note)
        frontend = self._writer.cache.get(ObjectKind.FRONTEND, key)
        if frontend is not None:
            self._recorder.emit_event(
                ObjectEvent(
                    kind=ObjectKind.FRONTEND,
                    key=key,
                    uid=frontend.uid,
                    type="Warning",
                    reason="VipRecreated",
                    note=f"on node {self._key.name}: {note}",
                    at=self._clock.now(),
                    action="Program",
                )
            )

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
        selected, unreadable = self._selected.keys, self._selected.unreadable
        carried = sorted((self._programmed.keys() & selected) - unreadable.keys())
        programmed = {str(key): self._programmed[key] for key in carried}
        errors = list_errors(self._settings_error, self._failures)
        self._shown_lapsed = self._lapsed()
        for condition in (
            connected_condition(self._vpp, self._reason, self._shown_lapsed),
            synced_condition(self._vpp, self._reason, len(carried), len(selected), errors),
            self._accepted,
        ):
            seen = condition.model_copy(update={"observed_generation": self._generation})
            self._conditions = set_condition(self._conditions, seen, self._clock.now())
        return DataplaneStatus(
            vpp=self._vpp,
            frontends=DataplaneFrontends.summarize_frontends(len(carried), len(selected)),
            programmed=programmed,
            owned=self._owned,
            others=len(self._vips.observed.keys() - self._ours.keys()) + len(self._strange),
            strange=self._strange[:SHOWN],
            errors=tuple(
                DataplaneError(frontend=str(key), message=message)
                for key, message in sorted(self._failures.items())[:MOST_ERRORS]
            ),
            last_change=self._last_change,
            conditions=self._conditions,
            observed_generation=self._generation,
        ).dump_json()

    @property
    def _failures(self) -> Mapping[ObjectKey, str]:
        """What stands in a frontend's way: VPP, or that nobody here can read what it wants."""
        return self._errors | self._selected.unreadable

    def _submit_soon(self) -> None:
        if self._heard and self._begun:
            self._news.request_run()

    def _submit_status(self) -> None:
        self._writer.submit_status(
            ObjectKind.DATAPLANE, self._key, self.render, WritePriority.FRONTEND
        )


def _is_declared_gone(status: Mapping[str, object]) -> bool:
    """Whether the operator has taken this agent for gone, which is now to be put right."""
    connected = find_condition(load_conditions(status), "Connected")
    return connected is not None and connected.reason == AGENT_GONE


def connected_condition(vpp: DataplaneVpp, reason: str, lapsed: bool) -> StatusCondition:
    """Say whether VPP is connected, and for which `reason` not.

    An agent whose lease has lapsed says the same as the operator, or they would undo each other.
    """
    if lapsed:
        return agent_gone()
    if vpp.connected:
        said = f"VPP {vpp.version} answers"
        return StatusCondition(type="Connected", status="True", reason="Connected", message=said)
    return StatusCondition(
        type="Connected", status="False", reason="VppUnreachable", message=reason
    )


def list_errors(conf_error: str, failures: Mapping[ObjectKey, str]) -> list[str]:
    """Put into sentences what VPP refused: the plugin's settings, then frontends."""
    return [
        *([conf_error] if conf_error else []),
        *(f"{key}: {error}" for key, error in sorted(failures.items())),
    ]


def synced_condition(
    vpp: DataplaneVpp, reason: str, carried: int, total: int, errors: Sequence[str]
) -> StatusCondition:
    """Say whether `carried` of `total` frontends are all, and why not."""
    said = f"{carried} of {total} frontends are programmed"
    if not vpp.connected:
        return StatusCondition(
            type="Synced", status="Unknown", reason="VppUnreachable", message=reason
        )
    if errors:
        message = f"{said}; {'; '.join(errors[:FEW])}"
        return StatusCondition(type="Synced", status="False", reason="Failed", message=message)
    if carried < total:
        return StatusCondition(type="Synced", status="False", reason="Pending", message=said)
    return StatusCondition(type="Synced", status="True", reason="Synced", message=said)


class RunDebounce:
    """Runs `action` soon, once, however often it is asked for before then.

    `action` is synchronous: what it decides is decided before anything else runs. From one run
    to the next there are at least `spacing` seconds.
    """

    def __init__(self, action: Callable[[], None], spacing: float) -> None:
        self._action, self._spacing = action, spacing
        self._earliest = -math.inf
        self._pending: asyncio.Handle | None = None

    def request_run(self) -> None:
        if self._pending is not None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._earliest:
            self._pending = loop.call_at(self._earliest, self._run)
        else:
            self._pending = loop.call_soon(self._run)

    def run_now(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            self._run()

    def _run(self) -> None:
        self._pending = None
        self._earliest = asyncio.get_running_loop().time() + self._spacing
        self._action()
