"""Short ways to write the users' objects in tests: everything in namespace `default`."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

from vpplb.model.check import CheckSpec, ProbeCadence, TcpProbe
from vpplb.model.health import BackendHealth, HealthState
from vpplb.model.names import ObjectKey
from vpplb.model.objects import Backend, Frontend, HealthCheck, Pool, PoolMember
from vpplb.model.vip import Encap, IPAddress, VipId, VipProtocol

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def key(name: str) -> ObjectKey:
    return ObjectKey("default", name)


def address(text: str) -> IPAddress:
    return ip_address(text)


def vip(prefix: str = "192.0.2.10/32", port: int = 80) -> VipId:
    """A TCP VIP; port 0: all protocols and ports."""
    return VipId(ip_network(prefix), VipProtocol.TCP if port else VipProtocol.ANY, port)


def backend(name: str, at: str, check: str | None = "check", **fields: object) -> Backend:
    return Backend(
        key=key(name),
        address=ip_address(at),
        health_check=key(check) if check else None,
        **fields,  # type: ignore[arg-type]  # the test names fields of Backend
    )


def health_check(name: str = "check", port: int = 80, **cadence: timedelta | int) -> HealthCheck:
    return HealthCheck(
        key=key(name),
        probe=TcpProbe(port=port),
        cadence=ProbeCadence(**cadence),  # type: ignore[arg-type]  # the test names its fields
    )


def tcp_spec(at: str = "127.0.0.1", port: int = 80, **cadence: timedelta | int) -> CheckSpec:
    return CheckSpec(
        address=ip_address(at),
        probe=TcpProbe(port=port),
        cadence=ProbeCadence(**cadence),  # type: ignore[arg-type]  # the test names its fields
    )


def pool(name: str, **weights: int) -> Pool:
    return Pool(name=name, members=tuple(PoolMember(key(n), w) for n, w in weights.items()))


def frontend(
    name: str,
    *pools: Pool,
    on: VipId | None = None,
    age: int = 0,
    encap: Encap | None = None,
    **fields: object,
) -> Frontend:
    """A frontend that is `age` seconds old."""
    return Frontend(
        key=key(name),
        vip=on or vip(),
        pools=pools,
        encap=encap,
        created=NOON - timedelta(seconds=age),
        **fields,  # type: ignore[arg-type]  # the test names fields of Frontend
    )


def in_state(state: HealthState, *, held: bool = False) -> BackendHealth:
    return BackendHealth(state=state, since=NOON, held=held)
