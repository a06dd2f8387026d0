import asyncio
import socket

import pytest

from fakes.agent_handler import FakeAgentHandler
from fakes.api_server import FakeApiServer
from fakes.clock import FakeClock
from lab.waiting import eventually
from vpplb.controller.direct_service import DirectOptions, DirectService, find_local_host
from vpplb.direct.messages import OperatorAddress
from vpplb.direct.operator_directory import read_operators
from vpplb.direct.tokens import IssuerKeys, KeysUnavailable
from vpplb.kube.api_types import ConfigError
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.release_identity import ReleaseIdentity
from vpplb.telemetry.http import CannotListen
from vpplb.telemetry.listen_address import ListenAddress

LEASE = ObjectKey("kube-system", "vpplb-operator")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cluster publish no keys: who is let in is another module's affair."""

    async def fetch(client: KubeClient) -> IssuerKeys:
        raise KeysUnavailable("no keys are published")

    monkeypatch.setattr("vpplb.controller.direct_service.fetch_issuer_keys", fetch)


def service(
    server: FakeApiServer,
    told: list[tuple[OperatorAddress, ...]],
    port: int = 0,
    advertise: str = "192.0.2.1:9443",
) -> DirectService:
    return DirectService(
        DirectOptions(
            listen=ListenAddress("127.0.0.1", port),
            advertise=advertise,
            account=ObjectKey("vpplb", "vpplb-agent"),
        ),
        client=server,
        identity="op_1",
        lease=LEASE,
        release=ReleaseIdentity("vpplb"),
        clock=FakeClock(),
        handler=FakeAgentHandler(),
        on_operators=told.append,
    )


async def test_who_serves_agents_is_found_in_the_lease_until_it_stops() -> None:
    server, told = FakeApiServer(), list[tuple[OperatorAddress, ...]]()
    lease = server.add(ObjectKind.LEASE, LEASE, {})
    async with service(server, told) as direct:
        [[own]] = told
        assert (own.identity, own.address) == ("op_1", "192.0.2.1:9443")
        running = asyncio.create_task(direct.run())
        direct.observe_lease(lease)
        await eventually(lambda: published(server) == (own,), "it is published")
        assert direct.find_trouble() == "no keys are published"
        running.cancel()
        await asyncio.wait([running])
    assert published(server) == ()


def published(server: FakeApiServer) -> tuple[OperatorAddress, ...]:
    metadata = server.objects[ObjectKind.LEASE, LEASE]["metadata"]
    return read_operators(metadata.get("annotations"), ReleaseIdentity("vpplb"))


async def test_an_address_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{port}"):
            async with service(FakeApiServer(), [], port):
                pass


async def test_an_address_that_no_other_host_reaches_is_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with service(FakeApiServer(), []):
        pass
    assert caplog.text.count("cannot reach") == 0
    monkeypatch.setattr(FakeApiServer, "server_url", "https://127.0.0.1:6443")
    async with service(FakeApiServer(), [], advertise="") as direct:
        own = f"127.0.0.1:{direct.server.listen_port}"
    assert f"agents of other hosts cannot reach {own}" in caplog.text


async def test_it_is_not_ready_before_tokens_can_be_verified() -> None:
    async with service(FakeApiServer(), []) as direct:
        assert direct.find_trouble() == "the cluster's keys have not been fetched yet"
        assert direct.list_figures().agents == 0


async def test_the_address_is_the_one_towards_the_api_server() -> None:
    assert await find_local_host("https://127.0.0.1:6443") == "127.0.0.1"
    assert await find_local_host("https://[::1]:6443") == "[::1]"
    with pytest.raises(ConfigError, match=r"no address of this host reaches https://name\.invalid"):
        await find_local_host("https://name.invalid")


async def test_of_several_addresses_of_the_api_server_one_that_is_reached_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name may have addresses of a family that this host has no road to."""
    unreachable, reached = [
        (socket.AF_INET, socket.SOCK_DGRAM, 17, "", (host, 443))
        for host in ("255.255.255.255", "127.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [unreachable, reached])
    assert await find_local_host("https://name.example") == "127.0.0.1"
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [unreachable])
    with pytest.raises(ConfigError, match=r"no address of this host reaches .* denied"):
        await find_local_host("https://name.example")
