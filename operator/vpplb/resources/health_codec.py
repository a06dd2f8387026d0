"""`Backend.status` and the health that it shows: written by the operator, read when it restarts.

What an older version wrote, or someone else, is read as far as it can be: a status that makes
no sense is the same as none, and the check starts fresh.
"""

from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from vpplb.model.health import BackendHealth, HealthTransition
from vpplb.model.names import ObjectKey
from vpplb.resources.backend import BackendStatus, BackendTransition


def dump_health(health: BackendHealth) -> BackendStatus:
    """Return the part of a Backend's status that shows its health."""
    return BackendStatus(
        state=health.state,
        since=health.since,
        code=health.code or None,
        detail=health.detail or None,
        held=health.held or None,
        transitions=tuple(_dump_transition(transition) for transition in health.transitions),
    )


def _dump_transition(transition: HealthTransition) -> BackendTransition:
    return BackendTransition(
        from_=transition.from_state,
        to=transition.to_state,
        at=transition.at,
        code=transition.code or None,
        detail=transition.detail or None,
    )


def load_health(key: ObjectKey, status: object) -> BackendHealth:
    """Return the health that the `status` of the Backend `key` shows; fresh where it shows none."""
    if not isinstance(status, Mapping):
        return BackendHealth()
    shown = {name: status.get(name) for name in ("state", "since", "code", "detail", "held")}
    try:
        read = BackendStatus.model_validate({k: v for k, v in shown.items() if v is not None})
    except ValidationError:
        return BackendHealth()
    return BackendHealth(
        state=read.state,
        since=read.since,
        code=read.code or "",
        detail=read.detail or "",
        held=bool(read.held),
        transitions=tuple(_load_transitions(key, status.get("transitions"))),
    )


def _load_transitions(key: ObjectKey, shown: object) -> Iterator[HealthTransition]:
    """Read those entries of the history that can be read."""
    for entry in shown if isinstance(shown, list | tuple) else ():
        try:
            read = BackendTransition.model_validate(entry)
        except ValidationError:
            continue
        yield HealthTransition(
            backend=key,
            from_state=read.from_,
            to_state=read.to,
            at=read.at,
            code=read.code or "",
            detail=read.detail or "",
        )
