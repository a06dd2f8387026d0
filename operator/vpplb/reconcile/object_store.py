"""The users' objects, and who refers to whom.

Keeps what was last said about each object and marks what must be looked at again: prefixes
(their frontends are judged together, with all that are tied to them), backends (their checks)
and health checks (their number of users). It decides nothing.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from vpplb.model.lookup import AddressSet, PrefixSet
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import Backend, Frontend, HealthCheck
from vpplb.model.problem import Problem
from vpplb.model.vip import IPAddress, IPNetwork
from vpplb.plan.headers import Secrets, missing_secrets, unprobed_for_secret
from vpplb.plan.loops import NAT
from vpplb.plan.probe_reach import ANYWHERE, ProbeReach, unprobed_by_reach
from vpplb.plan.resolve import missing_health_check

_K = TypeVar("_K", bound=Hashable)
_Index = defaultdict[_K, set[ObjectKey]]


@dataclass(slots=True)
class DirtyKeys:
    """What must be looked at again; who looks takes it out."""

    prefixes: set[IPNetwork] = field(default_factory=set)
    frontends: set[ObjectKey] = field(default_factory=set)
    backends: set[ObjectKey] = field(default_factory=set)
    health_checks: set[ObjectKey] = field(default_factory=set)


class ObjectStore:
    """All objects by kind and key; every change marks `dirty`.

    An object that cannot be understood leaves its last good version in force, or what is `put`
    in its place: `invalid` says by kind and key what is wrong with the newest. `reach` is where
    probes may go, `unprobed` says of which backends' checks that is not so.
    """

    def __init__(self, reach: ProbeReach = ANYWHERE) -> None:
        self._reach = reach
        self.unprobed: dict[ObjectKey, Problem] = {}
        self.frontends: dict[ObjectKey, Frontend] = {}
        self.backends: dict[ObjectKey, Backend] = {}
        self.health_checks: dict[ObjectKey, HealthCheck] = {}
        self.secrets: Secrets = {}
        self.invalid: dict[tuple[ObjectKind, ObjectKey], tuple[Problem, ...]] = {}
        self.dirty = DirtyKeys()
        self._frontends_of_backend: _Index[ObjectKey] = defaultdict(set)
        self._frontends_of_prefix: _Index[IPNetwork] = defaultdict(set)
        self._backends_of_check: _Index[ObjectKey] = defaultdict(set)
        self._backends_at: _Index[IPAddress] = defaultdict(set)
        self._prefixes, self._addresses = PrefixSet(), AddressSet()

    def frontends_of(self, backend: ObjectKey) -> frozenset[ObjectKey]:
        """Return the frontends that reference the backend, accepted or not."""
        return frozenset(self._frontends_of_backend.get(backend, ()))

    def backends_of(self, health_check: ObjectKey) -> frozenset[ObjectKey]:
        return frozenset(self._backends_of_check.get(health_check, ()))

    def group_of(self, prefix: IPNetwork) -> list[Frontend]:
        """Return the frontends of a prefix with all that are tied to them, and to those.

        Tied are frontends of one prefix, those with a server inside the VIP of the other, and
        those by NAT that share a server and its port.
        """
        group: list[Frontend] = []
        found, todo = {prefix}, [prefix]
        while todo:
            for key in self._frontends_of_prefix.get(todo.pop(), ()):
                group.append(self.frontends[key])
                new = set(self._tied_to(self.frontends[key])) - found
                found |= new
                todo += new
        return group

    def find_problems(self, kind: ObjectKind, key: ObjectKey) -> tuple[Problem, ...]:
        """Return what is wrong with an object by itself, or with what a backend refers to."""
        invalid = self.invalid.get((kind, key), ())
        if invalid:
            return invalid
        if kind == ObjectKind.HEALTH_CHECK and key in self.health_checks:
            return missing_secrets(self.health_checks[key], self.secrets)
        backend = self.backends.get(key) if kind == ObjectKind.BACKEND else None
        if backend is None or backend.health_check is None:
            return ()
        if key in self.unprobed:
            return (self.unprobed[key],)
        missing = missing_health_check(backend, self.health_checks)
        if missing is not None:
            return (self._explain_missing(missing, backend),)
        check = self.health_checks[backend.health_check]
        unprobed = unprobed_for_secret(backend, check, self.secrets)
        return (unprobed,) if unprobed else ()

    def _explain_missing(self, missing: Problem, backend: Backend) -> Problem:
        if (ObjectKind.HEALTH_CHECK, backend.health_check) not in self.invalid:
            return missing
        said = f"HealthCheck {backend.health_check} is not understood, so nothing is probed"
        return replace(missing, reason="Invalid", message=said)

    def put_frontend(self, new: Frontend, problems: Sequence[Problem] = ()) -> None:
        """Take a frontend in, its new version, or what stands in for one with `problems`."""
        old = self.frontends.get(new.key)
        judged = self._note_problems(ObjectKind.FRONTEND, new.key, problems)
        if old == new and not judged:
            return
        self.frontends[new.key] = new
        self._link_frontend(new.key, old, new)

    def put_object(self, new: Frontend | Backend | HealthCheck) -> None:
        match new:
            case Frontend():
                self.put_frontend(new)
            case Backend():
                self.put_backend(new)
            case HealthCheck():
                self.put_health_check(new)

    def remove_object(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Forget an object of any kind; nothing happens when it is not known."""
        self.invalid.pop((kind, key), None)
        match kind:
            case ObjectKind.FRONTEND:
                self.dirty.frontends.add(key)
                if (frontend := self.frontends.get(key)) is not None:
                    self._link_frontend(key, frontend, None)
                    del self.frontends[key]
            case ObjectKind.BACKEND:
                self.dirty.backends.add(key)
                self.unprobed.pop(key, None)
                if (backend := self.backends.pop(key, None)) is not None:
                    self._link_check(key, backend, None)
                    self._move_backend(key, backend, None)
            case ObjectKind.HEALTH_CHECK:
                self.dirty.health_checks.add(key)
                if self.health_checks.pop(key, None) is not None:
                    self.dirty.backends |= self.backends_of(key)

    def put_backend(self, new: Backend, problems: Sequence[Problem] = ()) -> None:
        """Take a backend in, its new version, or what stands in for one with `problems`."""
        old = self.backends.get(new.key)
        judged = self._note_problems(ObjectKind.BACKEND, new.key, problems)
        if old == new and not judged:
            return
        self.dirty.backends.add(new.key)
        if old is None or old.health_check != new.health_check:
            self._link_check(new.key, old, new)
        if old is None or old.address != new.address:
            self._move_backend(new.key, old, new)
        self.backends[new.key] = new
        self.unprobed.pop(new.key, None)
        if (denied := unprobed_by_reach(new, self._reach)) is not None:
            self.unprobed[new.key] = denied

    def put_health_check(self, new: HealthCheck) -> None:
        judged = self._note_problems(ObjectKind.HEALTH_CHECK, new.key, ())
        if self.health_checks.get(new.key) == new and not judged:
            return
        self.health_checks[new.key] = new
        self.dirty.health_checks.add(new.key)
        self.dirty.backends |= self.backends_of(new.key)

    def wanted_secrets(self) -> dict[ObjectKey, set[str]]:
        """Return the Secrets that health checks name, each with the keys that are needed of it."""
        wanted: dict[ObjectKey, set[str]] = {}
        for check in self.health_checks.values():
            for header in check.secret_headers:
                wanted.setdefault(header.secret, set()).add(header.key)
        return wanted

    def put_secrets(self, new: Secrets) -> None:
        """Take what is known of all Secrets in place of what was."""
        keys = self.secrets.keys() | new.keys()
        changed = {key for key in keys if self.secrets.get(key) != new.get(key)}
        self.secrets = new
        for check in self.health_checks.values() if changed else ():
            if any(header.secret in changed for header in check.secret_headers):
                self.dirty.health_checks.add(check.key)
                self.dirty.backends |= self.backends_of(check.key)

    def put_invalid(self, kind: ObjectKind, key: ObjectKey, problems: Sequence[Problem]) -> None:
        self.invalid[kind, key] = tuple(problems)
        match kind:
            case ObjectKind.FRONTEND:
                self.dirty.frontends.add(key)
            case ObjectKind.BACKEND:
                self.dirty.backends.add(key)
            case ObjectKind.HEALTH_CHECK:
                self.dirty.health_checks.add(key)
                self.dirty.backends |= self.backends_of(key)

    def _note_problems(self, kind: ObjectKind, key: ObjectKey, problems: Sequence[Problem]) -> bool:
        """Note what is wrong with the newest version; return whether that is news."""
        before = self.invalid.pop((kind, key), ())
        if problems:
            self.invalid[kind, key] = tuple(problems)
        return before != tuple(problems)

    def _link_frontend(self, key: ObjectKey, old: Frontend | None, new: Frontend | None) -> None:
        """Refer to the new version; only backends that come or go have to be looked at."""
        self.dirty.frontends.add(key)
        if old is not None:
            self.dirty.prefixes.add(old.vip.prefix)
            self.dirty.prefixes.update(self._tied_to(old))
            _discard_key(self._frontends_of_prefix, old.vip.prefix, key)
            if old.vip.prefix not in self._frontends_of_prefix:
                self._prefixes.discard_prefix(old.vip.prefix)
        if new is not None:
            self._frontends_of_prefix[new.vip.prefix].add(key)
            self._prefixes.add_prefix(new.vip.prefix)
            self.dirty.prefixes.add(new.vip.prefix)
        before, after = _members_of(old), _members_of(new)
        for backend in before - after:
            _discard_key(self._frontends_of_backend, backend, key)
        for backend in after - before:
            self._frontends_of_backend[backend].add(key)
        self.dirty.backends |= before ^ after

    def _move_backend(self, key: ObjectKey, old: Backend | None, new: Backend | None) -> None:
        """Find a backend at its new address; what it was tied to by the old one is judged again."""
        for name in self.frontends_of(key):
            frontend = self.frontends[name]
            self.dirty.prefixes.add(frontend.vip.prefix)
            if old is not None:
                self.dirty.prefixes.update(self._tied_by(old.address, frontend))
        if old is not None:
            _discard_key(self._backends_at, old.address, key)
            if old.address not in self._backends_at:
                self._addresses.discard_address(old.address)
        if new is not None:
            self._backends_at[new.address].add(key)
            self._addresses.add_address(new.address)

    def _tied_to(self, frontend: Frontend) -> Iterator[IPNetwork]:
        """Find the prefixes of frontends that are tied to one directly."""
        for address in self._addresses.find_within(frontend.vip.prefix):
            yield from (other.vip.prefix for other in self._frontends_at(address))
        for name in _members_of(frontend):
            backend = self.backends.get(name)
            if backend is not None:
                yield from self._tied_by(backend.address, frontend)

    def _tied_by(self, address: IPAddress, frontend: Frontend) -> Iterator[IPNetwork]:
        """Find the prefixes of frontends that are tied to one by a server of it."""
        yield from self._prefixes.find_around(address)
        if frontend.encap in NAT:
            for other in self._frontends_at(address):
                if (other.encap, other.target_port) == (frontend.encap, frontend.target_port):
                    yield other.vip.prefix

    def _frontends_at(self, address: IPAddress) -> Iterator[Frontend]:
        for backend in self._backends_at.get(address, ()):
            yield from (self.frontends[key] for key in self.frontends_of(backend))

    def _link_check(self, key: ObjectKey, old: Backend | None, new: Backend | None) -> None:
        before = old.health_check if old is not None else None
        after = new.health_check if new is not None else None
        if before is not None:
            _discard_key(self._backends_of_check, before, key)
            self.dirty.health_checks.add(before)
        if after is not None:
            self._backends_of_check[after].add(key)
            self.dirty.health_checks.add(after)


def _members_of(frontend: Frontend | None) -> set[ObjectKey]:
    pools = frontend.pools if frontend is not None else ()
    return {member.backend for pool in pools for member in pool.members}


def _discard_key(index: _Index[_K], at: _K, key: ObjectKey) -> None:
    keys = index.get(at)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[at]
