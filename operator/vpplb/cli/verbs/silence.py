"""What people are told where nobody probes: how old all is that statuses say.

A status does not change when nobody is left who writes it. The Lease of the election tells that, by
the API server's clock.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from vpplb.cli.verbs.backends import BackendLine
from vpplb.cli.verbs.frontends import FrontendLine
from vpplb.cli.verbs.object_problems import ObjectProblem
from vpplb.cli.verbs.session import VerbSession, read_if_allowed
from vpplb.kube.api_types import JsonObject, NotFound
from vpplb.kube.leases.probing_silence import ProbingSilence, find_silence
from vpplb.model.clock import SystemClock
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKind

ELECTION = "vpplb-operator"
"""Name of the Lease by which operators agree, unless they are told another."""
_WRITTEN = ("vpplb.dev/scope-", "vpplb.dev/operator-")
"""What annotations begin with that operators write to the Lease of their election."""
_NO_NODES = "metadata.namespace!=kube-node-lease"
LOOK_EVERY = 10.0
"""Seconds between two looks of somebody who watches."""

SilenceFinder = Callable[[str], ProbingSilence | None]
"""Says of a namespace that nobody probes there; None: somebody does, or nobody knows."""


async def read_silence(session: VerbSession) -> SilenceFinder:
    """Read who leads; a router has no election, and of what may not be read nothing is known."""
    leases = await read_if_allowed(_list_leases(session), [], "who leads is")
    now = session.client.clock or SystemClock().now()
    return lambda namespace: find_silence(leases, namespace, now)


async def _list_leases(session: VerbSession) -> list[JsonObject]:
    """List the leases of all elections: one of another name has what operators write there."""
    try:
        listing = await session.client.list_objects(ObjectKind.LEASE, fields=_NO_NODES)
    except NotFound:
        return []
    return [one for one in listing.items if _is_election(one["metadata"])]


def _is_election(metadata: JsonObject) -> bool:
    names = metadata.get("annotations") or {}
    return metadata["name"] == ELECTION or any(name.startswith(_WRITTEN) for name in names)


def age_frontend(line: FrontendLine, silence: ProbingSilence | None) -> FrontendLine:
    """Return a frontend's line as it is to be shown: nobody knows its state while nobody probes."""
    if silence is None:
        return line
    stale = _describe_stale(silence, line.state)
    return replace(line, state=HealthState.UNKNOWN.value, problems=(stale, *line.problems))


def age_backend(line: BackendLine, silence: ProbingSilence | None) -> BackendLine:
    """Return a backend's line likewise; who is paused or disabled is so all the same."""
    if silence is None or line.state in (HealthState.PAUSED.value, HealthState.DISABLED.value):
        return line
    stale = _describe_stale(silence, line.state)
    return replace(
        line,
        state=HealthState.UNKNOWN.value,
        detail=str(stale),
        problems=(stale, *line.problems),
    )


def _describe_stale(silence: ProbingSilence, state: str) -> ObjectProblem:
    return ObjectProblem(
        condition="", reason="Stale", message=f"{state} {silence}", since=silence.as_of
    )


async def follow_silence(
    session: VerbSession, tell: Callable[[ProbingSilence | None], None]
) -> None:
    """Tell whenever nobody probes any more, and when somebody does again, until cancelled."""
    before: ProbingSilence | None = None
    while True:
        silence = (await read_silence(session))(session.namespace)
        if (silence is None) is not (before is None):
            tell(silence)
        before = silence
        await asyncio.sleep(LOOK_EVERY)
