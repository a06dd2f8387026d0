"""How programming the one VPP goes."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from vpplb.files.owned_state_store import OwnedStateStore
from vpplb.model.clock import SystemClock
from vpplb.model.names import ObjectKey
from vpplb.model.objects import NodeSelector
from vpplb.model.vip import VipId, VipSettings
from vpplb.plan.render import settings_text
from vpplb.resources.dataplane import (
    MOST_ERRORS,
    DataplaneError,
    DataplaneFrontends,
    DataplaneStatus,
    DataplaneVpp,
)
from vpplb.resources.dataplane_conditions import connected_condition, list_errors, synced_condition
from vpplb.resources.node_report import NodeReport
from vpplb.sync.ports import VipReport, VppInfo
from vpplb.telemetry.metrics import AgentMetrics
from vpplb.telemetry.sync_log import SyncLog

log = logging.getLogger(__name__)

NODE = "local"
"""The one node there is, as the statuses of frontends name it."""


@dataclass(slots=True)
class ProgrammedFrontends:
    """Which frontends VPP has, at which revision, and what is wrong with the others."""

    revisions: dict[ObjectKey, str] = field(default_factory=dict)
    errors: dict[ObjectKey, str] = field(default_factory=dict)

    def report_frontend(self, key: ObjectKey, selector: NodeSelector, revision: str) -> NodeReport:
        """Say how far a frontend's newest revision has got (`resources.renderer.NodeReporter`)."""
        carried = self.revisions.get(key)
        error = self.errors.get(key)
        return NodeReport(
            desired=(NODE,),
            programmed=(NODE,) if carried == revision else (),
            carrying=(NODE,) if carried is not None else (),
            unsure=(NODE,) if error and carried is None else (),
            failed=((NODE, error),) if error else (),
        )


class LocalVpp(SyncLog):
    """Implements `sync.ports.SyncListener`.

    `on_report` is called with each frontend that is programmed or fails, once that is in
    `programmed`; `store` keeps the syncer's state.
    """

    def __init__(
        self,
        programmed: ProgrammedFrontends,
        on_report: Callable[[ObjectKey], None],
        store: OwnedStateStore,
        metrics: AgentMetrics,
    ) -> None:
        super().__init__(metrics)
        self._programmed, self._on_report, self._store = programmed, on_report, store
        self._vpp, self._settings_error = DataplaneVpp(), ""
        self.trouble = "VPP is not connected yet"

    def count_programmed(self) -> int:
        """Count the frontends that VPP has as they are wanted."""
        return len(self._programmed.revisions)

    def describe_node(self, total: int) -> DataplaneStatus:
        """Say how far programming has got, as an agent would; `total` frontends are wanted."""
        revisions, errors = self._programmed.revisions, self._programmed.errors
        listed = sorted(errors.items())[:MOST_ERRORS]
        refused = list_errors(self._settings_error, errors)
        conditions = (
            connected_condition(self._vpp, self.trouble, lapsed=False),
            synced_condition(self._vpp, self.trouble, len(revisions), total, refused),
        )
        return DataplaneStatus(
            vpp=self._vpp,
            frontends=DataplaneFrontends.summarize_frontends(len(revisions), total),
            programmed={str(key): revision for key, revision in sorted(revisions.items())},
            errors=tuple(DataplaneError(frontend=str(key), message=text) for key, text in listed),
            conditions=conditions,
        )

    def on_connected(self, info: VppInfo) -> None:
        log.info("connected to VPP %s (pid %d)", info.version, info.pid)
        self._metrics.set_connected(True, info.version)
        self._vpp = DataplaneVpp(
            version=info.version, pid=info.pid, connected=True, since=SystemClock().now()
        )
        self.trouble = ""

    def on_disconnected(self, reason: str) -> None:
        """VPP is lost: nothing counts as programmed until it was read again."""
        if reason != self.trouble:
            log.warning("VPP is not connected: %s", reason)
        self._metrics.set_connected(False)
        self._metrics.set_programmed(0)
        self.trouble = reason
        self._vpp = self._vpp.model_copy(update={"connected": False, "since": SystemClock().now()})
        lost = list(self._programmed.revisions)
        self._programmed.revisions.clear()
        for key in lost:
            self._on_report(key)

    def on_report(self, report: VipReport) -> None:
        if report.error:
            log.error("frontend %s (%s): %s", report.key, report.vip, report.error)
            self._programmed.errors[report.key] = report.error
        else:
            self._programmed.errors.pop(report.key, None)
        if report.revision and not report.error:
            self._programmed.revisions[report.key] = report.revision
        else:
            self._programmed.revisions.pop(report.key, None)
        self._metrics.set_programmed(len(self._programmed.revisions))
        self._on_report(report.key)

    def on_adopted(self) -> None:
        self._store.save_now()

    def on_state_changed(self) -> None:
        self._store.save_soon()

    def on_recreated(self, key: ObjectKey, vip: VipId, settings: VipSettings) -> None:
        log.warning(
            "frontend %s (%s): removed and made anew as %s, its flows are lost",
            key,
            vip,
            settings_text(settings),
        )

    def on_synced(self, seconds: float) -> None:
        self._metrics.observe_sync(seconds)

    def on_settings_error(self, error: str) -> None:
        self._settings_error = error
        if error:
            log.error("the lb plugin's settings: %s", error)
