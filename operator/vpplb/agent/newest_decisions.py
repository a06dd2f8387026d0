"""`NewestDecisions`: of each frontend the newest decision, by whichever road it came.

Decisions come by the status road (the API server's objects) and by the direct road (a leader that
is connected). Both are put in here, in whatever order they arrive, and what applies is read from
here: so nothing ever goes back to an older decision.

- What is newer wins (`DecisionOrder`). A leader speaks for its term: what it sends counts as no
  older than (its term, 0), and one of an older term than the newest heard is not listened to.
- Of one order, the word of the leader that is connected goes before a status.
- A status without an order, of a version that knows none, counts as it comes, unless the leader
  that is connected has spoken of that frontend. So does one that repeats what applies: it may tell
  anew whether the others have it (`holding`).
- Where nothing is decided that could be read, what is there stays.
- An object that the API server said is deleted (its uid) no message brings back. One of another
  uid is a new frontend: the orders of the one before do not count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vpplb.direct.messages import DecisionEntry
from vpplb.model.clock import Clock, SystemClock
from vpplb.model.decision_order import UNORDERED, DecisionMark, DecisionOrder
from vpplb.model.names import ObjectKey

MOST_DELETED = 10_000
"""Objects whose deletion is remembered; the oldest are forgotten first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendDecision:
    """What is decided on one frontend, and on which object (`uid`).

    `dataplane` is what `Frontend.status.dataplane` says, as JSON that may make no sense; None: the
    VIP must not exist. `selector` are the labels of the nodes that it is for, None where they are
    not understood; `holding` says that those do not have it yet. `direct`: a leader has sent it.
    """

    uid: str
    order: DecisionOrder = UNORDERED
    dataplane: object = None
    selector: Mapping[str, str] | None = None
    holding: bool = False
    direct: bool = False

    @property
    def revision(self) -> str:
        """The hash of `dataplane`; empty where there is none."""
        content = self.dataplane
        return str(content.get("revision", "")) if isinstance(content, Mapping) else ""

    def is_same_content(self, other: "FrontendDecision") -> bool:
        """Whether both say the same, whoever told them and when."""
        alike = (self.uid, self.revision, self.holding) == (
            other.uid,
            other.revision,
            other.holding,
        )
        if not alike or self.selector != other.selector:
            return False
        return bool(self.revision) or self.dataplane == other.dataplane


class NewestDecisions:
    """Takes what both roads tell, and says of each frontend what applies (`get_decision`).

    Each `put_…` returns whether what applies to that frontend is another than before.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self.newest_term = 0
        """The latest term that was heard of by either road; 0: none."""
        self.taken_at: float | None = None
        """When a decision was last taken that is news, in Unix seconds."""
        self._leader: int | None = None
        self._newest: dict[ObjectKey, FrontendDecision] = {}
        self._marks: dict[ObjectKey, DecisionMark] = {}
        """What was decided last and has an order, also before this process."""
        self._listed: dict[ObjectKey, str] = {}
        """The frontends that the API server has, with their uids."""
        self._deleted: dict[str, None] = {}

    # --- reading -----------------------------------------------------------------------------

    def get_decision(self, key: ObjectKey) -> FrontendDecision | None:
        """Return what applies to a frontend; None: nothing is decided, what is there stays."""
        return self._newest.get(key)

    def get_order(self, key: ObjectKey) -> DecisionOrder:
        """Return the order below which nothing is taken any more."""
        mark = self._marks.get(key)
        return mark.order if mark else UNORDERED

    @property
    def is_led(self) -> bool:
        """Whether a leader is connected that is listened to."""
        return self._leader is not None and self._leader >= self.newest_term

    @property
    def decided(self) -> Mapping[ObjectKey, FrontendDecision]:
        """All that applies, of whichever node."""
        return self._newest

    @property
    def marks(self) -> Mapping[ObjectKey, DecisionMark]:
        """What the next process has to know: of each frontend what was decided last, in order."""
        return dict(self._marks)

    # --- who leads ---------------------------------------------------------------------------

    def hear_term(self, term: int) -> None:
        """Take note that an operator leads, or has led, in this term."""
        self.newest_term = max(self.newest_term, term)

    def set_leader(self, term: int | None) -> None:
        """Take note that a leader of this term is connected; None: no leader is."""
        self._leader = term
        self.hear_term(term or 0)

    # --- what is told ------------------------------------------------------------------------

    def restore_marks(self, marks: Mapping[ObjectKey, DecisionMark]) -> None:
        """Take over what the last process knew: nothing older than that is taken."""
        self._marks = dict(marks)
        self.hear_term(max((mark.order.term for mark in marks.values()), default=0))

    def forget_mark(self, key: ObjectKey) -> bool:
        """Forget what the last process knew of a frontend: nothing of it is left in VPP.

        Return whether there was something that kept older decisions out.
        """
        return key not in self._newest and self._marks.pop(key, None) is not None

    def put_status(self, key: ObjectKey, uid: str, told: FrontendDecision | None) -> bool:
        """Take a status of the API server; `told` None where it decides nothing."""
        self._deleted.pop(uid, None)  # a server that was restored from a backup has it again
        before = self._listed.get(key, uid)
        self._listed[key] = uid
        changed = before != uid and self._forget_object(key, before)
        if key not in self._newest and key in self._marks and self._marks[key].uid != uid:
            del self._marks[key]
        if told is not None:
            self.hear_term(told.order.term)
            if self._is_due(key, told):
                changed |= self._take(
                    key, replace(told, order=max(told.order, self.get_order(key)))
                )
            elif (current := self._newest.get(key)) and current.revision == told.revision != "":
                # One copy of what both roads tell is enough: the cache has the status anyway.
                self._newest[key] = replace(current, dataplane=told.dataplane)
        return changed or key not in self._newest

    def _is_due(self, key: ObjectKey, told: FrontendDecision) -> bool:
        """Whether a status applies in place of what is known."""
        current, known = self._newest.get(key), self.get_order(key)
        if current is not None and current.direct and self.is_led:
            return told.order > known
        repeats = current is not None and current.revision == told.revision != ""
        return told.order >= known or not told.order.is_known or repeats

    def put_entry(self, term: int, entry: DecisionEntry) -> bool:
        """Take what a leader of this term has sent."""
        if term < self.newest_term or entry.uid in self._deleted:
            return False
        self.hear_term(term)
        order = max(entry.order, DecisionOrder(term, 0))
        if order < self.get_order(entry.frontend):
            return False
        selector = (entry.dataplane or {}).get("nodeSelector") or {}
        told = FrontendDecision(
            uid=entry.uid,
            order=order,
            dataplane=None if entry.gone else entry.dataplane,
            selector=read_labels(selector),
            holding=entry.holding,
            direct=True,
        )
        return self._take(entry.frontend, told)

    def note_deleted(self, key: ObjectKey, uid: str) -> bool:
        """Take note that the API server has that object no more.

        Return whether the frontend is gone; else it was made anew, as a leader has told already.
        """
        self._listed.pop(key, None)
        return self._forget_object(key, uid)

    def _forget_object(self, key: ObjectKey, uid: str) -> bool:
        self._deleted[uid] = None
        if len(self._deleted) > MOST_DELETED:
            del self._deleted[next(iter(self._deleted))]
        if key in self._marks and self._marks[key].uid == uid:
            del self._marks[key]
        current = self._newest.get(key)
        if current is not None and current.uid != uid:
            return False
        self._newest.pop(key, None)
        return True

    # --- what no list shows ------------------------------------------------------------------

    @property
    def unlisted(self) -> Mapping[ObjectKey, str]:
        """The frontends, with their uids, that only leaders have told of, now or formerly."""
        known = {key: mark.uid for key, mark in self._marks.items()}
        known |= {key: one.uid for key, one in self._newest.items()}
        return {key: uid for key, uid in known.items() if key not in self._listed}

    def drop_unlisted(self, before: Mapping[ObjectKey, str]) -> list[ObjectKey]:
        """Take note that a whole list was asked for after `before` was `unlisted`.

        What it does not show either is deleted. Return what is dropped.
        """
        now = self.unlisted
        gone = [key for key, uid in before.items() if now.get(key) == uid]
        return [key for key in gone if self.note_deleted(key, before[key])]

    def _take(self, key: ObjectKey, told: FrontendDecision) -> bool:
        before = self._newest.get(key)
        self._newest[key] = told
        if told.order.is_known:
            self._marks[key] = DecisionMark(uid=told.uid, order=told.order, revision=told.revision)
        news = before is None or not told.is_same_content(before)
        if news:
            self.taken_at = self._clock.now().timestamp()
        return news


def read_labels(found: object) -> Mapping[str, str] | None:
    """Read labels as JSON gives them; None where they are not understood."""
    if not isinstance(found, Mapping):
        return None
    return found if all(isinstance(value, str) for value in found.values()) else None
