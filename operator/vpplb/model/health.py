"""Health of a backend: states, results of probes, transitions."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vpplb.model.names import ObjectKey


class HealthState(StrEnum):
    """State of a backend as users see it in `Backend.status.state`."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"
    PAUSED = "paused"
    DISABLED = "disabled"


class ProbeCode(StrEnum):
    """Outcome of one probe in HAProxy's terms: layer, then what happened there."""

    L3OK = "L3OK"
    L3TOUT = "L3TOUT"
    L3UNR = "L3UNR"
    L4OK = "L4OK"
    L4TOUT = "L4TOUT"
    L4CON = "L4CON"
    L6OK = "L6OK"
    L6TOUT = "L6TOUT"
    L6RSP = "L6RSP"
    L7OK = "L7OK"
    L7TOUT = "L7TOUT"
    L7RSP = "L7RSP"
    L7STS = "L7STS"

    @property
    def is_pass(self) -> bool:
        return self in _PASSED


_PASSED = frozenset({ProbeCode.L3OK, ProbeCode.L4OK, ProbeCode.L6OK, ProbeCode.L7OK})


_SILENT = frozenset({ProbeCode.L3TOUT, ProbeCode.L3UNR, ProbeCode.L4TOUT})
_STALLED = frozenset({ProbeCode.L6TOUT, ProbeCode.L7TOUT})


class ProbeResponse(StrEnum):
    """Whether anybody answered a probe.

    SILENT is what a prober sees that has lost its own network: nothing, or an error of its own
    host or of a router. Any word of the peer is an answer, a refusal or a reset too. STALLED is
    silence after a connection: somebody is there, but how it is nobody knows.
    """

    PASSED = "passed"
    ANSWERED = "answered"
    STALLED = "stalled"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What one probe saw. `detail` is for people, such as `503 Service Unavailable`.

    `unanswered`: it failed by no word of the peer (no route, no such source address), where
    the code does not say so.
    """

    code: ProbeCode
    detail: str = ""
    unanswered: bool = False

    @property
    def response(self) -> ProbeResponse:
        if self.code in _PASSED:
            return ProbeResponse.PASSED
        if self.unanswered or self.code in _SILENT:
            return ProbeResponse.SILENT
        return ProbeResponse.STALLED if self.code in _STALLED else ProbeResponse.ANSWERED


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthTransition:
    """A change of a backend's state. `at` is aware, UTC; `code` is empty when a person did it."""

    backend: ObjectKey
    from_state: HealthState
    to_state: HealthState
    at: datetime
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProberAlarm:
    """Why the prober is suspected: so many were up, and so many of them are silent."""

    silent: int
    were_up: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendHealth:
    """Everything known of a backend's health: what its status shows, and what counts.

    `held` is true while the backend counts as up though its state does not say so: unknown,
    where the last verdict before the check was restarted was up, until a pass confirms it or
    `fall` failures do not; down, where the prober itself is suspected (`plan.blind_guard`).
    `transitions` is newest first and bounded by the recorder.
    """

    state: HealthState = HealthState.UNKNOWN
    since: datetime | None = None
    code: str = ""
    detail: str = ""
    held: bool = False
    transitions: tuple[HealthTransition, ...] = ()

    @property
    def is_unheard(self) -> bool:
        """Whether nothing is known: no verdict yet, and no person took it out.

        What is unknown since it was enabled or resumed, or was down before, is not to serve.
        """
        return (
            self.state is HealthState.UNKNOWN
            and not self.held
            and (not self.transitions or self.transitions[0].from_state is HealthState.UP)
        )

    @property
    def counts_as_up(self) -> bool:
        """Whether the backend may carry traffic."""
        return self.state is HealthState.UP or (
            self.held and self.state in (HealthState.UNKNOWN, HealthState.DOWN)
        )
