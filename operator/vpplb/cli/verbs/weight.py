"""`kubectl vpplb weight`: the weight of a backend in a pool of a frontend."""

from datetime import timedelta

import click

from vpplb.acting.spec_edits import MemberPlace, find_places, read_pools
from vpplb.cli.terminal import print_line
from vpplb.cli.verbs.completion import complete_frontends, complete_members, complete_pools
from vpplb.cli.verbs.door import VerbCommand
from vpplb.cli.verbs.flags import usual_flags
from vpplb.cli.verbs.frontends import share_by_server
from vpplb.cli.verbs.output import format_percent
from vpplb.cli.verbs.rollout_wait import find_frontend_lack, timeout_flag, wait_flag, wait_until
from vpplb.cli.verbs.session import UsualFlags, VerbFailure, VerbSession, describe_others
from vpplb.cli.verbs.shown_status import read_shown_frontend
from vpplb.kube.api_types import ApiError, JsonObject, key_of
from vpplb.model.names import ObjectKind
from vpplb.resources.raw_fields import spec_of

ATTEMPTS = 5
"""How often the frontend is read anew when somebody else edits its pools at the same time."""


@click.command(
    name="weight",
    cls=VerbCommand,
    short_help="Set the weight of a backend in a pool of a frontend.",
)
@click.argument("frontend", shell_complete=complete_frontends)
@click.argument("pool", shell_complete=complete_pools)
@click.argument("backend", shell_complete=complete_members)
@click.argument("weight", metavar="N", type=click.IntRange(0, 100))
@wait_flag
@timeout_flag
@usual_flags()
def weight_command(
    flags: UsualFlags,
    frontend: str,
    pool: str,
    backend: str,
    weight: int,
    wait: bool,
    timeout: timedelta,
) -> None:
    """Set the weight of BACKEND in POOL of FRONTEND to N, from 0 (drained) to 100.

    Weights are shares relative to the other backends of the pool. The edit names what it is
    about, so that it never hits another entry of pools that somebody edits at the same time.

    \b
    Examples:   kubectl vpplb weight web main nginx2 5
                kubectl vpplb weight web main nginx2 0 --wait
    """

    async def set_and_wait(session: VerbSession) -> None:
        newest = await _set_weight(session, frontend, pool, backend, weight)
        if wait:
            generation = int(newest["metadata"]["generation"])
            inside = session._replace(namespace=key_of(newest).namespace)
            took = await wait_until(
                inside, lambda: find_frontend_lack(inside, frontend, generation), timeout
            )
            raw = await inside.get_object(ObjectKind.FRONTEND, frontend)
            print_line(
                f"frontend {frontend} programmed after {took}{_describe_share(raw, backend)}"
            )

    flags.run_work(set_and_wait)


async def _set_weight(
    session: VerbSession, frontend: str, pool: str, backend: str, weight: int
) -> JsonObject:
    label = f"frontend {frontend}, pool {pool}: {backend}"
    for _ in range(ATTEMPTS):
        raw = await session.get_object(ObjectKind.FRONTEND, frontend)
        place = _find_place(raw, pool, backend)
        if place.weight == weight:
            print_line(f"{label} already has weight {weight}")
            return raw
        try:
            newest = await session.client.apply_json_patch(
                ObjectKind.FRONTEND, key_of(raw), place.write_weight(backend, weight)
            )
        except ApiError as error:
            if error.status != 422 or _written_pools(raw) == _written_pools(
                await session.get_object(ObjectKind.FRONTEND, frontend)
            ):
                raise
            continue  # a test failed: the pools have changed since they were read
        print_line(f"{label} weight {place.weight} → {weight}")
        return newest
    raise VerbFailure(f"frontend {frontend} is being edited by somebody else; nothing was changed")


def _written_pools(raw: JsonObject) -> object:
    return spec_of(raw).get("pools")


def _find_place(raw: JsonObject, pool: str, backend: str) -> MemberPlace:
    """Return where the backend stands (VerbFailure, with what there is instead)."""
    if places := find_places(raw, backend, pool):
        return places[0]
    name, pools = raw["metadata"]["name"], read_pools(raw)
    names = [one["name"] for one in pools]
    if pool not in names:
        raise VerbFailure(f"frontend {name} has no pool {pool}; {describe_others(pool, names)}")
    inside = [one["name"] for one in pools[names.index(pool)]["backends"]]
    raise VerbFailure(
        f"pool {pool} of frontend {name} has no {backend}; {describe_others(backend, inside)}"
    )


def _describe_share(raw: JsonObject, backend: str) -> str:
    """Say what part of new flows the backend gets now, where that is decided."""
    status = read_shown_frontend(raw)
    address = next((one.address for one in status.members if one.name == backend), "")
    parts = share_by_server(status.vip) if status.vip else {}
    if address not in parts:
        return ""
    return f": {backend} gets {format_percent(parts[address][0])} of new flows"
