"""The checks that run: one task a backend at most, told apart by generation.

A task that is replaced or stopped is dead at once, whatever its prober still has under way:
only what the current generation reports counts.
"""

from collections.abc import Collection, Mapping

from vpplb.engine.ports import Assignment, Prober
from vpplb.health.lifecycle import Start
from vpplb.model.names import ObjectKey


class TaskSet:
    """Gives checks to a prober and knows which of them are current."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        self._current: dict[ObjectKey, int] = {}
        self._generation = 0

    def __len__(self) -> int:
        return len(self._current)

    def apply(self, starts: Mapping[ObjectKey, Start], stops: Collection[ObjectKey]) -> None:
        """Stop tasks, then start tasks, each in place of the backend's earlier one.

        Tasks started together are spread over their interval in the order of their names.
        """
        stopped = [key for key in sorted(stops) if self._current.pop(key, None) is not None]
        if stopped:
            self._prober.cancel(stopped)
        if starts:
            self._prober.assign(
                [
                    self._assignment(key, starts[key], position, len(starts))
                    for position, key in enumerate(sorted(starts))
                ]
            )

    def is_current(self, backend: ObjectKey, generation: int) -> bool:
        """Whether a report of this generation still counts."""
        return self._current.get(backend) == generation

    def _assignment(self, key: ObjectKey, start: Start, position: int, of: int) -> Assignment:
        self._generation += 1
        self._current[key] = self._generation
        return Assignment(
            backend=key,
            generation=self._generation,
            spec=start.spec,
            resume_up=start.resume_up,
            position=position,
            of=of,
        )
