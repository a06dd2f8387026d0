import pytest

from vpplb.kube.api_types import RESOURCES, ApiError, cluster_key, read_answer
from vpplb.model.names import ObjectKey, ObjectKind

WEB = ObjectKey("shop", "web")


def test_an_object_of_a_group_is_addressed_by_group_version_namespace_and_name() -> None:
    path = "/apis/vpplb.dev/v1alpha1/namespaces/shop/backends/web"
    assert RESOURCES[ObjectKind.BACKEND].object_path(WEB) == path
    assert RESOURCES[ObjectKind.BACKEND].object_path(WEB, "status") == path + "/status"


def test_cluster_scoped_objects_have_no_namespace_in_their_address() -> None:
    assert RESOURCES[ObjectKind.NODE].object_path(cluster_key("node-1")) == "/api/v1/nodes/node-1"
    assert (
        RESOURCES[ObjectKind.DATAPLANE].object_path(cluster_key("n"))
        == "/apis/vpplb.dev/v1alpha1/dataplanes/n"
    )


def test_a_collection_is_that_of_all_namespaces_unless_one_is_given() -> None:
    assert RESOURCES[ObjectKind.LEASE].collection_path() == "/apis/coordination.k8s.io/v1/leases"
    assert (
        RESOURCES[ObjectKind.EVENT].collection_path("shop")
        == "/apis/events.k8s.io/v1/namespaces/shop/events"
    )


def test_a_name_cannot_break_out_of_its_place_in_the_path() -> None:
    assert (
        RESOURCES[ObjectKind.BACKEND]
        .object_path(ObjectKey("a/b", "../x?y"))
        .endswith("/namespaces/a%2Fb/backends/..%2Fx%3Fy")
    )


@pytest.mark.parametrize("content", [b"<html>", b"[" * 100_000, b"[]", b"null", b""])
def test_what_is_no_json_object_is_an_error_of_the_request(content: bytes) -> None:
    with pytest.raises(ApiError, match="not a JSON object"):
        read_answer(200, None, content)
    with pytest.raises(ApiError, match="502"):
        read_answer(502, None, content)
