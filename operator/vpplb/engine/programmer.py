"""Makes the VIPs of some shelves as they are wanted: plan, call, take in the answers, report.

A round takes a slice of the shelves, plans, and sends the plan's steps, each when the one before
it has been answered. A few rounds go on at a time, so that VPP has calls to do while the next
are planned; they have no VIP in common.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from vpplb.engine.listener import SyncListener
from vpplb.engine.ports import LoadBalancer, Outcome
from vpplb.engine.shelf import Round, Shelf, Work
from vpplb.engine.standing import Standing
from vpplb.engine.vipbook import VipBook
from vpplb.model.vip import VipId
from vpplb.plan.diff import Step
from vpplb.plan.ops import AddVip, ChangeKind, VipOp
from vpplb.plan.progress import goes_on, kind_of
from vpplb.plan.render import op_text

SLICE = 16
"""Shelves in one round: bounds how long a VIP that is recreated waits for the others."""
ROUNDS = 8
"""Rounds at a time: many small ones keep VPP busier than few large ones (bench_vpp.py)."""

Failed = Mapping[VipId, str]
"""What went wrong, in words."""


class Programmer:
    """Tells `settled` the shelves of each round that is over.

    With them come the VIPs that failed there, and those that something in VPP stands in the way of:
    for these nothing was tried.
    """

    def __init__(
        self,
        lb: LoadBalancer,
        listener: SyncListener,
        book: VipBook,
        standing: Standing,
        settled: Callable[[Sequence[Shelf], Failed, Failed], None],
    ) -> None:
        self._lb, self._listener = lb, listener
        self._book, self._standing = book, standing
        self._settled = settled

    async def work_off(
        self, shelves: Sequence[Shelf], may_go_on: Callable[[], bool]
    ) -> Sequence[Shelf]:
        """Make the VIPs of these shelves as wanted; return the shelves that are left.

        None are, unless it `may_go_on` no more. LoadBalancerGone when VPP is lost: then nothing
        is known of any shelf.
        """
        self._adopt()  # all at once: to remember costs a file
        slices = (shelves[at : at + SLICE] for at in range(0, len(shelves), SLICE))
        if len(shelves) <= SLICE:
            return await self._rounds(slices, may_go_on)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._rounds(slices, may_go_on)) for _ in range(ROUNDS)]
        except ExceptionGroup as several:
            raise several.exceptions[0] from several
        return [shelf for task in tasks for shelf in task.result()]

    async def _rounds(
        self, slices: Iterator[Sequence[Shelf]], may_go_on: Callable[[], bool]
    ) -> list[Shelf]:
        """Take one slice after the other; return the shelves of those that may not be begun."""
        left: list[Shelf] = []
        for shelves in slices:
            if may_go_on():
                await self._round(shelves)
            else:
                left += shelves
        return left

    async def _round(self, shelves: Sequence[Shelf]) -> None:
        self._adopt()  # there may be new wishes
        planned = self._book.begin(shelves)
        failed = await self._execute(planned)
        released = self._book.settle(planned)
        owners = [
            (row.vip, released.get(row) or row.owner)
            for row, desired, chain, obstacle in planned.works
            if desired or chain or obstacle or row in released
        ]
        blocked = {work.row.vip: work.obstacle for work in planned.works if work.obstacle}
        self._standing.conclude(planned.claims, owners, {**failed, **blocked})
        self._settled(shelves, failed, blocked)

    def _adopt(self) -> None:
        if self._book.adopt() and self._book.news():
            self._listener.adopted()

    async def _execute(self, planned: Round) -> Failed:
        """Send the plan step by step."""
        steps: dict[Step, list[tuple[Work, Sequence[VipOp]]]] = {}
        for work in planned.works:
            if work.chain:
                for at, todo in work.chain.steps:
                    steps.setdefault(at, []).append((work, todo))
        failed: dict[VipId, str] = {}
        stopped: set[VipId] = set()
        for step in sorted(steps):
            due = [one for one in steps[step] if not stopped or one[0].row.vip not in stopped]
            outcomes = iter(await self._lb.apply([op for _, ops in due for op in ops]))
            kinds: list[ChangeKind | None] = []
            for work, ops in due:
                row = work.row
                answers = list(islice(outcomes, len(ops)))
                refused = [outcome for outcome in answers if outcome.retval]
                done = ops
                if refused:
                    failed.setdefault(row.vip, words(refused[0]))
                    done = [op for op, answer in zip(ops, answers, strict=True) if answer.ok]
                kinds += self._done(work, step, done, whole=not (failed and row.vip in failed))
                if refused and not goes_on(step, row.have, work.desired):
                    stopped.add(row.vip)
            for kind, count in Counter(kinds).items():
                if kind is not None:
                    self._listener.changed(kind, count)
        return failed

    def _done(
        self, work: Work, step: Step, ops: Sequence[VipOp], *, whole: bool
    ) -> list[ChangeKind | None]:
        """Take in what VPP did of one step of a VIP; return as what it counts.

        `whole`: nothing of the VIP has failed so far.
        """
        row, chain = work.row, work.chain
        assert chain is not None
        if whole and step is chain.steps[-1][0]:
            self._book.finish(work)
        else:
            self._book.done(work, ops)
        if step is Step.CREATE and row.owner:
            for op in ops:
                if isinstance(op, AddVip) and op.recreated:
                    self._listener.recreated(row.owner, op.vip, op.settings)
        return [kind_of(op, chain) for op in ops]


def words(outcome: Outcome) -> str:
    """Say what VPP refused, and why."""
    return f"{op_text(outcome.op)}: {outcome.message}"
