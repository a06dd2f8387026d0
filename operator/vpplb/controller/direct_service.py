"""The direct road, put together: who listens, who is let in, and how agents find this operator."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self
from urllib.parse import urlsplit

from vpplb.controller.operator_directory import OperatorDirectory
from vpplb.controller.token_keys import fetch_issuer_keys
from vpplb.direct.agent_connection import AgentHandler, AgentSilent
from vpplb.direct.certificate import make_certificate
from vpplb.direct.messages import OperatorAddress
from vpplb.direct.operator_directory import parse_address as parse_advertised
from vpplb.direct.server import DirectServer
from vpplb.direct.tokens import TokenVerifier
from vpplb.kube.api_types import ConfigError, JsonObject
from vpplb.kube.client import KubeClient
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey
from vpplb.model.release_identity import ReleaseIdentity
from vpplb.telemetry.http import CannotListen, PageUnavailable
from vpplb.telemetry.listen_address import ListenAddress
from vpplb.telemetry.scraped_metrics import DirectFigures

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectOptions:
    """Where to listen; by which `host:port` agents reach that; and as which account they come.

    `advertise` empty: the address from which this host reaches the API server, and the port.
    """

    listen: ListenAddress
    advertise: str = ""
    account: ObjectKey


class DirectService:
    """Used as `async with`, which listens (CannotListen, ConfigError), and then `run`.

    `lease` and `release` are those of `OperatorDirectory`; `on_operators` is told all
    operators of the release whenever they change.
    """

    def __init__(
        self,
        options: DirectOptions,
        *,
        client: KubeClient,
        identity: str,
        lease: ObjectKey,
        release: ReleaseIdentity,
        clock: Clock,
        handler: AgentHandler,
        on_operators: Callable[[tuple[OperatorAddress, ...]], None],
    ) -> None:
        self._options, self._client, self._identity = options, client, identity
        self._lease, self._release, self._clock = lease, release, clock
        self._on_operators = on_operators
        self._verifier = TokenVerifier(
            fetch_keys=partial(fetch_issuer_keys, client), account=options.account
        )
        self._certificate = make_certificate()
        self.server = DirectServer(
            host=options.listen.host,
            port=options.listen.port,
            certificate=self._certificate,
            verify=self._verifier.verify_token,
            handler=handler,
        )
        self._directory: OperatorDirectory

    async def __aenter__(self) -> Self:
        local = "" if self._options.advertise else await find_local_host(self._client.server_url)
        try:
            await self.server.__aenter__()
        except OSError as error:
            where = self._options.listen
            raise CannotListen(f"cannot listen on {where}: {error.strerror or error}") from error
        own = OperatorAddress(
            identity=self._identity,
            address=self._options.advertise or f"{local}:{self.server.listen_port}",
            fingerprint=self._certificate.fingerprint,
        )
        self._directory = OperatorDirectory(
            client=self._client,
            lease=self._lease,
            own=own,
            release=self._release,
            clock=self._clock,
            on_change=self._on_operators,
        )
        self._on_operators((own,))
        log.info("agents are served at %s", own.address)
        if local.startswith(("127.", "[::1]")):
            log.warning(
                "agents of other hosts cannot reach %s: name by --direct-advertise where they can",
                own.address,
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let all agents go, who are told why, and be found no more."""
        await self.server.__aexit__()
        await self._directory.withdraw_entry()

    async def run(self) -> None:
        """Be found, and keep the keys that tokens are verified by, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._verifier.run())
            group.create_task(self._directory.run())

    def observe_lease(self, lease: JsonObject | None) -> None:
        """Take the Lease of the election as it was read or written just now."""
        self._directory.observe_lease(lease)

    def list_operators(self) -> list[str]:
        """Name the operators of the release that can be found, this one too."""
        return [one.identity for one in self._directory.operators]

    def find_trouble(self) -> str | None:
        """Say why agents cannot find this operator, or cannot be let in; None when they can."""
        return self._directory.trouble or self._verifier.trouble or None

    async def read_vips(self, node: str, frontend: ObjectKey | None) -> Mapping[str, object]:
        """Ask the agent of a node what its VPP has (PageUnavailable)."""
        try:
            return await self.server.request_vips(node, frontend)
        except AgentSilent as error:
            raise PageUnavailable(str(error)) from error

    def list_figures(self) -> DirectFigures:
        server = self.server
        heard = server.last_heard
        return DirectFigures(
            agents=server.agent_count,
            behind=server.behind_count,
            sent=server.sent,
            heard=server.heard,
            refused={reason.value: count for reason, count in server.refused.items()},
            age=None if heard is None else asyncio.get_running_loop().time() - heard,
        )


async def find_local_host(server: str) -> str:
    """Return the address from which the host of a URL is reached, as a URL has it (ConfigError)."""
    url = urlsplit(server)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            url.hostname, url.port or 443, type=socket.SOCK_DGRAM
        )
        local = _first_local((family, address) for family, *_, address in found)
        return parse_advertised(f"{local}:1").removesuffix(":1")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no address of this host reaches {server} ({error}): say by --direct-advertise where"
            " agents reach this operator, or do without them by --no-direct"
        ) from error


def _first_local(targets: Iterable[tuple[int, Any]]) -> str:
    """Return from where the first of these, each a family and an address, is reached (OSError)."""
    failed = OSError("it has no address")
    for family, address in targets:
        with socket.socket(family, socket.SOCK_DGRAM) as looking:
            try:
                looking.connect(address)  # sends nothing
            except OSError as error:
                failed = error
            else:
                return str(looking.getsockname()[0])
    raise failed
