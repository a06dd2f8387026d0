"""People at an operator's HTTP server: who may read, and acting from the dashboard.

They act with their own tokens, so any operator serves them, not only the one that leads: an edit is
the person's, and the API server's affair. The events that tell of it are therefore not written
through the leader's fence.
"""

from collections.abc import Sequence

from vpplb.acting.action_objects import ActionObjects
from vpplb.acting.action_runner import ActionRunner
from vpplb.acting.ports import AccessUnknown, ActionRecord, EditRefused, Person
from vpplb.acting.spec_edits import SpecEdit
from vpplb.controller.operator_core import OperatorCore
from vpplb.kube.api_types import ApiError, ApiUnreachable
from vpplb.kube.client import KubeClient
from vpplb.kube.kubernetes_events import EventRecorder, ObjectEvent
from vpplb.kube.object_cache import ObjectCache
from vpplb.kube.user_api.cluster_people import ClusterPeople
from vpplb.kube.user_api.person_client import PersonClient, check_server
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKind
from vpplb.resources.allowances import AddressAllowances
from vpplb.resources.event_reasons import CHANGED_FROM_DASHBOARD
from vpplb.telemetry.action_log import ActionLog
from vpplb.telemetry.http_access import HttpAccess
from vpplb.telemetry.people_routes import PeopleRoutes


class OperatorPeople:
    """Makes the `routes` for people, as `access` says (ConfigError).

    `cache` has the objects of `core`.
    """

    def __init__(
        self,
        client: KubeClient,
        cache: ObjectCache,
        core: OperatorCore,
        identity: str,
        clock: Clock,
        access: HttpAccess,
        namespaces: Sequence[str],
        allowed: AddressAllowances,
    ) -> None:
        if access.knows_people:
            check_server(client.server_url)
        self._cache, self._action_log = cache, ActionLog(core.stream)
        self._client = PersonClient(lambda: client.access)
        self._recorder = EventRecorder(client, "operator", identity)
        people = ClusterPeople(client=self._client, namespaces=namespaces)
        runner = ActionRunner(
            access=people,
            objects=ActionObjects(
                stored=cache, show=core.view.show_object, edit_spec=self._edit_spec
            ),
            clock=clock,
            tell=self._tell_action,
            allowed=allowed,
        )
        self.routes = PeopleRoutes(
            access=people if access.knows_people else None,
            runner=runner if access.actions else None,
            guards_reading=access.signed_in_only,
        )

    async def run(self) -> None:
        """Send events until cancelled."""
        await self._recorder.run()

    async def _edit_spec(self, person: Person, edit: SpecEdit) -> None:
        try:
            await self._client.patch_object(person.credential, edit.kind, edit.key, edit.patch)
        except ApiUnreachable as error:
            raise AccessUnknown(f"the API server: {error}") from error
        except ApiError as error:
            raise EditRefused(_explain_refusal(error)) from error

    def _tell_action(self, record: ActionRecord) -> None:
        self._action_log.record_action(record)
        known = self._cache.get(ObjectKind.BACKEND, record.backend)
        if known is None or not record.done:
            return
        note = CHANGED_FROM_DASHBOARD.note(f"{record.said} by {record.by} from the dashboard")
        backend = ObjectKind.BACKEND, record.backend, known.uid
        self._recorder.emit_event(ObjectEvent.of_note(note, *backend, record.at))


def _explain_refusal(error: ApiError) -> str:
    match error.status:
        case 401:
            return "signed out meanwhile: the token has expired"
        case 422 if "test" in error.message:
            return "somebody else has changed it meanwhile; nothing was changed"
        case _:
            return error.message or str(error)
