"""Kubernetes events as a test hears them: each once, in whatever order they come."""

from collections import Counter
from typing import Any

from cluster.api import Api
from lab.waiting import wait_for


class Ear:
    """Hears the events of a namespace, as `Type Reason object`, each once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._heard: Counter[str] = Counter()

    def wait(self, *expected: str) -> None:
        """Return when these events, in any order, are all that came since the last call."""

        def as_expected() -> bool:
            new = Counter(map(short, self._api.events())) - self._heard
            assert new == Counter(expected), sorted(new.elements())
            return True

        wait_for(as_expected, f"the events {sorted(expected)}")
        self._heard += Counter(expected)


def short(event: dict[str, Any]) -> str:
    """Write an event as `Type Reason object`."""
    return f"{event['type']} {event['reason']} {event['regarding']['name']}"
