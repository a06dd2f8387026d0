"""How each frontend stands with VPP: one report a frontend, told when it is another one.

A frontend's report is about the VIP that it wants. A VIP that it has left behind, since it wants
another one or none, shows in it only as long as it cannot be removed.
"""

from collections.abc import Callable, Mapping, Sequence

from vpplb.model.names import ObjectKey
from vpplb.model.vip import VipId
from vpplb.sync.ports import VipReport
from vpplb.sync.vip_records import VipRequest


class FrontendReports:
    """Remembers what was told. `on_report` is called with each report that is news."""

    def __init__(self, on_report: Callable[[VipReport], None]) -> None:
        self._on_report = on_report
        self._requests: dict[ObjectKey, VipRequest] = {}
        """What each frontend wanted in its last round."""
        self._failures: dict[VipId, tuple[ObjectKey | None, str]] = {}
        """Whose VIPs have failed, and how."""
        self._told: dict[ObjectKey, VipReport] = {}

    def forget_all(self) -> None:
        """Forget what was told: on a new connection everything is told anew."""
        self._told.clear()
        self._failures.clear()

    def forget_frontend(self, key: ObjectKey) -> None:
        """Forget what a frontend wanted: it wants something else now."""
        self._requests.pop(key, None)
        self._told.pop(key, None)

    def report_round(
        self,
        requests: Sequence[VipRequest],
        owners: Sequence[tuple[VipId, ObjectKey | None]],
        failed: Mapping[VipId, str],
    ) -> None:
        """Take in the result of a round: requests, owners of all VIPs in it, what failed."""
        requested = {request.key for request in requests}
        if self._failures or failed:
            for vip, owner in owners:
                self._failures.pop(vip, None)
                if vip in failed:
                    self._failures[vip] = (owner, failed[vip])
        for request in requests:
            self._requests[request.key] = request
            self._tell_report(request.key, request, request.wanted.vip)
        for vip, owner in owners:
            if owner is not None and owner not in requested:
                self._tell_report(owner, self._requests.get(owner), vip)

    def _tell_report(self, key: ObjectKey, request: VipRequest | None, vip: VipId) -> None:
        own, revision = (request.wanted.vip, request.wanted.revision) if request else (vip, "")
        error = self._explain_error(key, request, own)
        report = VipReport(key=key, vip=own, revision=revision, error=error)
        if self._told.get(key) != report:
            self._told[key] = report
            self._on_report(report)
        # It wants nothing, and nothing of it is left: remembered, it would stay for ever.
        if not report.revision and not report.error:
            del self._told[key]

    def _explain_error(self, key: ObjectKey, request: VipRequest | None, own: VipId) -> str:
        """Say what is wrong with a frontend's VIP, else with one that it has left behind."""
        if request and request.rival:
            return f"{own} is wanted by {request.rival}, too"
        if not self._failures:
            return ""
        if own in self._failures:
            return self._failures[own][1]
        left = ((vip, error) for vip, (owner, error) in self._failures.items() if owner == key)
        return next((f"{vip}: {error}" for vip, error in left), "")
