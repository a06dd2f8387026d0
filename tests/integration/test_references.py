"""Conflicts between objects and references, in whatever order the objects come and go.

On a real API server, with operator, agent and a VPP: what is said of every object and what VPP
has must depend on the objects alone, never on the order in which they came.
"""

import random
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from cluster.api import Api
from cluster.main_job import MainJob
from lab.waiting import stays, wait_for

QUICK = 0.02
_WAITING = "; a VIP in service stays as it is until each of them has a verdict"
Manifest = dict[str, Any]


class ReferenceWorld:
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
        depends on what was before; as do the servers of a VIP that keeps those that VPP has.
        """
        objects = {kind: self.api.all(kind) for kind in ("vfe", "vbe", "vhc")}
        found = {
            f"{kind}/{one['metadata']['name']}": _timeless(one.get("status", {}))
            for kind, all_of_kind in objects.items()
            for one in all_of_kind
        }
        seen, keeps = self.job.witness.see(), _list_tentative(objects["vfe"])
        return {
            **found,
            "vpp": {
                vip: replace(one, weights={}, buckets={}) if vip in keeps else one
                for vip, one in seen.items()
            },
        }


def _list_tentative(frontends: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the VIPs that keep the servers that VPP has, as VPP names them."""
    decided = [one.get("status", {}).get("dataplane", {}) for one in frontends]
    return {
        f"{one['prefix']} {one['protocol'].lower()}/{one['port']}"
        for one in decided
        if one.get("tentative")
    }


def _timeless(status: Mapping[str, Any]) -> Mapping[str, Any]:
    def clean(value: Any) -> Any:
        if isinstance(value, Mapping):
            past = {
                "lastTransitionTime",
                "since",
                "at",
                "flushEpoch",
                "transitions",
                "revision",
                "term",
                "sequence",
            }
            past |= {"tentative", "undecided"}
            return {name: clean(part) for name, part in value.items() if name not in past}
        if isinstance(value, str):
            return value.removesuffix(_WAITING)
        return [clean(part) for part in value] if isinstance(value, list) else value

    kept = clean(status)
    assert isinstance(kept, dict)
    return kept


pytestmark = [pytest.mark.slow, pytest.mark.control_plane]


@pytest.fixture
def world(job: MainJob, api: Api) -> Iterator[ReferenceWorld]:
    made = ReferenceWorld(job, api)
    yield made
    api.clear()
    made.wait_vips()


# --- who wins -------------------------------------------------------------------------------------

OLDER, NEWER = "z-older", "a-newer"
"""Names by which nobody would win."""

RIVALS: dict[str, tuple[Manifest, Manifest, str]] = {
    "192.0.2.50": ({}, {}, "{vip} tcp/80 is the VIP"),
    "192.0.2.51": (
        {"protocol": "Any", "port": 0},
        {},
        "all ports and single ports of {vip} exclude each other: {vip} any is the VIP",
    ),
    "192.0.2.52": (
        {},
        {"protocol": "Any", "port": 0},
        "all ports and single ports of {vip} exclude each other: {vip} tcp/80 is the VIP",
    ),
    "192.0.2.53": (
        {"encap": "GRE4"},
        {"encap": "GRE6", "port": 81},
        "VPP allows one encapsulation an address, and {vip} has GRE4 (here: GRE6) because",
    ),
}


def test_the_older_wins_the_newer_says_so_and_takes_over_when_the_older_goes(
    world: ReferenceWorld,
) -> None:
    world.api.create(world.backend("nginx0"), world.backend("six", "2001:db8::1"))
    older, newer = [], []
    for address, (first, second, _) in RIVALS.items():  # by names, the newer would win
        server = "six" if second.get("encap") == "GRE6" else "nginx0"
        older.append(world.frontend(f"z-{address}", address, "nginx0", **first))
        newer.append(world.frontend(f"a-{address}", address, server, **second))
    world.api.create(*older)
    time.sleep(1.0)  # creation times are in whole seconds
    world.api.create(*newer)
    for address, (_, _, says) in RIVALS.items():
        of = f"of Frontend {world.api.namespace}/z-{address}, which is older"
        message = world.wait_accepted(f"a-{address}", "Conflict")
        assert message == f"spec.address: {says.format(vip=f'{address}/32')} {of}"
        assert world.accepted(f"z-{address}")[0] == "True"
        assert world.api.condition("vfe", f"a-{address}", "Programmed")[:2] == ("False", "Pending")
        assert "dataplane" not in world.api.get("vfe", f"a-{address}")["status"]
    world.wait_vips(*map(_vip, older))

    for one in older:
        world.api.delete("vfe", _name(one))
    world.wait_vips(*map(_vip, newer))
    time.sleep(1.0)
    world.api.create(*older)  # they are the newer now
    for address in RIVALS:
        world.wait_accepted(f"z-{address}", "Conflict")
        assert world.accepted(f"a-{address}")[0] == "True"
    world.wait_vips(*map(_vip, newer))


def test_who_was_refused_is_accepted_once_either_moves_away(world: ReferenceWorld) -> None:
    world.api.create(world.backend("nginx0"))
    _in_one_second(
        world,
        [world.frontend("a", "192.0.2.50", "nginx0"), world.frontend("b", "192.0.2.50", "nginx0")],
    )
    world.wait_accepted("a")
    world.wait_accepted("b", "Conflict")  # made in one second: the names decide
    world.api.patch("vfe", "b", {"spec": {"port": 81}})
    world.wait_accepted("b")
    world.wait_vips("192.0.2.50/32 tcp/80", "192.0.2.50/32 tcp/81")
    world.api.patch("vfe", "b", {"spec": {"port": 80}})
    world.wait_accepted("b", "Conflict")
    world.wait_vips("192.0.2.50/32 tcp/80")
    world.api.patch("vfe", "a", {"spec": {"address": "192.0.2.51"}})
    world.wait_accepted("b")
    world.wait_vips("192.0.2.50/32 tcp/80", "192.0.2.51/32 tcp/80")


def _vip(frontend: Manifest) -> str:
    spec = frontend["spec"]
    protocol = "any" if spec.get("protocol") == "Any" else "tcp"
    return f"{spec['address']}/32 {protocol}/{spec['port']}"


# --- references -----------------------------------------------------------------------------------


def test_what_resolves_is_served_and_the_rest_when_it_comes(world: ReferenceWorld) -> None:
    world.api.create(
        world.frontend("web", "192.0.2.50", "nginx0", "nginx1"),
        world.backend("nginx0"),
    )
    address = world.job.servers["nginx0"].address
    wait_for(lambda: _weights(world, "192.0.2.50/32 tcp/80") == {address: 100}, "nginx0 serves")
    message = world.api.wait_condition("vfe", "web", "ResolvedRefs", "False", "BackendNotFound")
    missing = f"{world.api.namespace}/nginx1"
    assert message == f"spec.pools[0].backends[1].name: there is no Backend {missing}"
    assert world.accepted("web")[0] == "True"

    world.api.create(world.backend("nginx1", check="later"))
    world.api.wait_condition("vfe", "web", "ResolvedRefs", "True", "ResolvedRefs")
    world.api.wait_condition("vbe", "nginx1", "Accepted", "False", "HealthCheckNotFound")
    world.api.wait("vfe", "web", ready="1/2")
    world.api.create(world.check("later"))
    world.api.wait_condition("vbe", "nginx1", "Accepted", "True", "Accepted")
    world.api.wait("vfe", "web", ready="2/2")
    world.api.wait("vhc", "later", backends=1)


def test_a_backend_shared_by_many_frontends_is_probed_once_and_serves_all(
    world: ReferenceWorld,
) -> None:
    server, many = world.job.servers["nginx0"], [f"web{number}" for number in range(10)]
    world.api.create(
        *(
            world.frontend(name, f"192.0.2.{60 + number}", "nginx0")
            for number, name in enumerate(many)
        ),
        world.backend("nginx0", check="web"),
        world.check("web"),
    )
    world.api.wait("vbe", "nginx0", frontends=10, state="up")
    before = server.requests.total()
    time.sleep(0.8)  # real servers are probed in real time
    assert 1 <= server.requests.total() - before <= 10, "8 intervals, each at most 10 % short"
    server.status = 503
    try:
        for name in many:
            world.api.wait("vfe", name, state="down")
        wait_for(lambda: _all_weights(world) == {0}, "VPP sends it nothing", every=QUICK)
    finally:
        server.status = 200
    for name in many[1:]:
        world.api.delete("vfe", name)
    world.api.wait("vbe", "nginx0", frontends=1, state="up")
    world.api.wait("vfe", many[0], state="up")


def _weights(world: ReferenceWorld, vip: str) -> Mapping[str, int]:
    seen = world.job.witness.see().get(vip)
    return seen.weights if seen is not None else {}


def _all_weights(world: ReferenceWorld) -> set[int]:
    return {weight for vip in world.job.witness.see().values() for weight in vip.weights.values()}


# --- any order ------------------------------------------------------------------------------------


def _objects(world: ReferenceWorld) -> list[Manifest]:
    """Objects with every kind of conflict and of missing reference among them."""
    return [
        world.check("web"),
        world.backend("nginx0", check="web"),
        world.backend("nginx1", check="web"),
        world.backend("nginx2", check="nothing"),
        world.backend("six", "2001:db8::1"),
        world.backend("idle", "10.0.0.1", check="web"),
        world.frontend("a", "192.0.2.50", "nginx0", "nginx1"),
        world.frontend("b", "192.0.2.50", "nginx1"),
        world.frontend("c", "192.0.2.50", "nginx1", port=0, protocol="Any"),
        world.frontend("d", "192.0.2.50", "six", port=81),
        world.frontend("e", "192.0.2.50", "nginx0", "missing", port=82, protocol="UDP"),
        world.frontend("f", "2001:db8:ffff::1", "nginx0"),
        world.frontend("g", "2001:db8:ffff::1", "six", port=81),
        world.frontend("h", "192.0.2.51", "missing"),
        world.frontend("i", "192.0.2.51", "nginx0", "nginx2"),
    ]


_LEAVING = {"a", "c", "f", "h", "nginx1", "idle"}


def test_what_comes_of_a_set_of_objects_does_not_depend_on_the_order_they_came_and_went_in(
    world: ReferenceWorld,
) -> None:
    everything = _objects(world)
    full = _settled(world, everything)
    assert _refused(full) == {"b", "c", "d", "g", "i"}
    rest = _settled(world, [one for one in everything if _name(one) not in _LEAVING])
    assert _refused(rest) == {"d"}
    for seed in range(2):
        order = random.Random(seed)
        _anew(world, order.sample(everything, len(everything)))
        _wait_said(world, full, f"as in order, created by seed {seed}")
        leaving = [one for one in everything if _name(one) in _LEAVING]
        for one in order.sample(leaving, len(leaving)):
            world.api.delete(one["kind"], _name(one))
        _wait_said(world, rest, f"as if they had never been, deleted by seed {seed}")
    dataplane = world.api.get("vdp", world.job.stage.node)["status"]
    assert dataplane["errors"] == []


def _settled(world: ReferenceWorld, manifests: list[Manifest]) -> Mapping[str, Any]:
    """Create objects in the order given; return what is said of them in the end."""
    _anew(world, manifests)
    frontends = [_name(one) for one in manifests if one["kind"] == "Frontend"]
    for name in frontends:
        world.api.wait("vfe", name, observedGeneration=1)
    for name in frontends:
        if world.accepted(name)[0] == "True":
            wait_for(partial(_decided, world, name), f"{name} is decided for good")
            world.api.wait_condition("vfe", name, "Programmed", "True", "Programmed")
    return stays(world.said, "what is said", seconds=0.5)


def _decided(world: ReferenceWorld, frontend: str) -> bool:
    """Whether a frontend waits for no verdict any more: with nobody up it has nothing to decide."""
    status = world.api.get("vfe", frontend)["status"]
    return not (status.get("activePool") and status["dataplane"].get("tentative"))


def _anew(world: ReferenceWorld, manifests: list[Manifest]) -> None:
    world.api.clear()
    world.wait_vips()
    _in_one_second(world, manifests)


def _wait_said(world: ReferenceWorld, expected: Mapping[str, Any], what: str) -> None:
    def as_expected() -> bool:
        said = world.said()
        assert said.keys() == expected.keys()
        for name, about in said.items():
            assert about == expected[name], name
        return True

    wait_for(as_expected, what)


def _refused(said: Mapping[str, Any]) -> set[str]:
    return {
        name.removeprefix("vfe/")
        for name, about in said.items()
        for condition in about.get("conditions", [])
        if name.startswith("vfe/")
        if (condition["type"], condition["status"]) == ("Accepted", "False")
    }


def _name(manifest: Manifest) -> str:
    name = manifest["metadata"]["name"]
    assert isinstance(name, str)
    return name


def _in_one_second(world: ReferenceWorld, manifests: list[Manifest]) -> None:
    """Create everything within one second of the API server's clock, so that names decide."""
    while True:
        time.sleep(1 - time.time() % 1)
        world.api.create(*manifests)
        if len({one["metadata"]["creationTimestamp"] for one in world.api.all("vfe")}) == 1:
            return
        world.api.clear()
