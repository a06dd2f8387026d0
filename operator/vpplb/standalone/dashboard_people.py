"""People at a router's HTTP server: who may read, and acting from the dashboard.

What they do goes the same road as `vpplb ctl`: over what the files say, and only what may be
changed beside them.
"""

from collections.abc import Mapping

from vpplb.acting.action_objects import ActionObjects
from vpplb.acting.action_runner import ActionRunner
from vpplb.acting.ports import EditRefused, Person
from vpplb.acting.spec_edits import SpecEdit
from vpplb.files.account_file import AccountFile
from vpplb.kube.api_types import JSON_PATCH, MERGE_PATCH, ApiError
from vpplb.kube.user_api.control_server import read_edit
from vpplb.model.clock import Clock
from vpplb.standalone.control_objects import ControlObjects
from vpplb.standalone.local_people import LocalPeople
from vpplb.standalone.standalone_parts import DecisionParts, StandaloneOptions
from vpplb.telemetry.action_log import ActionLog
from vpplb.telemetry.people_routes import PeopleRoutes


def make_people(
    options: StandaloneOptions, decided: DecisionParts, objects: ControlObjects, clock: Clock
) -> PeopleRoutes:
    """Make the routes for people, as the options say."""
    access = options.http_access
    if access.accounts is None or not access.knows_people:
        return PeopleRoutes()
    people = LocalPeople(accounts=AccountFile(access.accounts), now=clock.now)
    people.check_accounts()

    async def edit_spec(person: Person, edit: SpecEdit) -> None:
        try:
            change = (
                read_edit(MERGE_PATCH, dict(edit.patch))
                if isinstance(edit.patch, Mapping)
                else read_edit(JSON_PATCH, list(edit.patch))
            )
            by = f"{person.name}, from the dashboard"
            await objects.edit_spec(edit.kind, edit.key, change, by)
        except ApiError as error:
            raise EditRefused(error.message) from error

    runner = ActionRunner(
        access=people,
        objects=ActionObjects(
            stored=decided.objects, show=decided.view.show_object, edit_spec=edit_spec
        ),
        clock=clock,
        tell=ActionLog(decided.stream).record_action,
        allowed=options.allowed,
    )
    return PeopleRoutes(
        access=people,
        runner=runner if access.actions else None,
        guards_reading=access.signed_in_only,
    )
