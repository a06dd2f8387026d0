"""Carries out what people ask for on the dashboard, or says what it would do.

What a person may do is asked of whoever knows (`PeopleAccess`) before anything is tried, and judged
once more by whoever makes the edit, with the person's own credential.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vpplb.acting.action_forecast import SWITCHES, forecast_action
from vpplb.acting.action_objects import ActionObjects
from vpplb.acting.action_request import ActionRequest, PersonalAction
from vpplb.acting.drain_watch import DRAIN_TIMEOUT, LOOK_EVERY, find_pause_lack
from vpplb.acting.ports import (
    AccessUnknown,
    ActionRecord,
    EditRefused,
    PeopleAccess,
    Person,
)
from vpplb.acting.spec_edits import DISABLE_PAUSED, PAUSE, SpecEdit, find_places
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.printable import make_printable
from vpplb.resources.allowances import NOTHING, AddressAllowances

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Edits under way of one request."""
MOST_FORECASTS = 2
"""Forecasts made at a time: each takes a processor."""
MOST_DRAINS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What is to be done to a backend: `edits`, one after another, and what is said then.

    `why_not` says why nothing is; `already`: since it is so.
    """

    edits: Sequence[SpecEdit] = ()
    said: str = ""
    why_not: str = ""
    already: bool = False


@dataclass(slots=True, kw_only=True)
class ActionRunner:
    """Acts for people. `tell` is told what was done, and what was tried and refused."""

    access: PeopleAccess
    objects: ActionObjects
    clock: Clock
    tell: Callable[[ActionRecord], None]
    allowed: AddressAllowances = NOTHING
    _draining: dict[ObjectKey, asyncio.Task[None]] = field(default_factory=dict)
    _forecasts: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_FORECASTS))

    async def run(self, person: Person, request: ActionRequest) -> Mapping[str, object]:
        """Do what is asked for, or forecast it; return what came of it (AccessUnknown)."""
        steps = {key: self._plan_step(request, key) for key in request.backends}
        there = [key for key, step in steps.items() if step.edits or step.already]
        may = await self._ask_rights(person, request, there)
        answer: dict[str, object] = {"dryRun": request.dry_run, "name": person.name}
        if request.dry_run:
            possible = [key for key, step in steps.items() if step.edits and may[key]]
            answer["backends"] = [_show_step(key, steps[key], may[key]) for key in steps]
            return {**answer, **await self._forecast(request, possible)}
        limit = asyncio.Semaphore(AT_ONCE)

        async def act(key: ObjectKey) -> Mapping[str, object]:
            async with limit:
                return await self._act(person, request, key, steps[key], allowed=may[key])

        # Edits of one Frontend, one after another: the second needs the outcome of the first.
        if request.frontend is not None:
            answer["backends"] = [await act(key) for key in steps]
        else:
            answer["backends"] = await asyncio.gather(*map(act, steps))
        return answer

    def close(self) -> None:
        """Begin nothing any more: whose drain is under way stays paused."""
        for task in self._draining.values():
            task.cancel()

    # --- what is to be done ------------------------------------------------------------------

    def _plan_step(self, request: ActionRequest, key: ObjectKey) -> _Step:
        raw = self.objects.show_object(ObjectKind.BACKEND, key)
        if raw is None:
            return _Step(why_not=f"there is no Backend {key}")
        if request.frontend is not None:
            return self._plan_weight(request, request.frontend, key)
        switch = SWITCHES[request.action]
        but = f", but {other}" if (other := switch.find_other(raw)) else ""
        edit = SpecEdit(ObjectKind.BACKEND, key, switch.patch)
        if request.action is PersonalAction.DRAIN:
            grace = request.grace.total_seconds()
            if key in self._draining:
                return _Step(why_not="it is being drained", already=True)
            if (raw.get("spec") or {}).get("enabled") is False:
                return _Step(why_not="already disabled", already=True)
            if len(self._draining) + len(request.backends) > MOST_DRAINS:
                return _Step(why_not=f"{MOST_DRAINS} backends are being drained")
            return _Step(edits=(edit,), said=f"paused, and disabled {grace:g} s later")
        if switch.is_turned(raw):
            return _Step(why_not=f"already {switch.done}{but}", already=True)
        return _Step(edits=(edit,), said=f"{switch.done}{but}")

    def _plan_weight(self, request: ActionRequest, frontend: ObjectKey, key: ObjectKey) -> _Step:
        raw = self.objects.show_object(ObjectKind.FRONTEND, frontend)
        if raw is None:
            return _Step(why_not=f"there is no Frontend {frontend}")
        places = find_places(raw, key.name, request.pool)
        if key.namespace != frontend.namespace or not places:
            pool = f"pool {request.pool} of " if request.pool else ""
            return _Step(why_not=f"{pool}frontend {frontend} has no backend {key}")
        changed = [one for one in places if one.weight != request.weight]
        if not changed:
            return _Step(why_not=f"already weight {request.weight}", already=True)
        pools = ", ".join(f"{one.weight} → {request.weight} in pool {one.pool}" for one in changed)
        return _Step(
            edits=[
                SpecEdit(ObjectKind.FRONTEND, frontend, one.write_weight(key.name, request.weight))
                for one in changed
            ],
            said=f"weight {pools} of frontend {frontend}",
        )

    async def _ask_rights(
        self, person: Person, request: ActionRequest, there: Sequence[ObjectKey]
    ) -> Mapping[ObjectKey, bool]:
        """Ask once for each namespace whether the person may do it there.

        Of what is not there nothing is asked: names that somebody thinks up cost no questions.
        """
        kind = ObjectKind.BACKEND if request.frontend is None else ObjectKind.FRONTEND
        edited = {key: request.frontend or key for key in there}
        places = sorted({one.namespace for one in edited.values()})
        asked = [self.access.may_edit(person, kind, namespace) for namespace in places]
        found = dict(zip(places, await asyncio.gather(*asked), strict=True))
        may = {key: found[one.namespace] for key, one in edited.items()}
        return {key: may.get(key, True) for key in request.backends}

    # --- before it is done -------------------------------------------------------------------

    async def _forecast(
        self, request: ActionRequest, backends: Sequence[ObjectKey]
    ) -> Mapping[str, object]:
        async with self._forecasts:
            there = await self.objects.gather_objects(backends, request.frontend)
            return await asyncio.to_thread(forecast_action, there, request, backends, self.allowed)

    # --- doing it ----------------------------------------------------------------------------

    async def _act(
        self,
        person: Person,
        request: ActionRequest,
        key: ObjectKey,
        step: _Step,
        *,
        allowed: bool,
    ) -> Mapping[str, object]:
        if not step.edits or not allowed:
            if not allowed:
                self._tell(person, request, key, done=False, said="refused: no right to do it")
            return _show_step(key, step, allowed)
        try:
            for edit in step.edits:
                await self.objects.edit_spec(person, edit)
        except (EditRefused, AccessUnknown) as error:
            said = make_printable(str(error))
            self._tell(person, request, key, done=False, said=said)
            return {"backend": str(key), "allowed": True, "outcome": "failed", "said": said}
        self._tell(person, request, key, done=True, said=step.said)
        outcome = "done"
        if request.action is PersonalAction.DRAIN:
            outcome = "draining"
            if key not in self._draining:  # else somebody else has clicked meanwhile
                task = asyncio.create_task(self._finish_drain(person, request, key))
                self._draining[key] = task
        return {"backend": str(key), "allowed": True, "outcome": outcome, "said": step.said}

    def _tell(
        self, person: Person, request: ActionRequest, key: ObjectKey, *, done: bool, said: str
    ) -> None:
        self.tell(
            ActionRecord(
                action=request.action.value,
                backend=key,
                frontend=request.frontend,
                by=person.name,
                at=self.clock.now(),
                done=done,
                said=said,
            )
        )

    # --- draining ----------------------------------------------------------------------------

    async def _finish_drain(self, person: Person, request: ActionRequest, key: ObjectKey) -> None:
        """Disable a backend that is paused, once all nodes have that and its flows had time."""
        try:
            lack = await self._wait_paused(key)
            if lack:
                said = f"not disabled: {lack}"
                self._tell(person, request, key, done=False, said=said)
                return
            await asyncio.sleep(request.grace.total_seconds())
            await self.objects.edit_spec(person, SpecEdit(ObjectKind.BACKEND, key, DISABLE_PAUSED))
            self._tell(person, request, key, done=True, said="disabled: `enable` brings it back")
        except (EditRefused, AccessUnknown) as error:
            said = f"not disabled at the end: {make_printable(str(error))}"
            self._tell(person, request, key, done=False, said=said)
        except asyncio.CancelledError:
            log.warning("Backend %s stays paused: this program ends while it is drained", key)
            raise
        finally:
            self._draining.pop(key, None)

    async def _wait_paused(self, key: ObjectKey) -> str:
        """Wait until all nodes give a backend no new flows; say what lacks when they never do."""
        until = asyncio.get_running_loop().time() + DRAIN_TIMEOUT
        using, seen = await self.objects.find_frontends([key]), False
        while True:
            frontends = [self.objects.show_object(ObjectKind.FRONTEND, name) for name in using]
            lack = find_pause_lack(key, [one for one in frontends if one is not None])
            if self._is_paused(key):
                seen = True
            elif seen:
                return "somebody has resumed it"
            else:
                lack = "the pause has not been told to this program"
            if not lack or asyncio.get_running_loop().time() >= until:
                return lack
            await asyncio.sleep(LOOK_EVERY)

    def _is_paused(self, key: ObjectKey) -> bool:
        stored = self.objects.stored.get(ObjectKind.BACKEND, key)
        return stored is not None and PAUSE.is_turned(stored.raw)


def _show_step(key: ObjectKey, step: _Step, allowed: bool) -> Mapping[str, object]:
    """Say of a backend that nothing is done to what would be, or why not."""
    shown: dict[str, object] = {"backend": str(key), "allowed": allowed}
    if not allowed:
        return shown | {"outcome": "forbidden", "said": "you may not do this"}
    if step.edits:
        return shown | {"outcome": "possible", "said": step.said}
    return shown | {"outcome": "already" if step.already else "failed", "said": step.why_not}
