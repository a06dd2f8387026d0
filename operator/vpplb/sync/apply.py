"""Makes the VIPs of some shelves as they are wanted: plan, call, take in the answers, report.

A round takes a slice of the shelves, plans, and sends the plan's steps, each when the one before
it has been answered. A few rounds go on at a time, so that VPP has calls to do while the next
are planned; they have no VIP in common. VIPs that only change come before those that are to be
made, made anew or removed, also where they change while others are worked off.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice, takewhile

from vpplb.model.vip import VipId
from vpplb.plan.diff import Step
from vpplb.plan.ops import AddVip, ChangeKind, VipOp
from vpplb.plan.progress import goes_on, kind_of
from vpplb.plan.render import op_text
from vpplb.sync.ports import LoadBalancer, Outcome, SyncListener
from vpplb.sync.program_report import Standing
from vpplb.sync.vip_records import Round, Shelf, Work
from vpplb.sync.vip_state import VipBook

SLICE = 16
"""Shelves in one round: bounds how long a VIP that is recreated waits for the others."""
ROUNDS = 8
"""Rounds at a time: many small ones keep VPP busier than few large ones (bench_vpp.py)."""
EXPRESS_ROUNDS = 4
"""Rounds beside them, of VIPs that changed meanwhile: a failover does not wait for the others."""

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
        self.busy: set[Shelf] = set()
        """Shelves of the rounds that go on."""

    async def work_off(
        self,
        shelves: Sequence[Shelf],
        may_go_on: Callable[[], bool],
        express: Callable[[], Sequence[Shelf]] = tuple,
        woken: asyncio.Event | None = None,
    ) -> Sequence[Shelf]:
        """Make the VIPs of these shelves as wanted; return the shelves that are left.

        None are, unless it `may_go_on` no more. What `express` gives when `woken` is made at once,
        beside the others. LoadBalancerGone when VPP is lost: then nothing is known of any shelf.
        """
        self._adopt()  # all at once: to remember costs a file
        waiting = dict.fromkeys(sorted(shelves, key=lambda shelf: not shelf.only_changes))
        rounds: set[asyncio.Task[None]] = set()
        woken = woken or asyncio.Event()
        try:
            while True:
                while may_go_on() and (chosen := self._choose(waiting, express, len(rounds))):
                    self.busy.update(chosen)
                    task = asyncio.create_task(self._round(chosen))
                    task.add_done_callback(lambda _: woken.set())
                    rounds.add(task)
                if not rounds:
                    return list(waiting)
                await woken.wait()
                woken.clear()
                for task in [task for task in rounds if task.done()]:
                    rounds.remove(task)
                    task.result()
        finally:
            for task in rounds:
                task.cancel()
            await asyncio.gather(*rounds, return_exceptions=True)
            self.busy.clear()

    def _choose(
        self, waiting: dict[Shelf, None], express: Callable[[], Sequence[Shelf]], rounds: int
    ) -> Sequence[Shelf]:
        """Take the shelves of the next round; none if there are enough rounds."""
        chosen = express() if rounds < ROUNDS + EXPRESS_ROUNDS else ()
        if not chosen and waiting and rounds < ROUNDS:
            first = next(iter(waiting)).only_changes
            alike = takewhile(lambda shelf: shelf.only_changes == first, waiting)
            chosen = list(islice(alike, SLICE))
        for shelf in chosen:
            waiting.pop(shelf, None)
        return chosen

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
        self.busy.difference_update(shelves)
        self._standing.conclude(planned.claims, owners, {**failed, **blocked})
        self._settled(shelves, failed, blocked)

    def leave(self, shelves: Mapping[Shelf, str]) -> None:
        """Report of shelves why they are left as they are, though not as wanted."""
        for shelf, why in shelves.items():
            planned = self._book.begin((shelf,))
            owners = [(work.row.vip, work.row.owner) for work in planned.works]
            failed = {work.row.vip: why for work in planned.works if work.chain}
            self._standing.conclude(planned.claims, owners, failed)

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
