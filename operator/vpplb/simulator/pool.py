"""VPP's pools: elements keep their index, freed ones are taken again, the last freed first.

What an element held when it was freed is still in it when it is taken again, as in VPP (pool.h),
where constructors set only some fields: the simulator's answers depend on it as VPP's do.
"""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class VppPool(Generic[T]):
    """Elements by index."""

    def __init__(self, new: Callable[[], T]) -> None:
        self._new = new
        self._slots: list[T] = []
        self._free: list[int] = []

    def take_index(self) -> int:
        """Return the index of a free element, made by `new` if it was never taken before."""
        if self._free:
            return self._free.pop()
        self._slots.append(self._new())
        return len(self._slots) - 1

    def free_index(self, index: int) -> None:
        self._free.append(index)

    def __getitem__(self, index: int) -> T:
        return self._slots[index]

    def __len__(self) -> int:
        return len(self._slots) - len(self._free)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the indexes in use, ascending; elements may be put meanwhile."""
        free = set(self._free)
        return iter([index for index in range(len(self._slots)) if index not in free])
