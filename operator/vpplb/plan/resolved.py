"""A frontend with what it refers to, and the judgement on it."""

from dataclasses import dataclass

from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import Frontend
from vpplb.model.problem import Problem, ProblemReason
from vpplb.model.vip import Encap, IPAddress


def frontend_problem(
    frontend: Frontend, reason: ProblemReason, field: str, message: str
) -> Problem:
    kind, key = ObjectKind.FRONTEND, frontend.key
    return Problem(kind=kind, key=key, reason=reason, message=message, field=field)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedMember:
    """A member whose Backend exists. `weight` is the configured one."""

    pool: str
    backend: ObjectKey
    address: IPAddress
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedFrontend:
    """What became of one frontend.

    `rejected` None: it is accepted; else the problem that says why not. `members` are those that
    can be served, in the order of pools, then as written; empty when the VIP must not exist.
    `warnings` are what to beware of where the objects of others matter; they refuse nothing.
    """

    frontend: Frontend
    encap: Encap
    members: tuple[ResolvedMember, ...]
    rejected: Problem | None = None
    unresolved: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def is_withdrawn(self) -> bool:
        """Whether no VIP is decided: another object has it, or no server fits it."""
        return self.rejected is not None and not self.members

    @property
    def gives_up_vip(self) -> bool:
        """Whether nodes that have the VIP must give it up: another object has it.

        Where merely no server fits they keep it, as it was decided last: one bad edit must not
        black-hole a VIP.
        """
        return (
            self.rejected is not None and self.rejected.reason == "Conflict" and self.is_withdrawn
        )

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All that is wrong, the rejection first."""
        return ((self.rejected,) if self.rejected else ()) + self.unresolved
