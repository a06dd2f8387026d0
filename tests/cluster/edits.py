"""A running service that tests edit: what is probed, shown and programmed at each moment."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cluster.api import Api
from cluster.main_job import MainJob
from lab.http_get import http_get
from lab.servers import CountingHttpServer
from lab.waiting import wait_for

CHECK = {"type": "HTTP", "interval": "100ms", "timeout": "30s", "rise": 2, "fall": 2}
"""A check whose verdict comes quickly from a server that answers, and never from one that hangs."""
QUICK = 0.02
"""Seconds between looks."""


class EditedService:
    """Frontend `web` with the job's three backends on HealthCheck `web`."""

    def __init__(self, job: MainJob, api: Api) -> None:
        self.job, self.api = job, api
        self._mark = 0

    def renew(self) -> None:
        """Make everything anew, and serving; what VPP is told from now on counts."""
        self.api.clear()
        # Kinds are watched each by itself: a check made anew could be seen before the old one goes.
        wait_for(
            lambda: not self._known(), "the operator has seen that all is deleted", every=QUICK
        )
        for server in self.job.servers.values():
            server.status, server.hang = 200, False
        self.api.create(self.check(), *self.job.backends, self.job.frontend())
        wait_for(lambda: self.job.seen_vip() is not None, "the VIP", every=QUICK)
        for name in self.job.servers:
            self.wait_serving(name)
        self.wait_programmed()
        self._mark = len(self.job.stage.tap.calls)

    def check(self, name: str = "web", **fields: object) -> dict[str, Any]:
        """Return a HealthCheck for the job's servers."""
        port = self.server("nginx0").port
        return self.job.resource("HealthCheck", name, {**CHECK, "port": port, **fields})

    def _known(self) -> list[object]:
        kinds = ("frontends", "backends", "healthchecks")
        answers = [http_get(f"{self.job.stage.operator.http}/api/v1/{kind}")[1] for kind in kinds]
        return [one for answer in answers for one in json.loads(answer)["items"]]

    # --- what people do -------------------------------------------------------------------

    def edit(self, kind: str, name: str, change: Mapping[str, Any]) -> None:
        """Patch a spec, and return when the operator has seen it."""
        self.patch(kind, name, {"spec": change})

    def patch(self, kind: str, name: str, change: Mapping[str, Any]) -> None:
        """Patch, and return when the operator has seen the newest spec."""
        generation = self.api.patch(kind, name, change)["metadata"]["generation"]
        self.api.wait(kind, name, observedGeneration=generation)

    def add_frontend(self) -> None:
        """Add Frontend `also` with the same backends."""
        self.api.create(self.job.frontend("also", vip="198.51.100.9"))
        self.api.wait("vbe", "nginx0", frontends=2)

    @contextmanager
    def hanging(self, *names: str) -> Iterator[None]:
        """Have servers leave every request unanswered, each having one; afterwards answer."""
        servers = [self.server(name) for name in names or self.job.servers]
        for server in servers:
            server.hang = True
        for server in servers:
            wait_probed(server)
        yield
        for server in servers:
            server.hang = False

    # --- what is seen ---------------------------------------------------------------------

    def server(self, name: str) -> CountingHttpServer:
        """Return the server behind a Backend."""
        return self.job.servers[name]

    def connections(self) -> dict[str, int]:
        """Return how many connections each server has had."""
        return {name: server.connections for name, server in self.job.servers.items()}

    def status(self, name: str = "nginx0") -> dict[str, Any]:
        """Return a Backend's status."""
        found = self.api.get("vbe", name)["status"]
        assert isinstance(found, dict)
        return found

    def history(self, name: str = "nginx0") -> list[str]:
        """Return a Backend's transitions, oldest first."""
        transitions = self.status(name).get("transitions", [])
        return [f"{each['from']} → {each['to']}" for each in reversed(transitions)]

    def conditions(self, field: str) -> dict[tuple[str, str, str], object]:
        """Return a field of each condition of each object, by kind, name and type."""
        return {
            (kind, one["metadata"]["name"], condition["type"]): condition[field]
            for kind in ("vfe", "vbe", "vhc")
            for one in self.api.all(kind)
            for condition in one["status"]["conditions"]
        }

    def wait_state(self, state: str, name: str = "nginx0") -> dict[str, Any]:
        """Return the status once it shows this state."""
        found = self.api.wait("vbe", name, state=state)["status"]
        assert isinstance(found, dict)
        return found

    def wait_serving(self, name: str = "nginx0") -> None:
        """Return when a backend is up and has its weight."""
        self.wait_state("up", name)
        self.job.wait_weights({name: 100})

    def wait_programmed(self) -> None:
        """Return when the newest state of the frontend is in VPP."""
        self.api.wait_condition("vfe", "web", "Programmed", "True", "Programmed")

    def calls(self) -> list[str]:
        """Return the names of the calls that changed VPP since everything was made."""
        return [call.name for call in self.job.stage.tap.changes(self._mark)]

    def weights_set(self) -> list[tuple[str, int, bool]]:
        """Return name, weight and flush of each weight set since everything was made."""
        names = {server.address: name for name, server in self.job.servers.items()}
        sets = [call.weight_set for call in self.job.stage.tap.changes(self._mark)]
        return [(names[each[0]], each[1], each[2]) for each in sets if each is not None]

    def log_mark(self) -> int:
        """Return a place in the operator's log, for `log_since`."""
        return self.job.stage.operator.program.log.stat().st_size

    def log_since(self, mark: int) -> list[dict[str, Any]]:
        """Return the lines that the operator has logged since then."""
        with self.job.stage.operator.program.log.open("rb") as log:
            log.seek(mark)
            return [json.loads(line) for line in log.read().splitlines()]

    def removals(self, mark: int) -> list[tuple[str, str]]:
        """Return the backend and frontend of each removal logged since then, without namespace."""
        found = [
            re.fullmatch(r"backend .*/(.*) removed from frontend .*/(.*)", line["message"])
            for line in self.log_since(mark)
        ]
        return [(match[1], match[2]) for match in found if match]


def wait_probed(server: CountingHttpServer) -> None:
    """Return when a server that hangs has a request, and no more than one."""
    wait_for(lambda: server.waiting == 1, "one probe is under way", every=QUICK)
