"""All that conditions can say, declared once: conditions are made from it, and its page as well.

A refusal (`REFUSALS`) has the reason of the `Problem` that it tells of; everything else is made by
`ConditionReason.make_condition`.
"""

from dataclasses import dataclass

from vpplb.model.names import ObjectKind
from vpplb.resources.conditions import ConditionStatus, StatusCondition

_FRONTEND, _BACKEND = (ObjectKind.FRONTEND,), (ObjectKind.BACKEND,)
_CHECK, _DATAPLANE = (ObjectKind.HEALTH_CHECK,), (ObjectKind.DATAPLANE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionReason:
    """What a condition of these kinds says: its status, its reason, and when that is so."""

    condition: str
    status: ConditionStatus
    reason: str
    kinds: tuple[ObjectKind, ...]
    when: str

    def make_condition(self, message: str) -> StatusCondition:
        """Return the condition that says so, not dated yet; `message` is for people."""
        return StatusCondition(
            type=self.condition, status=self.status, reason=self.reason, message=message
        )


def _reason(
    condition: str,
    status: ConditionStatus,
    reason: str,
    kinds: tuple[ObjectKind, ...],
    when: str,
) -> ConditionReason:
    return ConditionReason(
        condition=condition, status=status, reason=reason, kinds=kinds, when=when
    )


# --- Accepted, ResolvedRefs: what is wrong with what somebody wrote -------------------------------

ACCEPTED = _reason(
    "Accepted",
    "True",
    "Accepted",
    _FRONTEND + _BACKEND + _CHECK + _DATAPLANE,
    "valid; a message that names a field is a warning",
)
UNREFERENCED = _reason(
    "Accepted", "True", "Unreferenced", _BACKEND, "no Frontend names it, so it is not probed"
)
RESOLVED_REFS = _reason(
    "ResolvedRefs", "True", "ResolvedRefs", _FRONTEND, "every Backend that is named exists"
)
REFUSALS = (
    _reason(
        "Accepted",
        "False",
        "Invalid",
        _FRONTEND + _BACKEND + _CHECK + _DATAPLANE,
        "not understood; the version before stays in force",
    ),
    _reason(
        "Accepted",
        "False",
        "Conflict",
        _FRONTEND,
        "an older one has the VIP, or excludes it; or servers are behind VIPs of VPP's own and"
        " left out",
    ),
    _reason(
        "Accepted",
        "False",
        "MixedFamilies",
        _FRONTEND,
        "some backends cannot be reached by its encapsulation; the others are served",
    ),
    _reason(
        "Accepted",
        "False",
        "HealthCheckNotFound",
        _BACKEND,
        "it names no HealthCheck that exists; it is not probed",
    ),
    _reason(
        "Accepted",
        "False",
        "ProbeDenied",
        _BACKEND,
        "probes may not go to its address (`--probe-allow`, `--probe-deny`); it is not probed, and"
        " what was up stays up",
    ),
    _reason(
        "Accepted",
        "False",
        "SecretNotFound",
        _BACKEND + _CHECK,
        "a Secret that a header's value is in cannot be read, or has no such key; nothing is"
        " probed without it",
    ),
    _reason(
        "ResolvedRefs",
        "False",
        "BackendNotFound",
        _FRONTEND,
        "some Backends that it names do not exist; the others are served",
    ),
)

# --- of a Frontend --------------------------------------------------------------------------------

BACKENDS_UP = _reason("Available", "True", "BackendsUp", _FRONTEND, "a pool serves")
NO_BACKEND_UP = _reason("Available", "False", "NoBackendUp", _FRONTEND, "nothing can serve")
NO_VERDICT = _reason(
    "Available",
    "Unknown",
    "NoVerdict",
    _FRONTEND,
    "no result yet, or the first are awaited; of a VIP that VPP may have in service the message"
    " says that it stays as it is",
)
NOT_SELECTED = _reason(
    "Available",
    "False",
    "NoNodes",
    _FRONTEND,
    "backends are up, and no node with an agent is selected",
)
NOT_CARRIED = _reason(
    "Available",
    "False",
    "NotCarried",
    _FRONTEND,
    "backends are up, and no node has it in its VPP (yet)",
)
NODES_UNSURE = _reason(
    "Available",
    "Unknown",
    "NodesUnsure",
    _FRONTEND,
    "backends are up, and nobody knows whether a node carries it: those that had it are not heard,"
    " or VPP has refused the newest state",
)
UNCARRIED = (NOT_SELECTED, NOT_CARRIED, NODES_UNSURE)
"""Why a frontend is not available though its backends are up."""
PROGRAMMED = _reason(
    "Programmed", "True", "Programmed", _FRONTEND, "all nodes have the newest state"
)
PROGRAMMING = _reason(
    "Programmed",
    "False",
    "Pending",
    _FRONTEND,
    "some nodes have not, which the message names; or it is not accepted",
)
NODE_FAILED = _reason(
    "Programmed",
    "False",
    "NodeFailed",
    _FRONTEND,
    "VPP refused something; the message says where and what",
)
NO_NODES = _reason("Programmed", "False", "NoNodes", _FRONTEND, "no node with an agent is selected")
NOT_DEGRADED = _reason(
    "Degraded",
    "False",
    "NotDegraded",
    _FRONTEND,
    "nothing keeps it from serving as configured",
)
WEIGHTS_FLATTENED = _reason(
    "Degraded",
    "True",
    "WeightsFlattened",
    _FRONTEND,
    "the table is too short for the weights; which server gets what, instead of what, and which"
    " `flowTableLength` would serve them (setting it makes the VIP anew)",
)
PROBER_SUSPECT = _reason(
    "Degraded",
    "True",
    "ProberSuspect",
    _FRONTEND,
    "too much fell silent at once; weights stay as they were",
)
NODES_BEHIND = _reason(
    "Degraded",
    "True",
    "NodesBehind",
    _FRONTEND,
    "nodes that shall carry it lack the newest state for 5 s, or their VPP refuses it; which",
)
FAILED_OVER = _reason(
    "Degraded",
    "True",
    "FailedOver",
    _FRONTEND,
    "a later pool serves in place of the first that has weights",
)
BACKENDS_DOWN = _reason(
    "Degraded",
    "True",
    "BackendsDown",
    _FRONTEND,
    "backends of any of its pools are not up, though nobody has paused or disabled them; which",
)
DIRECT_ROAD_LOST = _reason(
    "Degraded",
    "True",
    "DirectRoadLost",
    _FRONTEND,
    "agents hear no leader directly, so that failovers reach them by the API server alone; which",
)
DEGRADATIONS = (
    PROBER_SUSPECT,
    NODES_BEHIND,
    FAILED_OVER,
    BACKENDS_DOWN,
    WEIGHTS_FLATTENED,
    DIRECT_ROAD_LOST,
)
"""What `Degraded` is True for, the worst first: that is its reason, and the message tells all."""

# --- the sums -------------------------------------------------------------------------------------

READY = _reason(
    "Ready", "True", "Ready", _FRONTEND, "what was written is served by all nodes, as configured"
)
READY_DEGRADED = _reason(
    "Ready",
    "True",
    "Degraded",
    _FRONTEND,
    "it is served by all nodes; `Degraded` says what is wrong",
)
NOT_ACCEPTED = _reason("Ready", "False", "NotAccepted", _FRONTEND, "`Accepted` is not true")
NOT_RESOLVED = _reason("Ready", "False", "NotResolved", _FRONTEND, "`ResolvedRefs` is not true")
NOT_AVAILABLE = _reason("Ready", "False", "NotAvailable", _FRONTEND, "`Available` is not true")
NOT_PROGRAMMED = _reason("Ready", "False", "NotProgrammed", _FRONTEND, "`Programmed` is not true")
READY_UNKNOWN = _reason("Ready", "Unknown", "Unknown", _FRONTEND, "`Available` is unknown")
BACKEND_READY = _reason(
    "Ready",
    "True",
    "Ready",
    _BACKEND,
    "up; or paused, disabled or not used, as somebody wants it",
)
BACKEND_NOT_ACCEPTED = _reason("Ready", "False", "NotAccepted", _BACKEND, "`Accepted` is not true")
NOT_HEALTHY = _reason("Ready", "False", "NotHealthy", _BACKEND, "down")
HEALTH_UNKNOWN = _reason("Ready", "Unknown", "Unknown", _BACKEND, "no verdict yet")

# --- of a Backend ---------------------------------------------------------------------------------

HEALTHY_UP = _reason(
    "Healthy", "True", "Up", _BACKEND, "the message says what the deciding probe saw"
)
HEALTHY_DOWN = _reason("Healthy", "False", "Down", _BACKEND, "likewise")
HEALTHY_UNKNOWN = _reason("Healthy", "Unknown", "Unknown", _BACKEND, "no verdict yet")
HEALTHY_PAUSED = _reason("Healthy", "Unknown", "Paused", _BACKEND, "`spec.paused` is true")
HEALTHY_DISABLED = _reason("Healthy", "Unknown", "Disabled", _BACKEND, "`spec.enabled` is false")

# --- of a Dataplane -------------------------------------------------------------------------------

CONNECTED = _reason("Connected", "True", "Connected", _DATAPLANE, "the agent speaks to its VPP")
VPP_UNREACHABLE = _reason(
    "Connected", "False", "VppUnreachable", _DATAPLANE, "it does not; the message says why"
)
AGENT_GONE = _reason(
    "Connected",
    "Unknown",
    "AgentGone",
    _DATAPLANE,
    "the agent's lease has run out, 30 s after it was last renewed",
)
SYNCED = _reason("Synced", "True", "Synced", _DATAPLANE, "VPP is as it should be")
SYNCING = _reason("Synced", "False", "Pending", _DATAPLANE, "not yet")
SYNC_FAILED = _reason("Synced", "False", "Failed", _DATAPLANE, "VPP refused something")
SYNC_UNKNOWN = _reason(
    "Synced", "Unknown", "VppUnreachable", _DATAPLANE, "the agent does not speak to its VPP"
)
HEARD_DIRECTLY = _reason(
    "OperatorHeard", "True", "Direct", _DATAPLANE, "the leader is connected by the direct road"
)
HEARD_BY_LEASE = _reason(
    "OperatorHeard",
    "True",
    "LeaseRenewed",
    _DATAPLANE,
    "an operator leads, and the direct road is turned off, by the operator or the agent",
)
HEARD_BY_STATUS = _reason(
    "OperatorHeard",
    "False",
    "DirectRoadLost",
    _DATAPLANE,
    "an operator leads, and is not heard directly for 15 s: failovers wait for the API server",
)
NOBODY_LEADS = _reason(
    "OperatorHeard",
    "False",
    "NobodyLeads",
    _DATAPLANE,
    "no operator is heard, and none renews its lease; since when nobody has probed, in the message",
)
LEADER_UNKNOWN = _reason(
    "OperatorHeard",
    "Unknown",
    "Unknown",
    _DATAPLANE,
    "no operator is heard, and the lease cannot be read, or has not been watched for long enough",
)

# --- of all, once nobody keeps them ---------------------------------------------------------------

_STALE = "Stale"
_LEFT = "nobody has probed since the time in the message, when the last operator was removed"
STALE_AVAILABLE = _reason("Available", "Unknown", _STALE, _FRONTEND, _LEFT)
STALE_PROGRAMMED = _reason("Programmed", "Unknown", _STALE, _FRONTEND, _LEFT)
STALE_DEGRADED = _reason("Degraded", "Unknown", _STALE, _FRONTEND, _LEFT)
STALE_HEALTHY = _reason("Healthy", "Unknown", _STALE, _BACKEND, _LEFT)
STALE_READY = _reason("Ready", "Unknown", _STALE, _FRONTEND + _BACKEND, _LEFT)

CONDITION_REASONS = (
    ACCEPTED,
    UNREFERENCED,
    *REFUSALS,
    RESOLVED_REFS,
    BACKENDS_UP,
    NO_BACKEND_UP,
    NOT_SELECTED,
    NOT_CARRIED,
    NO_VERDICT,
    NODES_UNSURE,
    STALE_AVAILABLE,
    PROGRAMMED,
    PROGRAMMING,
    NODE_FAILED,
    NO_NODES,
    STALE_PROGRAMMED,
    NOT_DEGRADED,
    *DEGRADATIONS,
    STALE_DEGRADED,
    READY,
    READY_DEGRADED,
    NOT_ACCEPTED,
    NOT_RESOLVED,
    NOT_AVAILABLE,
    NOT_PROGRAMMED,
    READY_UNKNOWN,
    BACKEND_READY,
    BACKEND_NOT_ACCEPTED,
    NOT_HEALTHY,
    HEALTH_UNKNOWN,
    STALE_READY,
    HEALTHY_UP,
    HEALTHY_DOWN,
    HEALTHY_UNKNOWN,
    HEALTHY_PAUSED,
    HEALTHY_DISABLED,
    STALE_HEALTHY,
    CONNECTED,
    VPP_UNREACHABLE,
    AGENT_GONE,
    SYNCED,
    SYNCING,
    SYNC_FAILED,
    SYNC_UNKNOWN,
    HEARD_DIRECTLY,
    HEARD_BY_LEASE,
    HEARD_BY_STATUS,
    NOBODY_LEADS,
    LEADER_UNKNOWN,
)
"""In the order in which they are explained, a condition's together."""
