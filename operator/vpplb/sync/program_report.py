"""How each frontend stands with VPP: one report a frontend, told when it is another one.

A frontend's report is about the VIP that it wants. A VIP that it has left behind, since it wants
another one or none, shows in it only as long as it cannot be removed.
"""

from collections.abc import Callable, Mapping, Sequence

from vpplb.model.names import ObjectKey
from vpplb.model.vip import VipId
from vpplb.sync.ports import VipReport
from vpplb.sync.vip_records import Claim


class Standing:
    """Remembers what was told. `tell` is called with each report that is news."""

    def __init__(self, tell: Callable[[VipReport], None]) -> None:
        self._tell = tell
        self._claims: dict[ObjectKey, Claim] = {}
        """What each frontend wanted in its last round."""
        self._failures: dict[VipId, tuple[ObjectKey | None, str]] = {}
        """Whose VIPs have failed, and how."""
        self._told: dict[ObjectKey, VipReport] = {}

    def reset(self) -> None:
        """Forget what was told: on a new connection everything is told anew."""
        self._told.clear()
        self._failures.clear()

    def renew(self, key: ObjectKey) -> None:
        """Forget what a frontend wanted: it wants something else now."""
        self._claims.pop(key, None)
        self._told.pop(key, None)

    def conclude(
        self,
        claims: Sequence[Claim],
        owners: Sequence[tuple[VipId, ObjectKey | None]],
        failed: Mapping[VipId, str],
    ) -> None:
        """Take in the result of a round: claims, owners of all VIPs in it, what failed."""
        claimed = {claim.key for claim in claims}
        if self._failures or failed:
            for vip, owner in owners:
                self._failures.pop(vip, None)
                if vip in failed:
                    self._failures[vip] = (owner, failed[vip])
        for claim in claims:
            self._claims[claim.key] = claim
            self._report(claim.key, claim, claim.wanted.vip)
        for vip, owner in owners:
            if owner is not None and owner not in claimed:
                self._report(owner, self._claims.get(owner), vip)

    def _report(self, key: ObjectKey, claim: Claim | None, vip: VipId) -> None:
        own, revision = (claim.wanted.vip, claim.wanted.revision) if claim else (vip, "")
        error = self._error(key, claim, own)
        report = VipReport(key=key, vip=own, revision=revision, error=error)
        if self._told.get(key) != report:
            self._told[key] = report
            self._tell(report)
        if not report.revision and not report.error:
            del self._told[key]

    def _error(self, key: ObjectKey, claim: Claim | None, own: VipId) -> str:
        """Say what is wrong with a frontend's VIP, else with one that it has left behind."""
        if claim and claim.rival:
            return f"{own} is wanted by {claim.rival}, too"
        if not self._failures:
            return ""
        if own in self._failures:
            return self._failures[own][1]
        left = ((vip, error) for vip, (owner, error) in self._failures.items() if owner == key)
        return next((f"{vip}: {error}" for vip, error in left), "")
