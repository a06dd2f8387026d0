"""What people are shown of the election, by the API and its stream of events."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from vpplb.controller.election_news import TELL_EVERY, ElectionNews
from vpplb.kube.leases.leader_election import LeaderElector
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.model.clock import Clock
from vpplb.reconcile.reconciler import Reconciler
from vpplb.telemetry.event_stream import EventStream
from vpplb.telemetry.operator_state import OperatorState


class ElectionView:
    """Looks at `elector` each TELL_EVERY, and tells `stream` what is new.

    `list_operators` names all that are known, this one too; None where nobody tells that.
    `decided_at` says when this operator last decided something.
    """

    def __init__(
        self,
        elector: LeaderElector,
        news: ElectionNews,
        reconciler: Reconciler,
        stream: EventStream,
        clock: Clock,
        *,
        list_operators: Callable[[], Sequence[str]] | None,
        decided_at: Callable[[], datetime | None],
    ) -> None:
        self._elector, self._news, self._reconciler = elector, news, reconciler
        self._stream, self._clock = stream, clock
        self._list_operators, self._decided_at = list_operators, decided_at
        self._silent_since: datetime | None = clock.now()
        self._told: OperatorState | None = None

    async def run(self) -> None:
        while True:
            self.tell_news()
            await asyncio.sleep(TELL_EVERY)

    def tell_news(self) -> None:
        """Tell what is new; where something is wrong, not each word in which that is said."""
        state = self._find_state()
        news = replace(state, trouble="wrong" if state.trouble else "")
        if news != self._told:
            self._told = news
            self._stream.publish("operator", self.show, object="operator")

    def show(self) -> Mapping[str, object]:
        """Show it as it is now, in JSON's types."""
        return self._find_state().dump_json(now=self._clock.now(), decided_at=self._decided_at())

    def _find_state(self) -> OperatorState:
        elector, leader = self._elector, self._elector.leader
        probing = (
            elector.role in (LeaderRole.LEADING, LeaderRole.SUSPENDED) and self._reconciler.synced
        )
        self._note_silence(is_silent=not probing and leader in ("", elector.identity))
        return OperatorState(
            identity=elector.identity,
            run=self._stream.run,
            role=elector.role,
            leader=leader,
            leader_since=elector.leader_since if leader else None,
            term=self._reconciler.term if probing else elector.leader_term,
            standbys=self._list_standbys(leader),
            namespaces=sorted(elector.scope.namespaces),
            probing=probing,
            silent_since=self._silent_since,
            trouble=self._news.explain_standby() or elector.trouble,
        )

    def _note_silence(self, *, is_silent: bool) -> None:
        if not is_silent:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = self._elector.renewed_at or self._clock.now()

    def _list_standbys(self, leader: str) -> Sequence[str] | None:
        if self._list_operators is None:
            return None
        return [name for name in self._list_operators() if name != leader]
