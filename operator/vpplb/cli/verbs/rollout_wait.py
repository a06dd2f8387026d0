"""Waits until a change of a spec has reached every node, and says how long that took."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import click

from vpplb.cli.options import DURATION
from vpplb.cli.terminal import print_line
from vpplb.cli.verbs.frontends import frontends_by_backend
from vpplb.cli.verbs.session import VerbFailure, VerbSession
from vpplb.cli.verbs.shown_status import find_shown, read_conditions, read_shown_frontend
from vpplb.cli.verbs.silence import read_silence
from vpplb.kube.api_types import JsonObject, key_of
from vpplb.kube.leases.probing_silence import ProbingSilence
from vpplb.model.health import HealthState
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.raw_fields import spec_of

LOOK_EVERY = 0.1
"""Seconds between two looks at the statuses."""

wait_flag = click.option(
    "--wait", is_flag=True, help="Return when all nodes have it, and say how long that took."
)
timeout_flag = click.option(
    "--timeout",
    default="30s",
    show_default=True,
    type=DURATION,
    help="How long all nodes may take, where they are waited for.",
)


async def wait_until(
    session: VerbSession, missing: Callable[[], Awaitable[str]], timeout: timedelta
) -> str:
    """Look until nothing is missing; return how long that took, in words (VerbFailure).

    Where nobody probes, that is said at once, and waited on: an operator may come.
    """
    start = time.monotonic()
    silence: ProbingSilence | None = None
    if await missing():
        silence = (await read_silence(session))(session.namespace)
    if silence is not None:
        print_line(f"note: {silence}", err=True)
    while lacks := await missing():
        if time.monotonic() - start > timeout.total_seconds():
            because = f" ({silence})" if silence is not None else ""
            raise VerbFailure(f"not within {timeout.total_seconds():g} s: {lacks}{because}")
        await asyncio.sleep(LOOK_EVERY)
    return f"{time.monotonic() - start:.1f} s"


async def find_backend_lack(session: VerbSession, name: str, generation: int) -> str:
    """Say what is missing until a backend's newest spec is in force on all nodes; empty: nothing.

    Its own status has to show it, and each frontend that uses it has to have decided with that
    state and to be programmed so. One status of a frontend tells both, so they belong together.
    """
    raw = await session.get_object(ObjectKind.BACKEND, name)
    status = raw.get("status") or {}
    state = str(status.get("state") or HealthState.UNKNOWN.value)
    if int(status.get("observedGeneration") or 0) < generation:
        return f"the operator has not seen backend {name} at generation {generation}"
    using = frontends_by_backend(await session.list_objects(ObjectKind.FRONTEND)).get(
        key_of(raw), []
    )
    if using and state not in _final_states(spec_of(raw)):
        return f"backend {name} is {state}"
    for frontend in using:
        if lacks := _find_decision_lack(frontend, key_of(raw), state):
            return lacks
    return ""


def _final_states(spec: JsonObject) -> frozenset[str]:
    """Return the states in which a backend with this spec may end."""
    if not spec.get("enabled", True):
        return frozenset({HealthState.DISABLED.value})
    if spec.get("paused", False):
        return frozenset({HealthState.PAUSED.value})
    return frozenset({HealthState.UP.value, HealthState.DOWN.value})


def _find_decision_lack(raw: JsonObject, backend: ObjectKey, state: str) -> str:
    name = raw["metadata"]["name"]
    members = read_shown_frontend(raw).members
    shown = [one for one in members if one.name == backend.name]
    if any(one.state.value != state for one in shown):
        return f"frontend {name} has not decided on {backend.name} {state} yet"
    return _find_programming_lack(raw)


async def find_frontend_lack(session: VerbSession, name: str, generation: int) -> str:
    """Say what is missing until a frontend's newest spec is programmed; empty: nothing."""
    raw = await session.get_object(ObjectKind.FRONTEND, name)
    seen = int((raw.get("status") or {}).get("observedGeneration") or 0)
    if seen < generation:
        return f"the operator has not seen frontend {name} at generation {generation}"
    return _find_programming_lack(raw)


def _find_programming_lack(raw: JsonObject) -> str:
    """Say why a frontend is not programmed; one that no node carries has nothing to wait for."""
    programmed = find_shown(read_conditions(raw), "Programmed")
    name = raw["metadata"]["name"]
    if programmed is None:
        return f"frontend {name} has no status yet"
    if programmed.status == "True" or programmed.reason == "NoNodes":
        return ""
    accepted = find_shown(read_conditions(raw), "Accepted")
    if accepted is not None and accepted.status == "False":
        return f"frontend {name} is not accepted: {accepted.message}"
    return f"frontend {name}: {programmed.message or programmed.reason}"
