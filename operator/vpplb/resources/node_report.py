"""What the nodes say of one frontend, as conditions are concluded from it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """What the nodes say of one frontend, by their names.

    `desired` shall carry it, `programmed` of them have its newest revision, `failed` say why not.
    `away`: those of `desired` that have no VPP or no agent; `leaving`: others that still carry it.
    `carrying`: all that are heard and have some revision of it; `unsure`: those of which that is
    not known, since they had it and are not heard any more, or VPP has refused the newest.
    `roadless`: those of `desired` whose agents hear no leader directly.
    """

    desired: tuple[str, ...] = ()
    programmed: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    away: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    carrying: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    roadless: tuple[str, ...] = ()

    @property
    def is_holding(self) -> bool:
        """Whether nodes that are not selected any more have to go on: make before break.

        They may let go once a selected node carries it, and so does each other that can. Where no
        node is selected there is nothing to wait for.
        """
        if not self.programmed:
            return bool(self.desired)
        cannot = {name for name, _ in self.failed}.union(self.away)
        return not cannot.issuperset(set(self.desired) - set(self.programmed))

    @property
    def behind(self) -> list[str]:
        """Those that shall carry it and do not have its newest revision."""
        return sorted(set(self.desired) - set(self.programmed))
