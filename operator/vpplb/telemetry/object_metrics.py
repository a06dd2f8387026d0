"""The series of each backend and frontend, read from their owner when somebody scrapes.

There may be tens of thousands of them, and whoever scrapes must not hold up the loop that
decides; so they are written as text here, ten times faster than by prometheus_client.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.telemetry.catalog import BACKEND_STATE, EFFECTIVE_WEIGHT, FRONTEND_STATE, MetricSpec

_BACKEND_STATES = tuple(HealthState)
_FRONTEND_STATES = (HealthState.UP, HealthState.DOWN, HealthState.UNKNOWN)


class FrontendSample(NamedTuple):
    """A frontend at scrape time; `weights` are (pool, backend's name, effective weight)."""

    key: ObjectKey
    state: str
    weights: Sequence[tuple[str, str, int]]


class ObjectView(Protocol):
    """What is per object. Called on the event loop when somebody scrapes; must be quick."""

    def iter_backends(self) -> Iterable[tuple[ObjectKey, HealthState]]:
        """Give every backend with its state."""

    def iter_frontends(self) -> Iterable[FrontendSample]:
        """Give every frontend."""


def object_series(view: ObjectView) -> Iterator[str]:
    """Write the series of all objects in Prometheus's text format.

    Namespaces and names are as Kubernetes allows them, so nothing needs escaping; names of
    pools are the users' own and are escaped.
    """
    yield _format_head(BACKEND_STATE)
    for key, state in view.iter_backends():
        yield _format_states(BACKEND_STATE, "backend", key, state, _BACKEND_STATES)
    frontends = list(view.iter_frontends())
    yield _format_head(FRONTEND_STATE)
    for key, frontend_state, _ in frontends:
        yield _format_states(FRONTEND_STATE, "frontend", key, frontend_state, _FRONTEND_STATES)
    yield _format_head(EFFECTIVE_WEIGHT)
    for (namespace, name), _, weights in frontends:
        labels = f'{EFFECTIVE_WEIGHT.name}{{namespace="{namespace}",frontend="{name}",pool="'
        for pool, backend, weight in weights:
            yield f'{labels}{_escape_label(pool)}",backend="{backend}"}} {weight}\n'


def _format_head(spec: MetricSpec) -> str:
    return f"# HELP {spec.name} {spec.help}\n# TYPE {spec.name} {spec.type}\n"


def _format_states(
    spec: MetricSpec, label: str, key: ObjectKey, now: str, states: Sequence[HealthState]
) -> str:
    head = f'{spec.name}{{namespace="{key.namespace}",{label}="{key.name}",state="'
    return "".join([f'{head}{state.value}"}} {1 if state == now else 0}\n' for state in states])


def _escape_label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
