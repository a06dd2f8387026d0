"""Decides what agents are sent, as a test says, and keeps what they say."""

from collections.abc import Iterable
from dataclasses import replace

from vpplb.direct.agent_connection import AgentConnection
from vpplb.direct.messages import (
    AgentHello,
    DecisionEntry,
    OperatorRole,
    ProgrammedReport,
    dump_entry,
    dump_role,
)
from vpplb.model.names import ObjectKey


class FakeAgentHandler:
    """Implements `direct.agent_connection.AgentHandler`; `rendered` counts entries."""

    def __init__(self, *, leads: bool = True) -> None:
        self.role = OperatorRole(identity="op_1", leads=leads, term=7 if leads else 0)
        self.entries: dict[ObjectKey, DecisionEntry] = {}
        self.connections: dict[str, AgentConnection] = {}
        self.said: list[tuple[str, AgentHello | ProgrammedReport]] = []
        self.rendered = 0

    # --- what the test does ------------------------------------------------------------------

    def decide(self, *entries: DecisionEntry) -> None:
        for entry in entries:
            self.entries[entry.frontend] = entry
        for connection in self.connections.values():
            for entry in entries:
                connection.add_due(entry.frontend)
            connection.flush()

    def set_role(self, *, leads: bool, term: int = 0, why: str = "") -> None:
        self.role = replace(self.role, leads=leads, term=term, why=why)
        for connection in self.connections.values():
            self._begin(connection)

    def nodes(self) -> Iterable[str]:
        return sorted(self.connections)

    # --- what the server does ----------------------------------------------------------------

    @property
    def term(self) -> int:
        return self.role.term

    def render_entry(self, node: str, key: ObjectKey) -> str | None:
        self.rendered += 1
        entry = self.entries.get(key)
        return dump_entry(entry) if entry is not None else None

    def on_connect(self, connection: AgentConnection) -> None:
        self.connections[connection.node] = connection
        self._begin(connection)

    def on_disconnect(self, connection: AgentConnection) -> None:
        del self.connections[connection.node]

    def on_message(
        self, connection: AgentConnection, message: AgentHello | ProgrammedReport
    ) -> None:
        self.said.append((connection.node, message))

    def _begin(self, connection: AgentConnection) -> None:
        connection.set_role(dump_role(self.role))
        if self.role.leads:
            connection.begin_state(self.entries)
        else:
            connection.drop_state()
        connection.flush()
