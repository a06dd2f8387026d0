from vpplb.kube.kinds import BACKEND, DATAPLANE, EVENT, LEASE, NODE, cluster_key
from vpplb.model.names import ObjectKey

WEB = ObjectKey("shop", "web")


def test_an_object_of_a_group_is_addressed_by_group_version_namespace_and_name() -> None:
    path = "/apis/vpplb.dev/v1alpha1/namespaces/shop/backends/web"
    assert BACKEND.object_path(WEB) == path
    assert BACKEND.object_path(WEB, "status") == path + "/status"


def test_cluster_scoped_objects_have_no_namespace_in_their_address() -> None:
    assert NODE.object_path(cluster_key("node-1")) == "/api/v1/nodes/node-1"
    assert DATAPLANE.object_path(cluster_key("n")) == "/apis/vpplb.dev/v1alpha1/dataplanes/n"


def test_a_collection_is_that_of_all_namespaces_unless_one_is_given() -> None:
    assert LEASE.collection_path() == "/apis/coordination.k8s.io/v1/leases"
    assert EVENT.collection_path("shop") == "/apis/events.k8s.io/v1/namespaces/shop/events"


def test_a_name_cannot_break_out_of_its_place_in_the_path() -> None:
    assert BACKEND.object_path(ObjectKey("a/b", "../x?y")).endswith(
        "/namespaces/a%2Fb/backends/..%2Fx%3Fy"
    )
