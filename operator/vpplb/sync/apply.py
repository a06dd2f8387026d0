"""Makes the VIPs of some groups as they are wanted: plan, call, take in the answers, report.

A round takes a slice of the groups, plans, and sends the plan's steps, each when the one before
it has been answered. A few rounds go on at a time, so that VPP has calls to do while the next
are planned; they have no VIP in common. VIPs that only change come before those that are to be
made, made anew or removed, also where they change while others are being made.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import islice, takewhile

from vpplb.model.vip import VipId
from vpplb.plan.diff import PlanStep
from vpplb.plan.execution import count_as, may_continue
from vpplb.plan.ops import AddVip, VipOp, VppChange
from vpplb.plan.render import op_text
from vpplb.sync.frontend_reports import FrontendReports
from vpplb.sync.ports import CallOutcome, LoadBalancer, SyncListener
from vpplb.sync.vip_records import PrefixGroup, RoundPlan, VipChange
from vpplb.sync.vip_state import VipState

SLICE = 16
"""Groups in one round: bounds how long a VIP that is recreated waits for the others."""
ROUNDS = 8
"""Rounds at a time: many small ones keep VPP busier than few large ones (bench_vpp.py)."""
EXPRESS_ROUNDS = 4
"""Rounds beside them, of VIPs that changed meanwhile: a failover does not wait for the others."""

FailedVips = Mapping[VipId, str]
"""What went wrong, in words."""


class PlanApplier:
    """Runs the rounds. `on_round_over` is told the groups of each round that is over.

    With them come the VIPs that failed there, and those that something in VPP stands in the way of:
    for these nothing was tried.
    """

    def __init__(
        self,
        lb: LoadBalancer,
        listener: SyncListener,
        vips: VipState,
        reports: FrontendReports,
        on_round_over: Callable[[Sequence[PrefixGroup], FailedVips, FailedVips], None],
    ) -> None:
        self._lb, self._listener = lb, listener
        self._vips, self._reports = vips, reports
        self._on_round_over = on_round_over
        self.busy: set[PrefixGroup] = set()
        """Groups of the rounds that go on."""

    async def apply_groups(
        self,
        groups: Sequence[PrefixGroup],
        may_go_on: Callable[[], bool],
        express: Callable[[], Sequence[PrefixGroup]] = tuple,
        woken: asyncio.Event | None = None,
    ) -> Sequence[PrefixGroup]:
        """Make the VIPs of these groups as wanted; return the groups that are left.

        None are, unless it `may_go_on` no more. What `express` gives when `woken` is made at once,
        beside the others. LoadBalancerGone when VPP is lost: then nothing is known of any group.
        """
        self._adopt_wanted()  # all at once: to remember costs a file
        waiting = dict.fromkeys(sorted(groups, key=lambda group: not group.only_changes))
        rounds: set[asyncio.Task[None]] = set()
        woken = woken or asyncio.Event()
        try:
            while True:
                while may_go_on() and (
                    chosen := self._choose_groups(waiting, express, len(rounds))
                ):
                    self.busy.update(chosen)
                    task = asyncio.create_task(self._run_round(chosen))
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

    def _choose_groups(
        self,
        waiting: dict[PrefixGroup, None],
        express: Callable[[], Sequence[PrefixGroup]],
        rounds: int,
    ) -> Sequence[PrefixGroup]:
        """Take the groups of the next round; none if there are enough rounds."""
        chosen = express() if rounds < ROUNDS + EXPRESS_ROUNDS else ()
        if not chosen and waiting and rounds < ROUNDS:
            first = next(iter(waiting)).only_changes
            alike = takewhile(lambda group: group.only_changes == first, waiting)
            chosen = list(islice(alike, SLICE))
        for group in chosen:
            waiting.pop(group, None)
        return chosen

    async def _run_round(self, groups: Sequence[PrefixGroup]) -> None:
        self._adopt_wanted()  # more may be wanted by now
        planned = self._vips.plan_round(groups)
        failed = await self._send_steps(planned)
        released = self._vips.conclude_round(planned)
        owners = [
            (record.vip, released.get(record) or record.owner)
            for record, desired, chain, obstacle in planned.changes
            if desired or chain or obstacle or record in released
        ]
        blocked = {one.record.vip: one.obstacle for one in planned.changes if one.obstacle}
        # Before the report: what hears of it may want the same VIPs changed once more.
        self.busy.difference_update(groups)
        self._reports.report_round(planned.requests, owners, {**failed, **blocked})
        self._on_round_over(groups, failed, blocked)

    def report_left(self, groups: Mapping[PrefixGroup, str]) -> None:
        """Report of groups why they are left as they are, though not as wanted."""
        for group, why in groups.items():
            planned = self._vips.plan_round((group,))
            owners = [(change.record.vip, change.record.owner) for change in planned.changes]
            failed = {change.record.vip: why for change in planned.changes if change.chain}
            self._reports.report_round(planned.requests, owners, failed)

    def _adopt_wanted(self) -> None:
        if self._vips.adopt_wanted() and self._vips.take_changed():
            self._listener.on_adopted()

    async def _send_steps(self, planned: RoundPlan) -> FailedVips:
        steps: dict[PlanStep, list[tuple[VipChange, Sequence[VipOp]]]] = {}
        for change in planned.changes:
            if change.chain:
                for at, todo in change.chain.steps:
                    steps.setdefault(at, []).append((change, todo))
        failed: dict[VipId, str] = {}
        stopped: set[VipId] = set()
        # All of one step before any of the next, over all VIPs: so one call that is waited for
        # carries many, and a prefix is cleared before anything is made on it.
        for step in sorted(steps):
            due = [one for one in steps[step] if not stopped or one[0].record.vip not in stopped]
            outcomes = iter(await self._lb.apply_ops([op for _, ops in due for op in ops]))
            changes: list[VppChange] = []
            for change, ops in due:
                record = change.record
                answers = list(islice(outcomes, len(ops)))
                refused = [outcome for outcome in answers if outcome.retval]
                done = ops
                if refused:
                    failed.setdefault(record.vip, explain_refusal(refused[0]))
                    done = [op for op, answer in zip(ops, answers, strict=True) if answer.ok]
                changes += self._note_step(
                    change, step, done, whole=not (failed and record.vip in failed)
                )
                if refused and not may_continue(step, record.have, change.desired):
                    stopped.add(record.vip)
            if changes:
                self._listener.on_vpp_changed(changes)
        return failed

    def _note_step(
        self, change: VipChange, step: PlanStep, ops: Sequence[VipOp], *, whole: bool
    ) -> list[VppChange]:
        """Take in what VPP did of one step of a VIP; return what counts as a change.

        `whole`: nothing of the VIP has failed so far.
        """
        record, chain = change.record, change.chain
        assert chain is not None
        if whole and step is chain.steps[-1][0]:
            self._vips.note_success(change)
        else:
            self._vips.note_calls(change, ops)
        if step is PlanStep.CREATE and record.owner:
            for op in ops:
                if isinstance(op, AddVip) and op.recreated:
                    self._listener.on_recreated(record.owner, op.vip, op.settings)
        counted = ((count_as(op, chain), op) for op in ops)
        return [VppChange(kind, op) for kind, op in counted if kind is not None]


def explain_refusal(outcome: CallOutcome) -> str:
    return f"{op_text(outcome.op)}: {outcome.message}"
