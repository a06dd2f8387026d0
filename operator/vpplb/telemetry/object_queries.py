"""What is asked of a list of objects: which of them, which of their fields, how many at a time.

`?namespace=shop`, `?frontend=shop/web` and `?healthcheck=shop/http` (Backends alone),
`?fields=metadata,status.state`, and pages by `?limit=200&continue=shop/web`, as `continue` of the
page before says. A page goes on behind a
name, so what comes or goes between two pages shifts nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from vpplb.model.names import ObjectKey

PARAMETERS = {
    "namespace": "Only objects of this namespace.",
    "frontend": "Only Backends of this Frontend, as namespace/name.",
    "healthcheck": "Only Backends that this HealthCheck checks, as namespace/name.",
    "fields": "Only these fields, as paths that are joined by commas: `metadata,status.state`.",
    "limit": "At most so many objects; `continue` of the answer says where to go on.",
    "continue": "What `continue` of the page before says.",
}
"""What may be asked, and what each means."""
OF_BACKENDS = ("frontend", "healthcheck")
"""What may be asked of Backends alone."""

MOST_FIELDS = 64
FieldTree = Mapping[str, "FieldTree | None"]
"""Fields by name, each with those in it that are wanted; None: whole."""


class UnknownQuery(ValueError):
    """What is asked is not understood; the text says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectQuery:
    """What is asked of a list; by default all of all."""

    namespace: str | None = None
    frontend: ObjectKey | None = None
    health_check: ObjectKey | None = None
    fields: FieldTree | None = None
    limit: int | None = None
    after: ObjectKey | None = None

    @classmethod
    def parse(cls, asked: Mapping[str, str]) -> Self:
        """Read the parameters of a request; UnknownQuery."""
        if unknown := sorted(set(asked) - set(PARAMETERS)):
            known = ", ".join(PARAMETERS)
            raise UnknownQuery(f"there is no parameter {unknown[0]}; there are: {known}")
        return cls(
            namespace=asked.get("namespace"),
            frontend=parse_key("frontend", asked.get("frontend")),
            health_check=parse_key("healthcheck", asked.get("healthcheck")),
            fields=_parse_fields(asked["fields"]) if "fields" in asked else None,
            limit=_parse_limit(asked["limit"]) if "limit" in asked else None,
            after=parse_key("continue", asked.get("continue")),
        )

    def select_page(self, keys: Sequence[ObjectKey]) -> tuple[Sequence[ObjectKey], bool]:
        """Return the page that is asked for of sorted `keys`, and whether more follow."""
        found = [
            key
            for key in keys
            if (self.namespace is None or key.namespace == self.namespace)
            and (self.after is None or key > self.after)
        ]
        return found[: self.limit], self.limit is not None and len(found) > self.limit

    def select_fields(self, shown: Mapping[str, object]) -> object:
        """Return of an object what is asked for."""
        return _pick(shown, self.fields)


def format_key(key: ObjectKey) -> str:
    """Write a name as `continue` and `frontend` take it."""
    return "/".join(filter(None, key))


def parse_key(name: str, text: str | None) -> ObjectKey | None:
    """Read the name that a parameter gives; UnknownQuery."""
    if text is None:
        return None
    match text.split("/"):
        case [namespace, found] if namespace and found:
            return ObjectKey(namespace, found)
        case [found] if found and name == "continue":  # a Dataplane is in no namespace
            return ObjectKey("", found)
        case _:
            raise UnknownQuery(f"{name} is not namespace/name: {text}")


def _parse_limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10) or int(text) == 0:
        raise UnknownQuery(f"limit is not a number from 1: {text}")
    return int(text)


def _parse_fields(text: str) -> FieldTree:
    paths = text.split(",")
    if len(paths) > MOST_FIELDS:
        raise UnknownQuery(f"more than {MOST_FIELDS} fields are asked for")
    tree = dict[str, Any]()
    for path in sorted(paths, key=len):  # a field that is wanted whole comes before what is in it
        names = path.split(".")
        if not all(names):
            raise UnknownQuery(f"fields are not paths joined by commas: {text}")
        _add_path(tree, names)
    return tree


def _add_path(tree: dict[str, Any], names: Sequence[str]) -> None:
    *above, last = names
    for name in above:
        below = tree.setdefault(name, {})
        if below is None:  # wanted whole already
            return
        tree = below
    tree[last] = None


def _pick(value: object, fields: FieldTree | None) -> object:
    """Return the fields of a value, or of each that a list has; others have none."""
    if fields is None:
        return value
    if isinstance(value, Mapping):
        return {name: _pick(value[name], below) for name, below in fields.items() if name in value}
    if isinstance(value, list | tuple):
        return [_pick(one, fields) for one in value]
    return value
