"""Reading values of fields with errors that are sentences for people."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def as_text(value: object, says: str) -> str:
    """Return a text as it is; ValueError with the sentence `says` for anything else."""
    if not isinstance(value, str):
        raise ValueError(says)
    return value


def read_reworded(read: Callable[[str], T], text: str, says: str) -> T:
    """Read a text; where that fails the sentence `says` takes the place of the reader's own."""
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(says) from error
