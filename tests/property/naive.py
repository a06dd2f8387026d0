"""The tables of health and weights in the plainest way: no code of what is compared with it."""

from dataclasses import dataclass, field

from data.objects import key
from in_memory.world import Object
from vpplb.model.check import ProbeCadence, ProbeKind
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Backend, Frontend, HealthCheck, Pool
from vpplb.model.vip import IPAddress, VipId


@dataclass
class Naive:
    """The objects and, by backend, `state` as people see it and whether up is `held`."""

    objects: dict[tuple[type, ObjectKey], Object] = field(default_factory=dict)
    state: dict[ObjectKey, str] = field(default_factory=dict)
    held: set[ObjectKey] = field(default_factory=set)
    was: dict[ObjectKey, object] = field(default_factory=dict)

    def put(self, one: Object) -> None:
        self.objects[type(one), one.key] = one
        self._follow()

    def remove(self, one: Object) -> None:
        self.objects.pop((type(one), one.key), None)
        self._follow()

    def verdict(self, name: ObjectKey, up: bool) -> None:
        self.state[name] = "up" if up else "down"
        self.held.discard(name)

    @property
    def frontends(self) -> list[Frontend]:
        return [one for one in self.objects.values() if isinstance(one, Frontend)]

    def probed(self) -> dict[ObjectKey, tuple[IPAddress, ProbeKind, ProbeCadence]]:
        """Return what is probed, and how: two checks that say the same are the same."""
        found = {}
        for one in self.objects.values():
            if not isinstance(one, Backend) or not one.enabled or one.paused:
                continue
            check = self.objects.get((HealthCheck, one.health_check or key("")))
            if isinstance(check, HealthCheck) and self._referenced(one.key):
                found[one.key] = (one.address, check.probe, check.cadence)
        return found

    def weights(self, one: Frontend) -> dict[IPAddress, int]:
        """Return the effective weight of each server."""
        weights: dict[IPAddress, int] = {}
        active = next((pool for pool in one.pools if self._serves(pool)), None)
        for pool in one.pools:
            for name, weight in pool.members:
                server = self.objects.get((Backend, name))
                if isinstance(server, Backend):
                    effective = weight if pool is active and self._counts(name) else 0
                    before = weights.get(server.address, 0)
                    weights[server.address] = max(before, effective)
        return weights

    def accepted(self) -> list[Frontend]:
        """Return the frontends that have their VIP: the oldest on each."""
        winners: dict[VipId, Frontend] = {}
        for one in sorted(self.frontends, key=lambda one: one.key):
            winners.setdefault(one.vip, one)
        return list(winners.values())

    def _serves(self, pool: Pool) -> bool:
        return any(weight and self._counts(name) for name, weight in pool.members)

    def _counts(self, name: ObjectKey) -> bool:
        return self.state.get(name) == "up" or name in self.held

    def _referenced(self, name: ObjectKey) -> bool:
        return any(name in dict(pool.members) for one in self.frontends for pool in one.pools)

    def _follow(self) -> None:
        """Have every backend follow what has become of it."""
        present = {one.key for one in self.objects.values() if isinstance(one, Backend)}
        for name in present | self.was.keys():
            situation = self._situation(name)
            if situation == self.was.get(name):
                continue
            counted = self._counts(name)
            self.held.discard(name)
            self.was[name] = situation
            match situation:
                case "gone":
                    del self.was[name]
                    self.state.pop(name, None)
                case "disabled" | "paused" | "up":
                    self.state[name] = str(situation)
                case _:
                    self.state[name] = "unknown"
                    if counted and situation != "idle":
                        self.held.add(name)

    def _situation(self, name: ObjectKey) -> object:
        one = self.objects.get((Backend, name))
        if not isinstance(one, Backend):
            return "gone"
        if not one.enabled:
            return "disabled"
        if one.paused:
            return "paused"
        if not self._referenced(name):
            return "idle"
        if one.health_check is None:
            return "up"
        return self.probed().get(name, "lost")
