"""Label selectors, as `kubectl get -l` takes them, for a program that has no API server to ask."""

import re
from collections.abc import Callable, Mapping

Labels = Mapping[str, str]
_KEY = r"[A-Za-z0-9][-A-Za-z0-9_./]*"
_VALUE = r"[-A-Za-z0-9_.]*"
_REQUIREMENT = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<missing>{_KEY})"
    rf"|(?P<key>{_KEY})\s*(?:(?P<operator>==|=|!=)\s*(?P<value>{_VALUE})"
    rf"|\s(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?:,|$)"
)


def parse_selector(text: str) -> Callable[[Labels], bool]:
    """Return what tells whether labels meet a selector; ValueError. An empty one is met by all.

    Requirements, by comma: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`. As in
    Kubernetes, what is not there meets `!=` and `notin`.
    """
    requirements: list[Callable[[Labels], bool]] = []
    at = 0
    while at < len(text):
        found = _REQUIREMENT.match(text, at)
        if found is None or found.end() == at:
            raise ValueError(f"not a label selector: {text!r}")
        requirements.append(_make_requirement(found.groupdict()))
        at = found.end()
    return lambda labels: all(meets(labels) for meets in requirements)


def _make_requirement(part: Mapping[str, str | None]) -> Callable[[Labels], bool]:
    if part["absent"]:
        return lambda labels: part["missing"] not in labels
    key = part["key"] or ""
    if part["operator"] is None and part["set"] is None:
        return lambda labels: key in labels
    given = part["values"] if part["set"] else part["value"]
    values = {one.strip() for one in (given or "").split(",")} if part["set"] else {given}
    if part["operator"] == "!=" or part["set"] == "notin":
        return lambda labels: labels.get(key) not in values
    return lambda labels: labels.get(key) in values
