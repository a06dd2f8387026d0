"""The series of each backend and frontend, read from their owner when somebody scrapes.

There may be tens of thousands of them, and whoever scrapes must not hold up the loop that
decides; so they are written as text here, ten times faster than by prometheus_client.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar

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

_Sample = TypeVar("_Sample")
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
        """Give every frontend with its weights."""


def object_series(view: ObjectView) -> Iterator[str]:
    """Write the series of all objects in Prometheus's text format, in small pieces.

    Namespaces and names are as Kubernetes allows them, so nothing needs escaping; names of
    pools are the users' own and are escaped.
    """
    yield from _write_series(
        view.iter_backends(), {BACKEND_STATE: _write_backend_states, BACKEND_SINCE: _write_since}
    )
    yield from _write_series(
        view.iter_frontends(),
        {
            FRONTEND_STATE: _write_frontend_states,
            FRONTEND_DEGRADED: _write_degradations,
            FRONTEND_BACKENDS: _write_backends,
            POOL_ACTIVE: _write_pools,
            EFFECTIVE_WEIGHT: _write_weights,
        },
    )


def _write_series(
    samples: Iterable[_Sample], writers: Mapping[MetricSpec, Callable[[_Sample], str]]
) -> Iterator[str]:
    """Look at each object once: the lines of a metric have to stand together in the text."""
    texts = [(write, [_format_head(spec)]) for spec, write in writers.items()]
    for sample in samples:
        for write, text in texts:
            text.append(write(sample))
        yield ""  # whoever writes this out may pause here
    for _, text in texts:
        for start in range(0, len(text), _TOGETHER):
            yield "".join(text[start : start + _TOGETHER])


def _state_lines(spec: MetricSpec, states: Sequence[HealthState]) -> Mapping[str, str]:
    """Return, by the state that holds, the lines of all states; `_LABELS` stands for the rest."""
    return {
        now.value: "".join(
            f'{spec.name}{{{_LABELS},state="{state.value}"}} {int(state is now)}\n'
            for state in states
        )
        for now in states
    }


_LABELS = "@"
_TOGETHER = 100
"""Texts of objects that are handed on together."""
_OF_BACKENDS = _state_lines(BACKEND_STATE, _BACKEND_STATES)
_OF_FRONTENDS = _state_lines(FRONTEND_STATE, _FRONTEND_STATES)


def _write_backend_states(backend: BackendSample) -> str:
    (namespace, name), state, _ = backend
    labels = f'namespace="{namespace}",backend="{name}"'
    return _OF_BACKENDS[state].replace(_LABELS, labels)


def _write_since(backend: BackendSample) -> str:
    (namespace, name), _, since = backend
    if since is None:
        return ""
    return f'{BACKEND_SINCE.name}{{namespace="{namespace}",backend="{name}"}} {since.timestamp()}\n'


def _write_frontend_states(frontend: FrontendSample) -> str:
    return _OF_FRONTENDS[frontend.state].replace(_LABELS, _frontend_labels(frontend))


def _write_degradations(frontend: FrontendSample) -> str:
    head = f"{FRONTEND_DEGRADED.name}{{{_frontend_labels(frontend)}"
    return "".join([f'{head},reason="{reason}"}} 1\n' for reason in frontend.degraded])


def _write_backends(frontend: FrontendSample) -> str:
    head, count = f"{FRONTEND_BACKENDS.name}{{{_frontend_labels(frontend)}", frontend.backends.get
    return "".join(
        [f'{head},state="{state.value}"}} {count(state, 0)}\n' for state in _BACKEND_STATES]
    )


def _write_pools(frontend: FrontendSample) -> str:
    head, active = f"{POOL_ACTIVE.name}{{{_frontend_labels(frontend)}", frontend.active_pool
    return "".join(
        [
            f'{head},pool="{_escape_label(pool)}",position="{place}"}} {int(pool == active)}\n'
            for place, pool in enumerate(frontend.pools, 1)
        ]
    )


def _write_weights(frontend: FrontendSample) -> str:
    head = f"{EFFECTIVE_WEIGHT.name}{{{_frontend_labels(frontend)}"
    return "".join(
        [
            f'{head},pool="{_escape_label(pool)}",backend="{backend}"}} {weight}\n'
            for pool, backend, weight in frontend.weights
        ]
    )


def _frontend_labels(frontend: FrontendSample) -> str:
    return f'namespace="{frontend.key.namespace}",frontend="{frontend.key.name}"'


def _format_head(spec: MetricSpec) -> str:
    return f"# HELP {spec.name} {spec.help}\n# TYPE {spec.name} {spec.type}\n"


def _escape_label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
