"""The connection of an agent without a network: what is sent is kept, as messages."""

from collections import OrderedDict

from vpplb.direct.agent_connection import AgentConnection, AgentHandler
from vpplb.direct.messages import (
    DecisionBatch,
    DecisionEntry,
    Message,
    OperatorRole,
    load_message,
)
from vpplb.model.names import ObjectKey


class FakeAgentConnection(AgentConnection):
    """Takes all that is due at once; while `stalled` nothing. `take` gives what was sent since."""

    def __init__(self, node: str, handler: AgentHandler) -> None:
        self.node, self.stalled = node, False
        self._handler = handler
        self._role: bytes | None = None
        self._due = OrderedDict[ObjectKey, None]()
        self._begins = False
        self._sent: list[Message] = []

    def flush(self) -> None:
        while not self.stalled and (self._role is not None or self._due or self._begins):
            if frame := self._take_frame():
                message = load_message(frame[frame.index(b"{") :].decode())
                assert message is not None
                self._sent.append(message)

    def take(self) -> list[Message]:
        sent, self._sent = self._sent, []
        return sent

    def take_role(self) -> OperatorRole:
        """Return the newest role that was sent since, and drop the rest."""
        return [one for one in self.take() if isinstance(one, OperatorRole)][-1]

    def take_entries(self) -> dict[str, DecisionEntry]:
        """Return the entries that were sent since, by the frontend's name; the newest of each."""
        batches = [one for one in self.take() if isinstance(one, DecisionBatch)]
        return {entry.frontend.name: entry for batch in batches for entry in batch.entries}
