"""The series of each backend and frontend, read from their owner when somebody scrapes.

There may be tens of thousands of them, and whoever scrapes must not hold up the loop that
decides; so they are written as text here, ten times faster than by prometheus_client.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey
from vpplb.telemetry.catalog import (
    BACKEND_SINCE,
    BACKEND_STATE,
    EFFECTIVE_WEIGHT,
    FRONTEND_BACKENDS,
    FRONTEND_DEGRADED,
    FRONTEND_STATE,
    POOL_ACTIVE,
    MetricSpec,
)

_BACKEND_STATES = tuple(HealthState)
_FRONTEND_STATES = (HealthState.UP, HealthState.DOWN, HealthState.UNKNOWN)


class BackendSample(NamedTuple):
    """A backend at scrape time, and since when it is in its state, where that is known."""

    key: ObjectKey
    state: HealthState
    since: datetime | None = None


class FrontendSample(NamedTuple):
    """A frontend at scrape time.

    `weights` are (pool, backend's name, effective weight); `pools` are its pools in order, and
    `backends` the number of its backends by state; `degraded` are the reasons for which it does
    not serve as it should.
    """

    key: ObjectKey
    state: str
    weights: Sequence[tuple[str, str, int]]
    pools: Sequence[str] = ()
    active_pool: str = ""
    backends: Mapping[HealthState, int] = {}
    degraded: Sequence[str] = ()


class ObjectView(Protocol):
    """What is per object. Called on the event loop when somebody scrapes; must be quick."""

    def iter_backends(self) -> Iterable[BackendSample]:
        """Give every backend with its state."""

    def iter_frontends(self) -> Iterable[FrontendSample]:
        """Give every frontend."""


def object_series(view: ObjectView) -> Iterator[str]:
    """Write the series of all objects in Prometheus's text format.

    Namespaces and names are as Kubernetes allows them, so nothing needs escaping; names of
    pools are the users' own and are escaped.
    """
    backends = list(view.iter_backends())
    yield _format_head(BACKEND_STATE)
    for backend in backends:
        yield _format_states(BACKEND_STATE, "backend", backend.key, backend.state, _BACKEND_STATES)
    yield _format_head(BACKEND_SINCE)
    for (namespace, name), _, since in backends:
        if since is not None:
            labels = f'{{namespace="{namespace}",backend="{name}"}}'
            yield f"{BACKEND_SINCE.name}{labels} {since.timestamp()}\n"
    frontends = list(view.iter_frontends())
    yield _format_head(FRONTEND_STATE)
    for one in frontends:
        yield _format_states(FRONTEND_STATE, "frontend", one.key, one.state, _FRONTEND_STATES)
    for spec, lines in (
        (FRONTEND_DEGRADED, _list_degradations),
        (FRONTEND_BACKENDS, _list_backends),
        (POOL_ACTIVE, _list_pools),
        (EFFECTIVE_WEIGHT, _list_weights),
    ):
        yield _format_head(spec)
        for one in frontends:
            head = f'{spec.name}{{namespace="{one.key.namespace}",frontend="{one.key.name}",'
            yield "".join([f"{head}{line}\n" for line in lines(one)])


def _list_degradations(frontend: FrontendSample) -> Iterator[str]:
    for reason in frontend.degraded:
        yield f'reason="{reason}"}} 1'


def _list_backends(frontend: FrontendSample) -> Iterator[str]:
    for state in _BACKEND_STATES:
        yield f'state="{state.value}"}} {frontend.backends.get(state, 0)}'


def _list_pools(frontend: FrontendSample) -> Iterator[str]:
    for position, pool in enumerate(frontend.pools, 1):
        active = int(pool == frontend.active_pool)
        yield f'pool="{_escape_label(pool)}",position="{position}"}} {active}'


def _list_weights(frontend: FrontendSample) -> Iterator[str]:
    for pool, backend, weight in frontend.weights:
        yield f'pool="{_escape_label(pool)}",backend="{backend}"}} {weight}'


def _format_head(spec: MetricSpec) -> str:
    return f"# HELP {spec.name} {spec.help}\n# TYPE {spec.name} {spec.type}\n"


def _format_states(
    spec: MetricSpec, label: str, key: ObjectKey, now: str, states: Sequence[HealthState]
) -> str:
    head = f'{spec.name}{{namespace="{key.namespace}",{label}="{key.name}",state="'
    return "".join([f'{head}{state.value}"}} {1 if state == now else 0}\n' for state in states])


def _escape_label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
