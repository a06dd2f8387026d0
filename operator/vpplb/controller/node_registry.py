"""What the nodes report: who shall carry a frontend, who does, who fails.

A node is known by the Dataplane that its agent keeps, which carries the labels of its Node.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from vpplb.kube.api_types import JsonObject
from vpplb.model.names import ObjectKey
from vpplb.resources.conditions import find_condition
from vpplb.resources.dataplane import AGENT_GONE, DataplaneStatus, node_labels
from vpplb.resources.statuses import NodeReport
from vpplb.resources.stored import read_status

Selector = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _NodeState:
    """What a node says of frontends, by their names as text: there may be thousands."""

    labels: Mapping[str, str]
    programmed: Mapping[str, str]
    errors: Mapping[str, str]
    connected: bool
    gone: bool


class NodeRegistry:
    """All Dataplanes as last seen.

    What cannot be read of a status counts as not reported; a name that no frontend can have is
    passed over.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, _NodeState] = {}

    def put_node(self, name: str, raw: JsonObject) -> set[ObjectKey] | None:
        """Take a Dataplane in; return the frontends it says something new of, None for any."""
        new, old = _read_node(raw), self._nodes.get(name)
        self._nodes[name] = new
        if old is None or (old.labels, old.connected) != (new.labels, new.connected):
            return None
        changed = new.programmed.items() ^ old.programmed.items()
        failed = new.errors.items() ^ old.errors.items()
        return set(_parse_keys(name for name, _ in changed | failed))

    def remove_node(self, name: str) -> None:
        self._nodes.pop(name, None)

    def list_agents(self) -> Mapping[str, bool]:
        """Return all nodes that have an agent, and whether each is shown as gone."""
        return {name: node.gone for name, node in self._nodes.items()}

    def report_frontend(self, key: ObjectKey, selector: Selector, revision: str) -> NodeReport:
        """Say how far a frontend's newest revision has got."""
        frontend = str(key)
        selected: dict[str, _NodeState] = {}
        leaving: list[str] = []
        for name, node in sorted(self._nodes.items()):
            if all(node.labels.get(label) == value for label, value in selector):
                selected[name] = node
            elif frontend in node.programmed:
                leaving.append(name)
        return NodeReport(
            desired=tuple(selected),
            programmed=tuple(
                name
                for name, node in selected.items()
                if node.connected and node.programmed.get(frontend) == revision
            ),
            failed=tuple(
                (name, node.errors[frontend])
                for name, node in selected.items()
                if frontend in node.errors
            ),
            away=tuple(name for name, node in selected.items() if not node.connected),
            leaving=tuple(leaving),
        )


def _read_node(raw: JsonObject) -> _NodeState:
    status = read_status(raw, DataplaneStatus)
    connected = find_condition(status.conditions, "Connected")
    return _NodeState(
        labels=node_labels(raw["metadata"]),
        programmed=status.programmed or {},
        errors={error.frontend: error.message for error in status.errors},
        connected=connected is not None and connected.status == "True",
        gone=connected is not None and connected.reason == AGENT_GONE,
    )


def _parse_keys(names: Iterable[str]) -> Iterator[ObjectKey]:
    for name in names:
        with suppress(ValueError):  # no frontend can have it
            yield ObjectKey.parse_text(name)
