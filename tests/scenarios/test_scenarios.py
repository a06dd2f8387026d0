"""What happens when …: the cases of `FILES`, played on a reconciler.

A case is `given` (objects, and what their checks have found), `when` (what happens, in order)
and `then` (what it comes to). Objects are written as users write them, with their spec only;
what a case does not care about is filled in: a backend named in a pool exists, has an address
and the health check `check`, and the first frontend given is the oldest.

`then` names what it is about; whatever it does not name must be as it was for `flushed`,
`transitions`, `alarms`, `removed` and `refused`: nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import yaml

from data.manifests import SCENARIOS, Raw, manifest
from data.objects import NOON, key
from in_memory.world import World
from vpplb.model.health import ProbeResponse
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import Backend, Frontend, HealthCheck
from vpplb.resources.allowances import EVERYTHING
from vpplb.resources.parse import parse_object

FILES = ("health", "weights", "blind_prober", "loops")
KINDS = {
    "frontend": ObjectKind.FRONTEND,
    "backend": ObjectKind.BACKEND,
    "check": ObjectKind.HEALTH_CHECK,
}
DEFAULTS: Mapping[str, Raw] = {
    "Frontend": {"address": "192.0.2.10", "port": 80},
    "Backend": {"healthCheckRef": {"name": "check"}},
    "HealthCheck": {"type": "TCP", "port": 80},
}
Names = Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A case as it stands in the file."""

    name: str
    given: Mapping[str, Any]
    when: Sequence[Mapping[str, Any]]
    then: Mapping[str, Any]

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def scenarios() -> list[Scenario]:
    """Read all cases."""
    texts = [(SCENARIOS / f"{name}.yaml").read_text() for name in FILES]
    cases = [case for text in texts for case in yaml.load(text, Loader=yaml.CSafeLoader)]
    return [Scenario(**case) for case in cases]


class ScenarioStage:
    """A world with the objects as users wrote them."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.world = World()
        self.written: dict[str, dict[str, Any]] = {}
        self.born = 0
        objects = {name: spec for name, spec in given.items() if " " in name}
        self.apply({"check check": {}})
        self.apply({f"backend {name}": {} for name in _named(objects.values())})
        self.apply(objects)
        for name in given.get("up", ()):
            self.world.verdict(name, up=True)
        for name in given.get("down", ()):
            self.world.verdict(name, up=False)
        self.begin = dict(self.world.prober.running)
        self.starts = len(self.world.prober.started)
        self.epochs = dict(self.world.epochs())
        self.world.sink.take()
        self.world.sink.transitions.clear()

    # --- when -------------------------------------------------------------------------------

    def happens(self, event: Mapping[str, Any]) -> None:
        """Let one thing happen."""
        ((verb, what),) = event.items()
        match verb:
            case "apply":
                self.apply(what)
            case "delete":
                del self.written[what]
                kind, name = what.split()
                self.world.store.remove_object(KINDS[kind], key(name))
                self.world.reconcile()
            case "passes" | "fails":
                self.world.verdict(what, up=verb == "passes")
            case "late pass" | "late fail":  # of the task that ran when the case began
                self.world.verdict(what, verb == "late pass", self.begin[key(what)].generation)
            case "falls silent" | "falls silent alone":
                for name in what.split():
                    self.world.fall_silent(name, alone=verb.endswith("alone"))
            case "is silent" | "is refused" | "is stalled" | "is answered":
                for name in what.split():
                    self.world.turn(name, RESPONSES[verb])
            case "wait":
                self.world.wait(what)
            case "restart":
                told, transitions = self.world.sink.take(), self.world.sink.transitions
                alarms = self.world.sink.alarms
                self.world = self.world.restarted()
                self.world.sink.told[:0] = told
                self.world.sink.transitions[:0] = transitions
                self.world.sink.alarms[:0] = alarms
                self.starts = 0
            case _:
                raise AssertionError(f"a case cannot say {verb!r}")

    def apply(self, objects: Mapping[str, Raw]) -> None:
        """Take objects as users write them: what is said of one is merged into its spec."""
        for what, spec in objects.items():
            kind, name = what.split()
            raw = self.written.get(what) or self._new(KINDS[kind], name)
            self.written[what] = {**raw, "spec": {**raw["spec"], **_plain(spec)}}
        self.world.clock.advance(1)
        self.world.put(*(self._parsed(self.written[what]) for what in objects))

    def _new(self, kind: str, name: str) -> dict[str, Any]:
        self.born += 1
        spec = dict(DEFAULTS[kind])
        if kind == "Backend":
            spec["address"] = f"10.0.0.{ord(name[0]) - 96}"
        created = (NOON + timedelta(seconds=self.born)).isoformat()
        return manifest(kind, name, spec, creationTimestamp=created)

    @staticmethod
    def _parsed(raw: Raw) -> Frontend | Backend | HealthCheck:
        parsed = parse_object(raw, EVERYTHING)
        assert isinstance(parsed, Frontend | Backend | HealthCheck), parsed
        return parsed

    # --- then -------------------------------------------------------------------------------

    def found(self, what: str) -> object:
        """Return what has come of one aspect."""
        world = self.world
        match what:
            case "states":
                return {name: world.state(name).value for name in self._names("backend")}
            case "held":
                names = self._names("backend")
                return [name for name in names if world.reconciler.get_health(key(name)).held]
            case "history":
                return {
                    name: [
                        t.to_state.value for t in world.reconciler.get_health(key(name)).transitions
                    ]
                    for name in self._names("backend")
                }
            case "weights":
                return {
                    name: {
                        server: vip.servers[found.address].weight
                        for server in self._names("backend")
                        if (found := world.store.backends[key(server)]).address in vip.servers
                    }
                    for name, vip in self._vips().items()
                }
            case "encap":
                return {name: vip.settings.encap.value for name, vip in self._vips().items()}
            case "pool":
                return {n.name: v.decision.active_pool for n, v in world.reconciler.views.items()}
            case "frontends":
                return {n.name: v.decision.state.value for n, v in world.reconciler.views.items()}
            case "checks":
                return {name: self._check(key(name)) for name in self._names("backend")}
            case "flushed":
                return sorted({name for name in self._names("backend") if self._flushed(name)})
            case "transitions":
                return [
                    f"{t.backend.name} {t.from_state.value} → {t.to_state.value}"
                    for t in world.sink.transitions
                ]
            case "degraded":
                return [name.name for name, view in world.reconciler.views.items() if view.suspect]
            case "alarms":
                return [f"{a.silent} of {a.were_up}" if a else "over" for a in world.sink.alarms]
            case "removed":
                return [text for kind, text in world.sink.told if kind == "removed"]
            case "refused":
                return {
                    name.name: view.config.resolved.rejected.reason
                    for name, view in world.reconciler.views.items()
                    if view.config.resolved.rejected
                }
            case "says":  # of each refused frontend, in one text
                resolved = [view.config.resolved for view in world.reconciler.views.values()]
                refusals = [one.rejected for one in resolved if one.rejected]
                return {one.key.name: one.message for one in refusals}
            case "warned":
                views = world.reconciler.views.items()
                return sorted(name.name for name, view in views if view.config.resolved.warnings)
            case "vips":
                return sorted(self._vips())
            case _:
                raise AssertionError(f"a case cannot ask for {what!r}")

    def _names(self, kind: str) -> list[str]:
        return sorted(what.split()[1] for what in self.written if what.startswith(f"{kind} "))

    def _vips(self) -> Mapping[str, Any]:
        views = self.world.reconciler.views
        return {name.name: view.desired for name, view in views.items() if view.desired}

    def _check(self, name: ObjectKey) -> str:
        running = self.world.prober.running.get(name)
        if running is None:
            return "none"
        began = [one for one in self.world.prober.started[self.starts :] if one.backend == name]
        return {0: "undisturbed", 1: "restarted"}.get(len(began), f"restarted {len(began)} times")

    def _flushed(self, name: str) -> bool:
        address = self.world.store.backends[key(name)].address
        return any(
            epoch > self.epochs.get((frontend, at), 0)
            for (frontend, at), epoch in self.world.epochs().items()
            if at == address
        )


RESPONSES = {
    "is silent": ProbeResponse.SILENT,
    "is refused": ProbeResponse.ANSWERED,
    "is stalled": ProbeResponse.STALLED,
    "is answered": ProbeResponse.PASSED,
}


def _plain(spec: Raw) -> Raw:
    """Write out pools, which cases write as pool: backend: weight."""
    pools = spec.get("pools")
    if not isinstance(pools, Mapping):
        return spec
    return spec | {
        "pools": [
            {"name": pool, "backends": [{"name": b, "weight": w} for b, w in weights.items()]}
            for pool, weights in pools.items()
        ]
    }


def _named(specs: Any) -> list[str]:
    pools = [pool for spec in specs for pool in (spec.get("pools") or {}).values()]
    return sorted({name for pool in pools for name in pool if name != "nobody"})


NOTHING: dict[str, object] = {
    "flushed": [],
    "transitions": [],
    "alarms": [],
    "removed": [],
    "refused": {},
}


@pytest.mark.parametrize("case", scenarios(), ids=str)
async def test_scenario(case: Scenario) -> None:
    stage = ScenarioStage(case.given)
    for event in case.when:
        stage.happens(event)
    expected = NOTHING | dict(case.then)
    assert {what: stage.found(what) for what in expected} == expected
