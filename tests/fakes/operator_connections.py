"""Connections to operators that a test plays: who leads, what it sends, what it was sent."""

from collections.abc import Callable
from pathlib import Path

from vpplb.direct.client import ConnectedLeader, OperatorConnections, OperatorListener
from vpplb.direct.messages import (
    AgentHello,
    DecisionBatch,
    DecisionEntry,
    OperatorAddress,
    ProgrammedReport,
)


class FakeConnections(OperatorConnections):
    """Connects to nobody; `reports` and `hellos` are what the leader was sent."""

    def __init__(self, listener: OperatorListener, hello: Callable[[], AgentHello]) -> None:
        super().__init__("n1", Path("/nowhere"), listener, hello)
        self._told, self._said_hello = listener, hello
        self._leads: ConnectedLeader | None = None
        self.reports: list[ProgrammedReport] = []
        self.hellos: list[AgentHello] = []
        self.broken = False

    @property
    def leader(self) -> ConnectedLeader | None:
        return self._leads

    @property
    def hello(self) -> AgentHello:
        """What the agent would introduce itself with now."""
        return self._said_hello()

    async def send_report(self, report: ProgrammedReport) -> bool:
        if self._leads is None or self.broken:
            return False
        self.reports.append(report)
        return True

    async def send_hello(self) -> bool:
        self.hellos.append(self.hello)
        return self._leads is not None

    # --- what operators do -------------------------------------------------------------------

    def lead(self, term: int, identity: str = "op-1") -> None:
        """Let this operator lead."""
        self._leads = ConnectedLeader(identity=identity, term=term)
        self._told.on_leader(self._leads)
        self._told.on_term(term)

    def lose(self) -> None:
        """Let the leader's connection break."""
        self._leads = None
        self._told.on_leader(None)

    def stand_by(self, term: int) -> None:
        """Let an operator that does not lead tell of this term."""
        self._told.on_term(term)

    def send(self, term: int, *entries: DecisionEntry, whole: bool = False) -> None:
        """Let whoever leads in this term send decisions."""
        self._told.on_batch(DecisionBatch(term=term, entries=entries, whole=whole))

    def tell_operators(self, *operators: OperatorAddress) -> None:
        self._told.on_operators(operators)
