"""All Kubernetes events that are sent, declared once: they are made from it, and their page too."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from vpplb.model.names import ObjectKind

EventType = Literal["Normal", "Warning"]


class EventNote(NamedTuple):
    """An event without its object."""

    type: EventType
    reason: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventReason:
    """A kind of event: on which kind of object, and when it is sent."""

    kind: ObjectKind
    type: EventType
    reason: str
    when: str

    def note(self, text: str) -> EventNote:
        """Return such an event; `text` is for people."""
        return EventNote(self.type, self.reason, text)


def _backend(event_type: EventType, reason: str, when: str) -> EventReason:
    return EventReason(kind=ObjectKind.BACKEND, type=event_type, reason=reason, when=when)


def _frontend(event_type: EventType, reason: str, when: str) -> EventReason:
    return EventReason(kind=ObjectKind.FRONTEND, type=event_type, reason=reason, when=when)


def _dataplane(event_type: EventType, reason: str, when: str) -> EventReason:
    return EventReason(kind=ObjectKind.DATAPLANE, type=event_type, reason=reason, when=when)


BACKEND_UP = _backend("Normal", "BackendUp", "a verdict: it is up")
BACKEND_DOWN = _backend("Warning", "BackendDown", "a verdict: it is down")
BACKEND_PAUSED = _backend("Normal", "BackendPaused", "a person paused it")
BACKEND_RESUMED = _backend("Normal", "BackendResumed", "a person resumed it")
BACKEND_DISABLED = _backend("Normal", "BackendDisabled", "a person disabled it")
BACKEND_ENABLED = _backend("Normal", "BackendEnabled", "a person enabled it")
CHANGED_FROM_DASHBOARD = _backend(
    "Normal", "ChangedFromDashboard", "a person did something to it from the dashboard; who, what"
)
FRONTEND_UP = _frontend("Normal", "FrontendUp", "it serves again")
FRONTEND_DOWN = _frontend("Warning", "FrontendDown", "it cannot serve")
POOL_FAILOVER = _frontend("Normal", "PoolFailover", "another pool serves; from which, to which")
NOT_ACCEPTED = _frontend("Warning", "NotAccepted", "newly refused, and why")
PROBER_SUSPECT = _frontend(
    "Warning",
    "ProberSuspect",
    "once for each suspicion, on one of the Frontends it is about",
)
PROBER_TRUSTED = _frontend(
    "Normal", "ProberTrusted", "a suspicion is over; likewise on one of the Frontends"
)
NODES_BEHIND = _frontend("Warning", "NodesBehind", "so of `Degraded`; which nodes, and why")
NODES_CAUGHT_UP = _frontend("Normal", "NodesCaughtUp", "no node is behind any more")
FAILED_OVER = _frontend("Warning", "FailedOver", "so of `Degraded`; which pool serves, for which")
FAILED_BACK = _frontend("Normal", "FailedBack", "the first pool that has weights serves again")
BACKENDS_DOWN = _frontend("Warning", "BackendsDown", "so of `Degraded`; which of how many")
BACKENDS_RECOVERED = _frontend("Normal", "BackendsRecovered", "no backend of it is missed any more")
WEIGHTS_FLATTENED = _frontend("Warning", "WeightsFlattened", "so of `Degraded`; what serves them")
WEIGHTS_EXACT = _frontend("Normal", "WeightsExact", "the table serves the weights as they are")
DIRECT_ROAD_LOST = _frontend("Warning", "DirectRoadLost", "so of `Degraded`; on which nodes")
DIRECT_ROAD_FOUND = _frontend(
    "Normal", "DirectRoadFound", "all its nodes hear the leader directly again"
)
NOT_SERVED = _frontend(
    "Warning", "NotServed", "no operator serves its namespace any more, though one did"
)
SERVED_AGAIN = _frontend("Normal", "ServedAgain", "its status said `Stale`, and is kept again")
VIP_RECREATED = _frontend(
    "Warning", "VipRecreated", "a node's VIP was made anew, which lost its flows"
)
AGENT_LOST = _dataplane("Warning", "AgentLost", "the lease of its agent has run out")
AGENT_FOUND = _dataplane("Normal", "AgentFound", "its agent is there again")
NOBODY_LEADS = _dataplane(
    "Warning", "NobodyLeads", "its agent hears no operator, and none renews its lease"
)
OPERATOR_HEARD = _dataplane("Normal", "OperatorHeard", "an operator is at work again")
BROKEN_REFERENCES = (
    _backend("Warning", "HealthCheckNotFound", "it has named no HealthCheck that exists for 3 s"),
    _backend("Warning", "ProbeDenied", "probes may not go to its address, for 3 s"),
    _backend("Warning", "SecretNotFound", "its check has had no value for a header for 3 s"),
    _backend("Warning", "Invalid", "its HealthCheck has not been understood for 3 s"),
    _frontend("Warning", "BackendNotFound", "it has named Backends that do not exist for 3 s"),
)
"""Sent with the reason of the condition that tells the same."""

EVENT_REASONS = (
    BACKEND_UP,
    BACKEND_DOWN,
    BACKEND_PAUSED,
    BACKEND_RESUMED,
    BACKEND_DISABLED,
    BACKEND_ENABLED,
    CHANGED_FROM_DASHBOARD,
    *BROKEN_REFERENCES,
    FRONTEND_UP,
    FRONTEND_DOWN,
    POOL_FAILOVER,
    NOT_ACCEPTED,
    PROBER_SUSPECT,
    PROBER_TRUSTED,
    NODES_BEHIND,
    NODES_CAUGHT_UP,
    FAILED_OVER,
    FAILED_BACK,
    BACKENDS_DOWN,
    BACKENDS_RECOVERED,
    WEIGHTS_FLATTENED,
    WEIGHTS_EXACT,
    DIRECT_ROAD_LOST,
    DIRECT_ROAD_FOUND,
    NOT_SERVED,
    SERVED_AGAIN,
    VIP_RECREATED,
    AGENT_LOST,
    AGENT_FOUND,
    NOBODY_LEADS,
    OPERATOR_HEARD,
)
"""In the order in which they are explained."""
