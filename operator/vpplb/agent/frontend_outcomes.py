"""`FrontendOutcomes`: what became of each frontend in this node's VPP, and what of it is news.

Two tell it on: the Dataplane's status, now and then, and the direct road, at once.
"""

import asyncio
from collections.abc import Mapping

from vpplb.agent.frontend_selector import SelectedFrontends
from vpplb.direct.messages import ProgrammedReport
from vpplb.model.names import ObjectKey
from vpplb.resources.dataplane import MOST_ERRORS
from vpplb.sync.ports import VipReport

MOST_CHARS = 1000
"""Characters of an error that are told on the direct road."""


class FrontendOutcomes:
    """Which revision VPP has of each frontend, or why not, of those that are `selected`.

    `news` is set when `take_report` may have something to return that it had not before.
    """

    def __init__(self, selected: SelectedFrontends) -> None:
        self.selected, self.news = selected, asyncio.Event()
        self._programmed: dict[ObjectKey, str] = {}
        self._errors: dict[ObjectKey, str] = {}
        self._connected: bool | None = None
        self._begun = False
        self._changed: dict[ObjectKey, None] = {}
        self._whole = True

    # --- what happens ------------------------------------------------------------------------

    def resume(self, programmed: Mapping[ObjectKey, str]) -> None:
        """Take over what VPP had by the last agent."""
        self._programmed = dict(programmed)
        self.begin_whole()

    def set_connected(self, connected: bool, *, same: bool = False) -> None:
        """Take note whether VPP answers; nothing counts as programmed but in the `same` VPP."""
        self._connected = connected
        if not same:
            self._programmed.clear()
        self.begin_whole()

    def note_report(self, report: VipReport) -> bool:
        """Take what the syncer reports; return whether an error is new."""
        new = bool(report.error) and self._errors.get(report.key) != report.error
        self._errors.pop(report.key, None)
        self._programmed.pop(report.key, None)
        if report.error:
            self._errors[report.key] = report.error
        elif report.revision:
            self._programmed[report.key] = report.revision
        self._changed[report.key] = None
        self.news.set()
        return new

    def begin(self) -> None:
        """What is to be programmed is known: from now on there is something to report."""
        self._begun = True
        self.begin_whole()

    def begin_whole(self) -> None:
        """Have all told anew by the next report."""
        self._whole = True
        self.news.set()

    # --- what is told ------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many frontends VPP has as wanted, whether they are selected or not."""
        return len(self._programmed)

    @property
    def carried(self) -> Mapping[ObjectKey, str]:
        """The revisions of the frontends that this node shall carry, and does."""
        return {key: it for key, it in self._programmed.items() if self._is_carried(key)}

    def count_missing(self) -> int:
        """Count the frontends that this node shall carry, and does not."""
        return len(self.selected.keys) - len(self.carried)

    @property
    def failures(self) -> Mapping[ObjectKey, str]:
        """What stands in a frontend's way: VPP, or that nobody here can read what it wants."""
        return self._errors | self.selected.unreadable

    def take_report(self) -> ProgrammedReport | None:
        """Return what was not told yet; None for nothing, and while VPP was not heard of."""
        self.news.clear()
        if not self._begun or self._connected is None or not (self._whole or self._changed):
            return None
        whole, changed, failures = self._whole, self._changed, dict(self.failures)
        self._whole, self._changed = False, {}
        told = self._programmed | failures if whole else changed
        failing = [key for key in told if key in failures][:MOST_ERRORS]
        programmed = {key: self._programmed[key] for key in told if self._is_carried(key)}
        said = programmed.keys() | set(failing)
        return ProgrammedReport(
            whole=whole,
            connected=self._connected,
            programmed=programmed,
            errors={key: failures[key][:MOST_CHARS] for key in failing},
            removed=() if whole else tuple(key for key in told if key not in said),
        )

    def _is_carried(self, key: ObjectKey) -> bool:
        selected = key in self.selected.keys and key not in self.selected.unreadable
        return selected and key in self._programmed
