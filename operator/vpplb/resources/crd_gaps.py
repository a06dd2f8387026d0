"""What a definition that the API server has lacks of one that a program was made for.

An API server drops fields that a definition does not name, silently, and refuses values that it
does not list. So a program that meets a definition of an older version loses what it writes.
"""

from collections.abc import Iterator

from vpplb.resources.schema import Schema

KEEPS_UNKNOWN = "x-kubernetes-preserve-unknown-fields"


def find_gaps(needed: Schema, served: Schema, path: str = "") -> Iterator[str]:
    """Yield the fields and values of `needed` that `served` does not take, as `spec.type HTTPS`.

    Both are structural schemas of one object. What `served` has besides is of a newer version, and
    no gap; nor are bounds, defaults and descriptions.
    """
    yield from _find_values(needed, served, path)
    if served.get(KEEPS_UNKNOWN):
        return
    if needed.get(KEEPS_UNKNOWN):
        yield path
        return
    known = served.get("properties", {})
    for name, child in needed.get("properties", {}).items():
        below = f"{path}.{name}".lstrip(".")
        if name in known:
            yield from find_gaps(child, known[name], below)
        else:
            yield below
    for inside in ("items", "additionalProperties"):
        if isinstance(needed.get(inside), dict) and isinstance(served.get(inside), dict):
            yield from find_gaps(needed[inside], served[inside], f"{path}[]")


def _find_values(needed: Schema, served: Schema, path: str) -> Iterator[str]:
    taken = served.get("enum")
    if taken is not None:
        yield from (f"{path} {value}" for value in needed.get("enum", ()) if value not in taken)
