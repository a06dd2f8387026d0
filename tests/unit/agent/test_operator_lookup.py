import pytest

from fakes.api_server import FakeApiServer
from vpplb.agent.operator_lookup import OperatorLookup
from vpplb.direct.messages import OperatorAddress
from vpplb.direct.operator_directory import dump_operator, name_annotation
from vpplb.kube.api_types import ApiUnreachable, KubeError, api_error
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.release_identity import ReleaseIdentity

LEASE = ObjectKey("kube-system", "vpplb-operator")
FOUND = OperatorAddress(identity="op-1", address="10.1.2.3:9443", fingerprint="0f" * 32)


def lookup(server: FakeApiServer) -> OperatorLookup:
    return OperatorLookup(client=server, lease=LEASE, release=ReleaseIdentity("system"))


def lease(namespace: str = "system") -> FakeApiServer:
    server = FakeApiServer()
    annotations = {
        name_annotation("op-1"): dump_operator(FOUND, ReleaseIdentity(namespace), "1.0", "now")
    }
    metadata = {"namespace": LEASE.namespace, "name": LEASE.name, "annotations": annotations}
    server.put_new(ObjectKind.LEASE, {"metadata": metadata, "spec": {}})
    return server


async def test_operators_are_found_by_one_request_for_one_lease() -> None:
    server = lease()
    asking = lookup(server)
    assert await asking.find_operators() == (FOUND,)
    assert asking.trouble == ""
    assert [(verb, key) for verb, key, _ in server.requests] == [("get", LEASE)]


async def test_operators_of_another_release_are_not_found() -> None:
    asking = lookup(lease("other"))
    assert await asking.find_operators() == ()
    assert (
        asking.trouble == "lease kube-system/vpplb-operator names no operator of namespace system"
    )


async def test_an_operator_of_another_release_in_our_namespace_is_not_found() -> None:
    server = FakeApiServer()
    entry = dump_operator(FOUND, ReleaseIdentity("system", "system/blue"), "1.0", "now")
    metadata = {
        "namespace": LEASE.namespace,
        "name": LEASE.name,
        "annotations": {name_annotation("op-1"): entry},
    }
    server.put_new(ObjectKind.LEASE, {"metadata": metadata, "spec": {}})
    asking = OperatorLookup(
        client=server, lease=LEASE, release=ReleaseIdentity("system", "system/green")
    )
    assert await asking.find_operators() == ()
    assert asking.trouble.endswith("names no operator of release system/green in namespace system")
    asking.release = ReleaseIdentity("system", "system/blue")
    assert await asking.find_operators() == (FOUND,)


async def test_where_there_is_no_lease_nobody_is_found() -> None:
    asking = lookup(FakeApiServer())
    assert await asking.find_operators() == ()
    assert asking.trouble.startswith("there is no lease kube-system/vpplb-operator")


@pytest.mark.parametrize(
    "error", [ApiUnreachable("connection refused"), api_error(403, "Forbidden", "no right")]
)
async def test_what_fails_is_said_and_no_error(error: KubeError) -> None:
    server = lease()
    server.faults.append(error)
    asking = lookup(server)
    assert await asking.find_operators() == ()
    assert str(error) in asking.trouble
    assert await asking.find_operators() == (FOUND,)
