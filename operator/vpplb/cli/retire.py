"""`vpplb retire`: let statuses say that nobody keeps them, once the last operator has gone."""

import asyncio
from datetime import timedelta
from functools import partial

import click

from vpplb.cli import options
from vpplb.cli.terminal import CommandError, print_line
from vpplb.kube.api_types import JsonObject, KubeError, NotFound
from vpplb.kube.client import KubeClient
from vpplb.kube.leases.probing_silence import ProbingSilence, find_silence
from vpplb.model.clock import SystemClock
from vpplb.model.names import ObjectKey, ObjectKind

LOOK_EVERY = 1.0
"""Seconds between two looks at the lease."""


@click.command(
    name="retire", short_help="Let statuses say that nobody keeps them (after uninstalling)."
)
@click.option(
    "--timeout",
    default="60s",
    show_default=True,
    type=options.DURATION,
    help="How long the last operator may take to go.",
)
@options.election_namespace
@options.lease_name
@options.namespaces
def retire_command(
    timeout: timedelta, election_namespace: str, lease_name: str, namespace: tuple[str, ...]
) -> None:
    """Mark Frontends and Backends that no operator serves any more, with the time of their last.

    It waits until the operators have gone, and marks nothing where one goes on. Decisions stay as
    they are, and so does VPP. The chart runs it when it is uninstalled.
    """
    lease = ObjectKey(election_namespace, lease_name)
    try:
        print_line(asyncio.run(_retire(lease, namespace, timeout)))
    except KubeError as error:
        raise CommandError(str(error)) from error


async def _retire(lease: ObjectKey, namespaces: tuple[str, ...], timeout: timedelta) -> str:
    from vpplb.controller.stale_marker import StaleMarker

    async with await KubeClient.from_config() as client:
        marked, marker = 0, StaleMarker(client, SystemClock())
        for namespace in namespaces or ("",):
            silence = await _wait_silent(client, lease, namespace, timeout)
            if silence is None:
                return "an operator goes on: its statuses are kept, and nothing is marked"
            served = await _read_leases(client, lease)
            now = SystemClock().now()
            find = partial(find_silence, served, now=now, allowance=timedelta())
            try:
                marked += await marker.mark_objects(find, namespace)
            except NotFound:  # as with `crds.keep: false` in the chart
                return (
                    "there is nothing to mark: the definitions are gone, and all objects with them"
                )
        return f"nobody probes any more: {marked} statuses say so now"


async def _wait_silent(
    client: KubeClient, lease: ObjectKey, namespace: str, timeout: timedelta
) -> ProbingSilence | None:
    """Wait until no operator serves a namespace (empty: any); None when one goes on."""
    end = asyncio.get_running_loop().time() + timeout.total_seconds()
    while True:
        leases, now = await _read_leases(client, lease), SystemClock().now()
        if not leases:
            return ProbingSilence(as_of=None, why=f"there is no lease {lease}")
        if (silence := find_silence(leases, namespace, now, timedelta())) is not None:
            return silence
        if asyncio.get_running_loop().time() > end:
            return None
        await asyncio.sleep(LOOK_EVERY)


async def _read_leases(client: KubeClient, lease: ObjectKey) -> list[JsonObject]:
    try:
        return [await client.get_object(ObjectKind.LEASE, lease)]
    except NotFound:
        return []
