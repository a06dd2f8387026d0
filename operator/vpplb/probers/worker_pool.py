"""The Prober of the operator: worker processes, kept alive and told what to probe.

The pool knows every assignment and the last verdict of each, so a worker that dies is replaced
without anybody noticing but the log: its successor resumes from those verdicts, and reports
only what differs from them.
"""

import asyncio
import logging
import os
import socket
from asyncio.subprocess import DEVNULL, Process
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from vpplb.model.backoff import backoff_seconds
from vpplb.model.clock import SystemClock
from vpplb.model.names import ObjectKey
from vpplb.probers.child_command import make_command
from vpplb.probers.errors import ADVICE, ShortageKind
from vpplb.probers.lateness_record import LatenessRecord
from vpplb.probers.placement import WorkerPlacement
from vpplb.probers.probe_histories import ProbeHistories
from vpplb.probers.quarantine import SHORTEST, CheckQuarantine, report_given_up
from vpplb.probers.stats import ProbeStatistics
from vpplb.probers.worker_messages import (
    AssignChecks,
    CancelChecks,
    FollowProbes,
    MessageUnpacker,
    WorkerCondition,
    WorkerMessage,
    WorkerReport,
    map_note,
    open_note,
    pack_message,
)
from vpplb.reconcile.ports import (
    CheckVerdict,
    ProbeAssignment,
    ProbeHistory,
    ProbeStats,
    ResponseChange,
    VerdictReason,
)
from vpplb.reconcile.probe_assignments import spread_starts

_log = logging.getLogger(__name__)

_CHUNK = 1 << 18
_SHORTEST_PAUSE = 0.1  # seconds before a dead worker is replaced; doubled each time …
_LONGEST_PAUSE = 5.0  # … up to here, and back after it has lived that long
_SILENCE = 30.0  # a process reports every second; after so many without it is replaced

_GRACE = 2.0  # seconds a process has to end once its channel is closed

_T = TypeVar("_T")


class WorkerPool:
    """Probes in processes, from the network namespace `netns` if one is named.

    `workers` is their number; 0: as many as the load needs, but no more than there are cores.
    Each backend belongs to one worker. A namespace that cannot be entered is said and tried
    again; one that is made anew under its name is entered anew, and no verdict comes meanwhile.
    """

    def __init__(self, workers: int = 0, netns: str = "") -> None:
        """ValueError when the number is negative."""
        if workers < 0:
            raise ValueError("the number of workers is negative")
        most = workers or len(os.sched_getaffinity(0))
        self._assigned: dict[ObjectKey, ProbeAssignment] = {}
        self._placement = WorkerPlacement(workers=workers or 1, most=most)
        self._netns = netns
        self._workers: list[_WorkerSlot] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._started = False
        self._aside = CheckQuarantine()
        self._histories = ProbeHistories(self._follow_probes, SystemClock())
        self._on_verdict: Callable[[CheckVerdict], None] = lambda _: None
        self._on_stats: Callable[[ProbeStats], None] = lambda _: None
        self._on_response_change: Callable[[ResponseChange], None] = lambda _: None
        self._on_reason: Callable[[VerdictReason], None] = lambda _: None
        self._add_workers()

    def count_processes(self) -> tuple[int, int]:
        """Return how many processes work, and how many should."""
        return sum(worker.is_running for worker in self._workers), len(self._workers)

    def list_lateness(self) -> list[float]:
        """Return for each process by how many seconds it was late at worst of late."""
        return [worker.lateness.worst_seconds() for worker in self._workers]

    def read_histories(self, backends: Sequence[ObjectKey]) -> Mapping[ObjectKey, ProbeHistory]:
        """Return the last probes of these, which are recorded while they are asked for."""
        self._histories.follow_backends(backends)
        show = self._histories.show_history
        return {each: show(each, is_probed=self._is_probed(each)) for each in backends}

    def _is_probed(self, backend: ObjectKey) -> bool:
        check = self._assigned.get(backend)
        return self._started and check is not None and not self._aside.holds_check(check)

    def find_trouble(self) -> str | None:
        """Say what keeps the processes from probing, None if nothing does."""
        short: Counter[str] = Counter()
        for worker in self._workers:
            short.update(worker.condition.short)
        said = sorted({worker.condition.obstacle for worker in self._workers} - {""})
        aside = self._aside.count_held(self._assigned)
        if aside:
            said.append(
                f"{aside} checks are put aside, probing processes ended while busy with them"
                f" ({ADVICE[ShortageKind.DEATH]})"
            )
        said += [
            f"{count} checks have no results, the prober is short of {kind}"
            f" ({ADVICE[ShortageKind(kind)]})"
            for kind, count in sorted(short.items())
        ]
        return "; ".join(said) or None

    async def start(
        self,
        on_verdict: Callable[[CheckVerdict], None],
        on_stats: Callable[[ProbeStats], None],
        on_response_change: Callable[[ResponseChange], None] = lambda _: None,
        on_reason: Callable[[VerdictReason], None] = lambda _: None,
    ) -> None:
        """Start the workers; what is assigned already they begin with."""
        self._on_verdict, self._on_stats = on_verdict, on_stats
        self._on_response_change, self._on_reason = on_response_change, on_reason
        self._started = True
        for worker in self._workers:
            self._run_worker(worker)

    def assign_checks(self, assignments: Sequence[ProbeAssignment]) -> None:
        """Start these checks, each in place of the backend's earlier one."""
        by_worker: defaultdict[int, list[ProbeAssignment]] = defaultdict(list)
        for each in assignments:
            self._assigned[each.backend] = each
            by_worker[self._placement.place_check(each)].append(each)
        self._add_workers()
        for number, share in by_worker.items():
            self._workers[number].send_message(AssignChecks(assignments=tuple(share)))

    def cancel_checks(self, backends: Sequence[ObjectKey]) -> None:
        """Stop these checks; a verdict on its way is dropped."""
        by_worker: defaultdict[int, list[ObjectKey]] = defaultdict(list)
        for each in backends:
            self._assigned.pop(each, None)
            home = self._placement.remove_backend(each)
            if home is not None:
                by_worker[home].append(each)
        for number, share in by_worker.items():
            self._workers[number].send_message(CancelChecks(backends=tuple(share)))

    async def stop(self) -> None:
        """End the workers; returns within seconds whatever they do."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._started = False

    def share_of(self, worker: "_WorkerSlot") -> list[ProbeAssignment]:
        home = self._placement.home_of
        number = self._workers.index(worker)
        return [
            each
            for each in self._assigned.values()
            if home(each.backend) == number and not self._aside.holds_check(each)
        ]

    def on_worker_death(self, generation: int) -> None:
        """Take note of what a process was busy with as it ended; 0: with nothing.

        A check that has ended two is put aside for a while: the others are probed on. Its verdict
        stays the first time, which may be chance; after that its backend is down.
        """
        found = next((a for a in self._assigned.values() if a.generation == generation), None)
        if found is None:
            return
        loop = asyncio.get_running_loop()
        seconds = self._aside.note_death(found, loop.time())
        _log.warning(
            "a probing process ended while busy with the check of %s%s",
            found.backend,
            f": put aside for {seconds:.0f} s" if seconds else "",
        )
        statistics = ProbeStatistics()
        statistics.count_discard(ShortageKind.DEATH.value)
        self.take_report(WorkerReport(stats=statistics.take_counts()))
        if seconds:
            loop.call_later(seconds, self._try_again, found)
            now = SystemClock().now()
            self.take_report(report_given_up(found, down=seconds > SHORTEST, at=now))

    def _try_again(self, check: ProbeAssignment) -> None:
        self._aside.release_check(check)
        present = self._assigned.get(check.backend)
        if present is not None and present.generation == check.generation:
            self.assign_checks([present])

    def take_report(self, report: WorkerReport) -> None:
        """Pass on what a worker says: of verdicts and reasons, those of the present generation.

        Changes of responses all are: that somebody answered is worth knowing whoever asked.
        """
        for level, text in report.log:
            _log.log(level, "%s", text)
        for change in report.changes:
            _call_safely(self._on_response_change, change)
        for verdict in report.verdicts:
            assigned = self._assigned.get(verdict.backend)
            if assigned is not None and assigned.generation == verdict.generation:
                self._assigned[verdict.backend] = replace(
                    assigned, resume_up=verdict.up, held=False
                )
                _call_safely(self._on_verdict, verdict)
        for reason in report.reasons:
            assigned = self._assigned.get(reason.backend)
            if assigned is not None and assigned.generation == reason.generation:
                _call_safely(self._on_reason, reason)
        self._histories.add_records(report.records)
        self._histories.end_unasked()
        if report.stats is not None:
            _call_safely(self._on_stats, report.stats)

    @property
    def followed(self) -> frozenset[ObjectKey]:
        """The backends whose probes are to be recorded."""
        return self._histories.backends

    def _follow_probes(self, backends: frozenset[ObjectKey]) -> None:
        for worker in self._workers:
            worker.send_message(FollowProbes(backends=backends))

    def _add_workers(self) -> None:
        """Have as many workers as there are places."""
        while len(self._workers) < self._placement.workers:
            worker = _WorkerSlot(self, self._netns)
            self._workers.append(worker)
            if self._started:
                self._run_worker(worker)

    def _run_worker(self, worker: "_WorkerSlot") -> None:
        self._tasks.append(asyncio.create_task(worker.run(), name=f"prober-{len(self._tasks)}"))


def _call_safely(callback: Callable[[_T], None], value: _T) -> None:
    """Call what is not ours: its failure must not end the probing."""
    try:
        callback(value)
    except Exception:
        _log.exception("a callback of the prober failed")


class _WorkerSlot:
    """One process after the other, until cancelled."""

    def __init__(self, pool: WorkerPool, netns: str) -> None:
        self._pool = pool
        self._netns = netns
        self.condition, self.lateness = WorkerCondition(), LatenessRecord()
        self._writer: asyncio.StreamWriter | None = None
        self._successor = False

    @property
    def is_running(self) -> bool:
        return self._writer is not None

    def send_message(self, message: WorkerMessage) -> None:
        """Tell the process; without one nothing is lost, for its successor is told everything."""
        if self._writer is not None:
            self._writer.write(pack_message(message))

    async def run(self) -> None:
        """Keep a process alive; ends by cancellation only."""
        clock = asyncio.get_running_loop().time
        deaths = 0
        while True:
            born = clock()
            try:
                ending = await self._run_process()
            except OSError as error:
                ending = f"could not be started: {error}"
            deaths = 1 if clock() - born > _LONGEST_PAUSE else deaths + 1
            pause = backoff_seconds(deaths, _SHORTEST_PAUSE, _LONGEST_PAUSE)
            _log.warning("a probing process %s; replaced in %.1f s", ending, pause)
            await asyncio.sleep(pause)

    async def _run_process(self) -> str:
        """Run one process to its end; say how that was."""
        ours, theirs = socket.socketpair()
        descriptor = open_note()
        try:
            note = map_note(descriptor)
            with ours:
                with theirs:
                    process = await _spawn_worker(theirs.fileno(), descriptor, self._netns)
                try:
                    await self._exchange_messages(ours)
                finally:
                    await _reap_worker(process)
        finally:
            os.close(descriptor)
        self._pool.on_worker_death(note[0])
        return f"ended with {process.returncode}"

    async def _exchange_messages(self, ours: socket.socket) -> None:
        """Tell the process what to probe and hear it, until it ends or falls silent."""
        reader, writer = await asyncio.open_connection(sock=ours, limit=_CHUNK)
        try:
            self._send_assignments(writer)
            unpacker = MessageUnpacker()
            while True:
                async with asyncio.timeout(_SILENCE):
                    data = await reader.read(_CHUNK)
                if not data:
                    return
                for message in unpacker.feed_bytes(data):
                    if isinstance(message, WorkerReport):
                        self.note_condition(message.condition)
                        self._pool.take_report(message)
        except TimeoutError:
            _log.warning("a probing process has been silent for %.0f s", _SILENCE)
        except ConnectionError:
            return
        finally:
            self._writer, self.condition = None, WorkerCondition()
            writer.close()

    def note_condition(self, condition: WorkerCondition | None) -> None:
        if condition is not None:
            self.condition = condition
            self.lateness.note_report(condition.lateness)

    def _send_assignments(self, writer: asyncio.StreamWriter) -> None:
        """Hand over everything; a successor does not start it all at one moment."""
        share = self._pool.share_of(self)
        if self._successor:
            share = spread_starts(share)
        self._successor = True
        self._writer = writer
        writer.write(pack_message(AssignChecks(assignments=tuple(share))))
        writer.write(pack_message(FollowProbes(backends=self._pool.followed)))


async def _spawn_worker(channel: int, note: int, netns: str) -> Process:
    """Start a worker with these descriptors. OSError when it cannot be."""
    # A new interpreter, not a fork: the parent has threads.
    command = make_command("vpplb.probers.worker")
    arguments = ["--channel", str(channel), "--in-hand", str(note), "--netns", netns]
    return await asyncio.create_subprocess_exec(
        *command, *arguments, stdin=DEVNULL, pass_fds=[channel, note]
    )


async def _reap_worker(process: Process) -> None:
    """Wait for a process whose channel is closed; not for long."""
    try:
        async with asyncio.timeout(_GRACE):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
