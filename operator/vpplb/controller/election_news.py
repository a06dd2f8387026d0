"""What agents and people are told of the election: who leads, and why this operator does not."""

import asyncio
import logging

from vpplb.controller.direct_publisher import DirectPublisher, ElectionState
from vpplb.direct.operator_directory import read_release
from vpplb.kube.leases.leader_election import LeaderElector
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.model.release_identity import ReleaseIdentity

log = logging.getLogger(__name__)

TELL_EVERY = 1.0
"""Seconds after which agents hear what is new of the election beside this operator's role."""


class ElectionNews:
    """Looks at `elector` each TELL_EVERY, and tells agents and the log what is new.

    `release` is this operator's.
    """

    def __init__(
        self, elector: LeaderElector, release: ReleaseIdentity, publisher: DirectPublisher
    ) -> None:
        self._elector, self._release, self._publisher = elector, release, publisher

    async def run(self) -> None:
        refusal = ""
        while True:
            self._tell_agents()
            before, refusal = refusal, self.explain_standby()
            if refusal not in ("", before, self._elector.not_ready):  # which the elector logs
                log.error("%s", refusal)
            await asyncio.sleep(TELL_EVERY)

    def explain_standby(self) -> str:
        """Say why this operator cannot lead, or should not beside one of another release.

        One of our own release that served other namespaces is no trouble: it is what an upgrade
        replaces, and it ends only once this one is ready.
        """
        elector = self._elector
        other = elector.rival_holder or elector.holder
        release = read_release(elector.annotations, other)
        if elector.role is LeaderRole.LEADING or elector.trouble:
            return elector.not_ready
        ours = bool(release) and self._release.may_be(release)
        if elector.rival_holder:
            return "" if ours else elector.rival_refusal
        if ours or not release:
            return ""
        return (
            f"{other} of release {release} leads, for the nodes of that release alone, and this"
            f" operator stands by for {self._release.name}: let the namespaces of both differ, or"
            " remove one of the two"
        )

    def _tell_agents(self) -> None:
        elector = self._elector
        leads = f"{elector.holder} leads" if elector.holder else "nobody leads yet"
        why = elector.not_ready or leads
        self._publisher.set_election(ElectionState(role=elector.role, why=why))
