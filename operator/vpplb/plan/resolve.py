"""Which frontends are accepted, with which encapsulation, and which references resolve.

VPP allows one encapsulation an address, and either an all-port VIP or per-port ones
(vpp's lb_vip_add: -73 and -81); and it looks for servers among its own VIPs (`loops`). So
frontends that are tied by a prefix, or by a server of one inside the VIP of another, are judged
together, oldest first: the older wins, the other says why it lost. References to nothing do not
make a frontend unacceptable: what resolves is served.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import Backend, Frontend
from vpplb.model.problem import Problem
from vpplb.model.vip import Encap, VipProtocol
from vpplb.plan.loops import AcceptedFrontends, without_loops
from vpplb.plan.resolved import ResolvedFrontend, ResolvedMember, frontend_problem

BackendLookup = Callable[[ObjectKey], Backend | None]
EncapLookup = Callable[[ObjectKey], Encap | None]

_SERVER_FAMILY = {Encap.GRE4: 4, Encap.L3DSR: 4, Encap.NAT4: 4, Encap.GRE6: 6, Encap.NAT6: 6}
"""IP version of the servers an encapsulation can carry packets to (lb.c, lb_vip_add_ass)."""

_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedObjects:
    """The judgement over a whole set of objects."""

    frontends: Mapping[ObjectKey, ResolvedFrontend]
    problems: tuple[Problem, ...]


def older_first(frontend: Frontend) -> tuple[datetime, ObjectKey]:
    """Sort key: creation, then name, so that the order never depends on arrival."""
    return (frontend.created or _BEGINNING, frontend.key)


def resolve_group(
    frontends: Iterable[Frontend], backend: BackendLookup, present_encap: EncapLookup
) -> dict[ObjectKey, ResolvedFrontend]:
    """Judge frontends together; all that any of them is tied to must be among them.

    `present_encap` gives the encapsulation a frontend is programmed with now, which it keeps
    while nothing else decides.
    """
    older = AcceptedFrontends()  # with those that are rejected in part: what fits of them is served
    judged: dict[ObjectKey, ResolvedFrontend] = {}
    by_age = sorted(frontends, key=older_first)
    for frontend in by_age:
        resolved = _resolve_one(frontend, backend, present_encap(frontend.key))
        conflict = _first_conflict(resolved, older.find_on(frontend.vip.prefix))
        if conflict is not None:
            resolved = replace(resolved, members=(), rejected=conflict)
        else:
            resolved = without_loops(resolved, older)
            if not resolved.is_withdrawn and frontend is not by_age[-1]:
                older.add_frontend(resolved)
        judged[frontend.key] = resolved
    return judged


def resolve_objects(
    frontends: Mapping[ObjectKey, Frontend],
    backends: Mapping[ObjectKey, Backend],
    health_checks: Collection[ObjectKey],
) -> ResolvedObjects:
    """Judge a whole set, such as the files of `vpplb check`; problems come sorted by object."""
    judged = resolve_group(frontends.values(), backends.get, lambda _: None)
    problems = [problem for one in judged.values() for problem in one.problems]
    for backend in backends.values():
        missing = missing_health_check(backend, health_checks)
        if missing is not None:
            problems.append(missing)
    problems.sort(key=lambda p: (p.kind, p.key, p.field))
    return ResolvedObjects(frontends=judged, problems=tuple(problems))


def missing_health_check(backend: Backend, known: Collection[ObjectKey]) -> Problem | None:
    """Return the problem of a backend whose health check does not exist."""
    if backend.health_check is None or backend.health_check in known:
        return None
    return Problem(
        kind=ObjectKind.BACKEND,
        key=backend.key,
        reason="HealthCheckNotFound",
        message=f"there is no HealthCheck {backend.health_check}",
        field="spec.healthCheckRef.name",
    )


def _resolve_one(
    frontend: Frontend, backend: BackendLookup, present: Encap | None
) -> ResolvedFrontend:
    members: list[ResolvedMember] = []
    unresolved: list[Problem] = []
    for i, pool in enumerate(frontend.pools):
        for j, member in enumerate(pool.members):
            found = backend(member.backend)
            if found is None:
                field = f"spec.pools[{i}].backends[{j}].name"
                message = f"there is no Backend {member.backend}"
                unresolved.append(frontend_problem(frontend, "BackendNotFound", field, message))
            else:
                members.append(
                    ResolvedMember(
                        pool=pool.name,
                        backend=member.backend,
                        address=found.address,
                        weight=member.weight,
                    )
                )
    encap = _choose_encap(frontend, members, present)
    family = _SERVER_FAMILY[encap]
    strangers = [m for m in members if m.address.version != family]
    return ResolvedFrontend(
        frontend=frontend,
        encap=encap,
        # One bad edit must not black-hole a VIP: the members that fit are served on.
        members=tuple(m for m in members if m.address.version == family),
        rejected=_describe_mix(frontend, encap, strangers) if strangers else None,
        unresolved=tuple(unresolved),
    )


def _choose_encap(
    frontend: Frontend, members: Collection[ResolvedMember], present: Encap | None
) -> Encap:
    """Choose GRE of the servers' family, whatever the VIP's family, unless the user chose."""
    if frontend.encap is not None:
        return frontend.encap
    families = {member.address.version for member in members}
    if present is not None and (not families or _SERVER_FAMILY[present] in families):
        return (
            present if present in (Encap.GRE4, Encap.GRE6) else _choose_gre(_SERVER_FAMILY[present])
        )
    if families:
        return _choose_gre(next(m.address.version for m in members))
    return _choose_gre(frontend.vip.prefix.version)


def _choose_gre(family: int) -> Encap:
    return Encap.GRE4 if family == 4 else Encap.GRE6


def _describe_mix(
    frontend: Frontend, encap: Encap, strangers: Collection[ResolvedMember]
) -> Problem:
    names = ", ".join(sorted({f"{m.backend.name} ({m.address})" for m in strangers}))
    family = _SERVER_FAMILY[encap]
    message = f"{encap.value} reaches IPv{family} servers only; these are not: {names}"
    return frontend_problem(frontend, "MixedFamilies", "spec.pools", message)


def _first_conflict(
    candidate: ResolvedFrontend, others: Iterable[ResolvedFrontend]
) -> Problem | None:
    for other in others:
        message = _find_conflict(candidate, other)
        if message:
            message += f" of Frontend {other.frontend.key}, which is older"
            return frontend_problem(candidate.frontend, "Conflict", "spec.address", message)
    return None


def _find_conflict(candidate: ResolvedFrontend, other: ResolvedFrontend) -> str:
    mine, theirs = candidate.frontend.vip, other.frontend.vip
    if mine == theirs:
        return f"{mine} is the VIP"
    if VipProtocol.ANY in (mine.protocol, theirs.protocol):
        return (
            f"all ports and single ports of {mine.prefix} exclude each other: {theirs} is the VIP"
        )
    if candidate.encap is not other.encap:
        return (
            f"VPP allows one encapsulation an address, and {mine.prefix} has {other.encap.value}"
            f" (here: {candidate.encap.value}) because"
        )
    return ""
