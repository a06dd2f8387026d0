"""`vpplb verify-install`: make a Frontend, see it in every node's VPP, remove it (`helm test`)."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import click

from vpplb.cli.options import ADDRESS, DURATION, env_option
from vpplb.cli.terminal import CommandError, print_line
from vpplb.kube.api_types import ApiError, JsonObject, KubeError, NotFound
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.vip import IPAddress
from vpplb.resources.conditions import find_condition
from vpplb.resources.frontend import FrontendStatus
from vpplb.resources.stored import read_status

NAME = "vpplb-verify-install"
"""Of both objects: a run that was killed leaves no more than the next one removes."""
LOOK_EVERY = 0.2
"""Seconds between two looks at the status."""
PORT = 9  # discard (RFC 863)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallTrial:
    """What is made for the trial. `timeout` is for how long it may take to reach all nodes."""

    namespace: str
    address: str
    server: str
    timeout: timedelta

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.namespace, NAME)

    def make_objects(self) -> Mapping[ObjectKind, Mapping[str, object]]:
        """Return the objects in the order in which they are made."""
        metadata = {"namespace": self.namespace, "name": NAME}
        pool = {"name": "only", "backends": [{"name": NAME}]}
        frontend = {
            "description": "Made by vpplb verify-install, which removes it.",
            "address": self.address,
            "port": PORT,
            "pools": [pool],
        }
        return {
            ObjectKind.BACKEND: {"metadata": metadata, "spec": {"address": self.server}},
            ObjectKind.FRONTEND: {"metadata": metadata, "spec": frontend},
        }


class TrialFailed(Exception):
    """The Frontend did not come to stand; the text says what is missing."""


@click.command(
    name="verify-install", short_help="Make a Frontend, see it in every VPP, and remove it."
)
@env_option(
    "--namespace", default="default", help="Namespace of the Frontend, which must be served."
)
@env_option(
    "--address", default="203.0.113.254", type=ADDRESS, help="Its VIP, which nobody should use."
)
@env_option(
    "--server", default="203.0.113.253", type=ADDRESS, help="Its server, to which nothing is sent."
)
@env_option("--timeout", default="60s", type=DURATION, help="How long it may take.")
def verify_install_command(
    namespace: str, address: IPAddress, server: IPAddress, timeout: timedelta
) -> None:
    """Make a Frontend, wait until every node's VPP has it, and remove it.

    Exit 0 when it stood, 1 when not. The VIP really comes into VPP for that moment. Where addresses
    are for certain namespaces only, choose one that is for this namespace.
    """
    trial = InstallTrial(
        namespace=namespace, address=str(address), server=str(server), timeout=timeout
    )
    try:
        print_line(asyncio.run(_run(trial)))
    except ApiError as error:
        raise CommandError(error.message or str(error)) from error
    except (KubeError, TrialFailed) as error:
        raise CommandError(str(error)) from error


async def _run(trial: InstallTrial) -> str:
    async with await KubeClient.from_config() as client:
        return await try_frontend(client, trial)


async def try_frontend(client: KubeClient, trial: InstallTrial) -> str:
    """Make the objects, wait, and remove them; say what was seen (TrialFailed, KubeError)."""
    await _remove(client, trial)
    try:
        for kind, body in trial.make_objects().items():
            await client.create_object(kind, body)
        return await _wait_programmed(client, trial)
    finally:
        await _remove(client, trial)


async def _remove(client: KubeClient, trial: InstallTrial) -> None:
    for kind in (ObjectKind.FRONTEND, ObjectKind.BACKEND):
        with suppress(NotFound):
            await client.delete_object(kind, trial.key)


async def _wait_programmed(client: KubeClient, trial: InstallTrial) -> str:
    loop = asyncio.get_running_loop()
    start = loop.time()
    while True:
        raw = await client.get_object(ObjectKind.FRONTEND, trial.key)
        after = loop.time() - start
        if not (lack := _find_lack(raw)):
            nodes = read_status(raw, FrontendStatus).nodes
            where = nodes.summary if nodes else "all"
            return f"VIP {trial.address} stood in VPP on {where} nodes after {after:.1f} s"
        if after > trial.timeout.total_seconds():
            raise TrialFailed(f"not within {trial.timeout.total_seconds():g} s: {lack}")
        await asyncio.sleep(LOOK_EVERY)


def _find_lack(raw: JsonObject) -> str:
    """Say what is missing until the Frontend is programmed; TrialFailed where it never will be."""
    conditions = read_status(raw, FrontendStatus).conditions
    accepted = find_condition(conditions, "Accepted")
    if accepted is None:
        namespace = raw["metadata"]["namespace"]
        return f"no operator has looked at it: is one running that serves namespace {namespace}?"
    if accepted.status == "False":
        raise TrialFailed(f"not accepted ({accepted.reason}): {accepted.message}")
    programmed = find_condition(conditions, "Programmed")
    if programmed is not None and programmed.status == "True":
        return ""
    return f"{programmed.reason}: {programmed.message}" if programmed else "no node has said a word"
