"""What the nodes report: who shall carry a frontend, who does, who fails.

A node is known by the Dataplane that its agent keeps, which carries the labels of its Node. What
its VPP has is told there too; but while the agent is connected by the direct road, what it reports
there counts, and once that is lost its last report does, until the Dataplane says something new.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from sys import intern

from vpplb.direct.messages import ProgrammedReport
from vpplb.kube.api_types import JsonObject
from vpplb.model.names import ObjectKey
from vpplb.model.objects import NodeSelector
from vpplb.model.release_identity import UNNAMED, ReleaseIdentity
from vpplb.resources.conditions import find_condition
from vpplb.resources.dataplane import (
    AGENT_GONE,
    DIRECT_ROAD_LOST,
    DataplaneStatus,
    release_of,
)
from vpplb.resources.node_report import NodeReport
from vpplb.resources.raw_fields import node_labels
from vpplb.resources.stored import read_status

MOST_SELECTIONS = 1000
"""Selectors of which it is kept who they select."""
MOST_CARRIED = 100_000
MOST_CHARS = 1000
"""Frontends of which a node may report something directly, and characters of an error."""


class ReportRoad(StrEnum):
    """By which road it is told what a node's VPP has: a report, or the Dataplane's status."""

    DIRECT = "direct"
    STATUS = "status"


OnProgrammed = Callable[[ObjectKey, str, ReportRoad], None]
"""Is told that a node's VPP has this revision of a frontend, which it had not before."""


@dataclass(slots=True)
class _CarriedState:
    """What a node's VPP has, by frontends' names as text, of which all nodes share one."""

    programmed: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    connected: bool = False


@dataclass(frozen=True, slots=True)
class _NodeState:
    """A Dataplane as last seen."""

    labels: Mapping[str, str]
    shown: _CarriedState
    gone: bool
    roadless: bool


@dataclass(frozen=True, slots=True)
class _Selection:
    """The nodes that a selector selects, sorted, and the others."""

    selected: dict[str, None]
    others: tuple[str, ...]


class NodeRegistry:
    """All Dataplanes as last seen, and what connected agents report.

    What cannot be read of a status counts as not reported; a name that no frontend can have is
    passed over. `on_programmed` is told what is new of nodes that were known before.

    A node whose Dataplane is of another release than `release` is none here; one that does not say
    so is everybody's. An agent that was given no name of a release tells its namespace.
    """

    def __init__(
        self,
        on_programmed: OnProgrammed = lambda key, revision, road: None,
        release: ReleaseIdentity = UNNAMED,
    ) -> None:
        self._on_programmed, self._release = on_programmed, release
        self._nodes: dict[str, _NodeState] = {}
        self._reports: dict[str, _CarriedState] = {}
        self._connected: set[str] = set()
        self._selections: dict[NodeSelector, _Selection] = {}
        self._reached: dict[NodeSelector, bool] = {}

    # --- what is told ------------------------------------------------------------------------

    def put_node(self, name: str, raw: JsonObject) -> set[ObjectKey] | None:
        """Take a Dataplane in; return the frontends it says something new of, None for any."""
        if not self._release.may_be(release_of(raw["metadata"])):
            return self._pass_over(name)
        new, old = _read_node(raw), self._nodes.get(name)
        before = self._find_state(name)
        self._nodes[name] = new
        if name not in self._connected and (new.gone or old is None or old.shown != new.shown):
            self._reports.pop(name, None)
        if old is None or old.labels != new.labels:
            self._forget_selections()
        if old is None:
            return None
        changed = self._compare_states(before, self._find_state(name), ReportRoad.STATUS)
        same = (old.labels, old.roadless) == (new.labels, new.roadless)
        return changed if same else None

    def remove_node(self, name: str) -> None:
        self._nodes.pop(name, None)
        if name not in self._connected:
            self._reports.pop(name, None)
        self._forget_selections()

    def _pass_over(self, name: str) -> set[ObjectKey] | None:
        if name not in self._nodes:
            return set()
        self.remove_node(name)
        return None

    def put_report(self, name: str, report: ProgrammedReport) -> set[ObjectKey] | None:
        """Take what a connected agent reports; return what `put_node` does."""
        known, state = name in self._nodes or name in self._reports, self._find_state(name)
        if report.whole or name not in self._reports:
            after = self._reports[name] = _CarriedState(connected=report.connected)
            if not report.whole:
                after.programmed.update(state.programmed)
                after.errors.update(state.errors)
            _apply_report(after, report, lambda key, revision: None)
            return self._compare_states(state, after, ReportRoad.DIRECT) if known else None
        connected, state.connected = state.connected, report.connected
        changed = _apply_report(
            state,
            report,
            lambda key, revision: self._on_programmed(key, revision, ReportRoad.DIRECT),
        )
        return changed if connected == report.connected else None

    def set_connected(self, name: str, connected: bool) -> None:
        """Take note whether a node's agent is connected by the direct road."""
        self._reached.clear()
        if connected:
            self._connected.add(name)
        else:
            self._connected.discard(name)
            if name not in self._nodes:  # the node is gone, and its report was kept for the agent
                self._reports.pop(name, None)

    def _compare_states(
        self, before: _CarriedState, after: _CarriedState, road: ReportRoad
    ) -> set[ObjectKey] | None:
        if before is after:
            return set()
        programmed = after.programmed.items() - before.programmed.items()
        for frontend, revision in programmed:
            for key in _parse_keys((frontend,)):
                self._on_programmed(key, revision, road)
        if before.connected != after.connected:
            return None
        lost = before.programmed.keys() - after.programmed.keys()
        failed = after.errors.items() ^ before.errors.items()
        return set(_parse_keys({name for name, _ in programmed | failed} | lost))

    # --- what is known -----------------------------------------------------------------------

    def list_agents(self) -> Mapping[str, bool]:
        """Return all nodes that have an agent, and whether each is shown as gone."""
        return {name: node.gone for name, node in self._nodes.items()}

    def labels_of(self, name: str) -> Mapping[str, str]:
        """Return the labels of a node; none of one that is not known."""
        node = self._nodes.get(name)
        return node.labels if node is not None else {}

    def select_nodes(self, selector: NodeSelector) -> Mapping[str, None]:
        """Return the names of the nodes that shall carry what has this selector, sorted."""
        return self._select(selector).selected

    def is_reached(self, selector: NodeSelector) -> bool:
        """Whether all nodes that shall carry what has this selector hear of it directly.

        Not where there is none: an agent that is not known yet may be the first to ask for it.
        """
        reached = self._reached.get(selector)
        if reached is None:
            selected = self._select(selector).selected
            reached = bool(selected) and selected.keys() <= self._connected
            self._reached[selector] = reached
        return reached

    def list_leaving(self, key: ObjectKey, selector: NodeSelector) -> list[str]:
        """Return the nodes that carry a frontend and shall not."""
        frontend = str(key)
        others = self._select(selector).others
        return [name for name in others if frontend in self._find_state(name).programmed]

    def list_carried(self, name: str) -> Mapping[str, str]:
        """Return what a node's VPP has: the revision by the frontend's name."""
        return self._find_state(name).programmed

    def find_differing(self, revisions: Mapping[str, str]) -> set[ObjectKey]:
        """Return the frontends of which a node has another revision than this, by their names."""
        differing = set[str]()
        for name in self._nodes:
            programmed = self._find_state(name).programmed
            differing |= {frontend for frontend, _ in programmed.items() - revisions.items()}
        return set(_parse_keys(differing))

    def find_awaited(
        self, key: ObjectKey, selector: NodeSelector, revision: str, first: str
    ) -> str:
        """Return a node that could have this revision of a frontend and has not; empty for none.

        `first` is looked at before the others: of thousands that report one after the other,
        one that has not is enough to know.
        """
        frontend, selected = str(key), self._select(selector).selected
        if first in selected and self._is_behind(first, frontend, revision):
            return first
        # Who was told last answers last.
        behind = (name for name in reversed(selected) if self._is_behind(name, frontend, revision))
        return next(behind, "")

    def _is_behind(self, name: str, frontend: str, revision: str) -> bool:
        state = self._find_state(name)
        has = state.programmed.get(frontend) == revision
        return state.connected and not has and frontend not in state.errors

    def report_frontend(self, key: ObjectKey, selector: NodeSelector, revision: str) -> NodeReport:
        """Say how far a frontend's newest revision has got."""
        frontend = str(key)
        selected = self._select(selector).selected
        programmed, failed, away = list[str](), list[tuple[str, str]](), list[str]()
        having = dict[str, bool]()
        for name in selected:
            state = self._find_state(name)
            if frontend in state.programmed or frontend in state.errors:
                having[name] = state.connected and frontend in state.programmed
            if not state.connected:
                away.append(name)
            elif state.programmed.get(frontend) == revision:
                programmed.append(name)
            if frontend in state.errors:
                failed.append((name, state.errors[frontend]))
        leaving = self.list_leaving(key, selector)
        having.update((name, self._find_state(name).connected) for name in leaving)
        return NodeReport(
            desired=tuple(selected),
            programmed=tuple(programmed),
            failed=tuple(failed),
            away=tuple(away),
            leaving=tuple(leaving),
            carrying=tuple(name for name, sure in having.items() if sure),
            unsure=tuple(name for name, sure in having.items() if not sure),
            roadless=tuple(name for name in selected if self._is_roadless(name)),
        )

    def _is_roadless(self, name: str) -> bool:
        """Whether a node's agent says that it has lost the direct road, and has not come since."""
        return name not in self._connected and self._nodes[name].roadless

    # --- pieces ------------------------------------------------------------------------------

    def _find_state(self, name: str) -> _CarriedState:
        report = self._reports.get(name)
        if report is not None:
            return report
        node = self._nodes.get(name)
        return node.shown if node is not None else _CarriedState()

    def _forget_selections(self) -> None:
        self._selections.clear()
        self._reached.clear()

    def _select(self, selector: NodeSelector) -> _Selection:
        found = self._selections.get(selector)
        if found is None:
            if len(self._selections) >= MOST_SELECTIONS:
                self._forget_selections()
            names = sorted(self._nodes)
            selected = [name for name in names if is_selected(selector, self._nodes[name].labels)]
            found = self._selections[selector] = _Selection(
                dict.fromkeys(selected), tuple(sorted(set(names) - set(selected)))
            )
        return found


def is_selected(selector: NodeSelector, labels: Mapping[str, str]) -> bool:
    """Whether a node of these labels shall carry what has this selector."""
    return all(labels.get(label) == value for label, value in selector)


def _read_node(raw: JsonObject) -> _NodeState:
    status = read_status(raw, DataplaneStatus)
    connected = find_condition(status.conditions, "Connected")
    heard = find_condition(status.conditions, "OperatorHeard")
    return _NodeState(
        labels=node_labels(raw["metadata"]),
        shown=_CarriedState(
            programmed=_share_texts(status.programmed or {}),
            errors={error.frontend: error.message for error in status.errors},
            connected=connected is not None and connected.status == "True",
        ),
        gone=connected is not None and connected.reason == AGENT_GONE,
        roadless=heard is not None and heard.reason == DIRECT_ROAD_LOST,
    )


def _share_texts(programmed: Mapping[str, str]) -> dict[str, str]:
    """Let all nodes that carry a frontend share its name and revision: they may be thousands."""
    return {intern(frontend): intern(revision) for frontend, revision in programmed.items()}


def _apply_report(
    state: _CarriedState, report: ProgrammedReport, on_new: Callable[[ObjectKey, str], None]
) -> set[ObjectKey]:
    """Bring a state up to what a report says; return the frontends that it changes."""
    changed = set[ObjectKey]()
    for key in {*report.programmed, *report.errors, *report.removed}:
        frontend = intern(str(key))
        revision, error = report.programmed.get(key), report.errors.get(key)
        was = state.programmed.get(frontend)
        if was is None and len(state.programmed) + len(state.errors) >= MOST_CARRIED:
            continue
        error = error and error[:MOST_CHARS]
        if (was, state.errors.get(frontend)) == (revision, error):
            continue
        changed.add(key)
        _set_text(state.programmed, frontend, revision and intern(revision))
        _set_text(state.errors, frontend, error)
        if revision is not None and revision != was:
            on_new(key, revision)
    return changed


def _set_text(texts: dict[str, str], name: str, text: str | None) -> None:
    if text is None:
        texts.pop(name, None)
    else:
        texts[name] = text


def _parse_keys(names: Iterable[str]) -> Iterator[ObjectKey]:
    for name in names:
        with suppress(ValueError):  # no frontend can have it
            yield ObjectKey.parse_text(name)
