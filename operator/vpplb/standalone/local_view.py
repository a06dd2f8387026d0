"""What is shown of a router: the objects in force, and the one node there is, as an agent would."""

from collections.abc import Mapping, Sequence

from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.standalone.local_vpp import NODE, LocalVpp
from vpplb.telemetry.state_view import DecidedStateView

LOCAL = ObjectKey("", NODE)


class LocalStateView:
    """Implements `object_lists.StateView`."""

    def __init__(self, view: DecidedStateView, vpp: LocalVpp) -> None:
        self._view, self._vpp = view, vpp

    def list_keys(self, kind: ObjectKind) -> Sequence[ObjectKey]:
        return [LOCAL] if kind == ObjectKind.DATAPLANE else self._view.list_keys(kind)

    def list_members(self, frontend: ObjectKey) -> Sequence[ObjectKey]:
        return self._view.list_members(frontend)

    def list_users(self, health_check: ObjectKey) -> Sequence[ObjectKey]:
        return self._view.list_users(health_check)

    def show_object(self, kind: ObjectKind, key: ObjectKey) -> Mapping[str, object] | None:
        if kind != ObjectKind.DATAPLANE:
            return self._view.show_object(kind, key)
        return self._show_node() if key == LOCAL else None

    def _show_node(self) -> Mapping[str, object]:
        total = len(self._view.list_keys(ObjectKind.FRONTEND))
        status = {**self._vpp.describe_node(total).dump_json(), "observedGeneration": 1}
        return {"metadata": {"name": NODE, "labels": {}}, "spec": {}, "status": status}
