"""Objects of one namespace, all that is said of them, and the VIPs that come of them."""

from collections.abc import Mapping
from typing import Any

from cluster.api import Api
from cluster.main_job import MainJob
from lab.waiting import wait_for

QUICK = 0.02
_WAITING = "; a VIP in service stays as it is until each of them has a verdict"
Manifest = dict[str, Any]


class World:
    """Makes objects on the servers of a job, and sees what is said of all and what VPP has."""

    def __init__(self, job: MainJob, api: Api) -> None:
        self.job, self.api = job, api

    # --- objects --------------------------------------------------------------------------

    def frontend(self, name: str, address: str, *backends: str, **fields: object) -> Manifest:
        pools = [{"name": "main", "backends": [{"name": backend} for backend in backends]}]
        spec = {"address": address, "port": 80, **fields, "pools": pools}
        return self.job.resource("Frontend", name, spec)

    def backend(self, name: str, address: str = "", check: str = "") -> Manifest:
        spec: Manifest = {"address": address or self.job.servers[name].address}
        if check:
            spec["healthCheckRef"] = {"name": check}
        return self.job.resource("Backend", name, spec)

    def check(self, name: str) -> Manifest:
        spec = {"type": "HTTP", "port": self.port, "interval": "100ms"}
        return self.job.resource("HealthCheck", name, spec)

    @property
    def port(self) -> int:
        return self.job.servers["nginx0"].port

    # --- what is seen ---------------------------------------------------------------------

    def accepted(self, frontend: str) -> tuple[str, str, str]:
        return self.api.condition("vfe", frontend, "Accepted")

    def wait_accepted(self, frontend: str, reason: str = "Accepted") -> str:
        status = "True" if reason == "Accepted" else "False"
        return self.api.wait_condition("vfe", frontend, "Accepted", status, reason)

    def wait_vips(self, *expected: str) -> None:
        """Return when VPP has these VIPs, as `prefix protocol/port`, and no other."""

        def as_expected() -> bool:
            seen = sorted(self.job.witness.see())
            assert seen == sorted(expected), str(seen)
            return True

        wait_for(as_expected, f"VIPs {expected} in VPP", every=QUICK)

    def said(self) -> Mapping[str, object]:
        """Return all that is said of all objects, without times and without numbers of flushes.

        Nor is it told what waits for first verdicts: who has had one waits no more, so that
        depends on what was before.
        """
        found = {
            f"{kind}/{one['metadata']['name']}": _timeless(one.get("status", {}))
            for kind in ("vfe", "vbe", "vhc")
            for one in self.api.all(kind)
        }
        return {**found, "vpp": self.job.witness.see()}


def _timeless(status: Mapping[str, Any]) -> Mapping[str, Any]:
    def clean(value: Any) -> Any:
        if isinstance(value, Mapping):
            past = {"lastTransitionTime", "since", "at", "flushEpoch", "transitions", "revision"}
            past |= {"tentative", "undecided"}
            return {name: clean(part) for name, part in value.items() if name not in past}
        if isinstance(value, str):
            return value.removesuffix(_WAITING)
        return [clean(part) for part in value] if isinstance(value, list) else value

    kept = clean(status)
    assert isinstance(kept, dict)
    return kept
