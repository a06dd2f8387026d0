"""What the OpenAPI document says of signing in and of acting (`people_routes`)."""

from typing import Any

from vpplb.acting.action_request import KEY, MOST_BACKENDS, MOST_KEY, PersonalAction
from vpplb.plan.flattening import MOST_WEIGHT
from vpplb.resources.schema import Schema
from vpplb.telemetry.request_trust import OWN_HEADER

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_PART: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_KEY: Schema = {"type": "string", "pattern": "^[^/]+/[^/]+$"}


def _object(properties: Schema, said: str = "", *, optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    schema: Schema = {"type": "object", "properties": properties, "required": required}
    return schema | ({"description": said} if said else {})


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_SHARE = _object(
    {"weight": _COUNT, "buckets": _COUNT, "part": _PART},
    "What a server gets of new flows: buckets of the table, and the part of all.",
)
_SHARE_OR_NONE: Schema = {"oneOf": [_SHARE, {"type": "null"}]}
_FORECAST = _object(
    {
        "frontend": _KEY,
        "vip": _TEXT,
        "before": {"type": ["object", "null"]},
        "after": {"type": ["object", "null"]},
        "changed": _object({"buckets": _COUNT, "of": _COUNT, "part": _PART}),
        "servers": _list(
            _object(
                {
                    "address": _TEXT,
                    "backends": _list(_KEY),
                    "before": _SHARE_OR_NONE,
                    "after": _SHARE_OR_NONE,
                    "cut": _FLAG,
                }
            )
        ),
    },
    "A Frontend that changes: what part of new flows goes to another server than before, and each"
    " server's share before and after. `cut`: its existing flows end.",
)

_GRACE: Schema = {
    "type": "string",
    "minLength": 2,
    "pattern": "^(1h|([1-5]?[0-9]m)?([1-5]?[0-9]s)?([0-9]{1,3}ms)?)$",
}


_ASKED_KEY: Schema = {"type": "string", "pattern": f"^{KEY}$", "maxLength": MOST_KEY}


def _describe_request(*actions: str, **more: Schema) -> Schema:
    backends = {**_list(_ASKED_KEY), "minItems": 1, "maxItems": MOST_BACKENDS}
    fields = {"action": {"enum": list(actions)}, "backends": backends, **more, "dryRun": _FLAG}
    described = _object(fields, optional=("dryRun", "pool", "grace"))
    return {**described, "additionalProperties": False}


PEOPLE: dict[str, Schema] = {
    "Session": _object(
        {
            "acting": _FLAG,
            "signIn": {"enum": ["token", "password", None]},
            "reading": {"enum": ["everybody", "signedIn"]},
            "signedIn": _FLAG,
            "name": _TEXT,
            "trouble": _TEXT,
        },
        "Whether one may act here at all, how one signs in (null: one cannot), who may read, and"
        " who asks. `trouble` says why a sign-in does not count.",
        optional=("trouble",),
    ),
    "SignIn": {
        "description": "A token of the cluster, or a name and a password, as `signIn` says.",
        "oneOf": [
            _object({"token": _TEXT}),
            _object({"name": _TEXT, "password": _TEXT}),
        ],
    },
    "ActionRequest": {
        "description": "What to do to which backends; with `dryRun` nothing is done. A drain cuts"
        " what flows there are after `grace`, 1m by default. A weight is that in `pool`, or in each"
        " pool of the Frontend that has them.",
        "oneOf": [
            _describe_request("pause", "resume", "enable", "disable"),
            _describe_request("drain", grace=_GRACE),
            _describe_request(
                "weight",
                frontend=_ASKED_KEY,
                weight={"type": "integer", "minimum": 0, "maximum": MOST_WEIGHT},
                pool=_TEXT,
            ),
        ],
    },
    "ActionOutcome": _object(
        {
            "dryRun": _FLAG,
            "name": _TEXT,
            "backends": _list(
                _object(
                    {
                        "backend": _KEY,
                        "allowed": _FLAG,
                        "outcome": {
                            "enum": [
                                "possible",
                                "done",
                                "draining",
                                "already",
                                "forbidden",
                                "failed",
                            ]
                        },
                        "said": _TEXT,
                    }
                )
            ),
            "frontends": _list(_FORECAST),
            "notes": _list(_TEXT),
            "calls": _list(_TEXT),
        },
        "What came of it for each backend, in the order of the request. A dry run says `possible`"
        " for what would be done, and what that does: the Frontends that change, and the calls to"
        " each VPP that carries them.",
        optional=("frontends", "notes", "calls"),
    ),
}
"""The schemas of what is asked and answered."""

ACTION_EVENT = _object(
    {
        "action": {"enum": [str(one) for one in PersonalAction]},
        "backend": _KEY,
        "frontend": _TEXT,
        "by": _TEXT,
        "at": {"type": "string", "format": "date-time"},
        "done": _FLAG,
        "said": _TEXT,
    },
    "Somebody did something to a Backend by this server, or was refused; `frontend` is empty but"
    " for weights.",
)


def describe_people(*, signing_in: bool, acting: bool) -> dict[str, Any]:
    """Return the paths of signing in, and of acting where that is on."""
    said = "Whether and how one signs in here, and who is signed in."
    session: Schema = {"get": _operation("Session", said, _ref("Session"), failures=(429, 503))}
    if signing_in:
        session["post"] = _change(
            "SignIn",
            "Sign in: a cookie says from then on who it is. Only over TLS, or from this machine.",
            _ref("SignIn"),
            _ref("Session"),
        )
        session["delete"] = {
            "operationId": "SignOut",
            "summary": "Sign out.",
            "parameters": [_own_header()],
            "responses": {"204": {"description": "The browser forgets it."}, "403": _fail(403)},
        }
    paths: dict[str, Any] = {"/api/v1/session": session}
    if acting:
        paths["/api/v1/actions"] = {
            "post": _change(
                "Act",
                "Do something to backends with the person's own rights, or see what it would do.",
                _ref("ActionRequest"),
                _ref("ActionOutcome"),
            )
        }
    return paths


_FAILURES = {
    400: "The request is not understood.",
    401: "One has to sign in.",
    403: "It is of another page, or came in the clear.",
    408: "Its body has not come in time.",
    413: "It is too large.",
    415: "It is not JSON.",
    421: "The request names another server.",
    429: "Too often; `Retry-After` says when to try again.",
    503: "It cannot be told now who that is, or too many requests are being sent.",
}


def _fail(status: int) -> Schema:
    content = {"application/json": {"schema": _ref("Error")}}
    return {"description": _FAILURES[status], "content": content}


def _own_header() -> Schema:
    said = "With any value, such as `page`: pages of others cannot send it."
    return {
        "name": OWN_HEADER, "in": "header", "required": True, "description": said, "schema": _TEXT
    }  # fmt: skip


def _operation(
    name: str, said: str, schema: Schema, *, failures: tuple[int, ...] = tuple(_FAILURES)
) -> Schema:
    content = {"application/json": {"schema": schema}}
    return {
        "operationId": name,
        "summary": said,
        "responses": {
            "200": {"description": "It is here.", "content": content},
            **{str(status): _fail(status) for status in failures},
        },
    }


def _change(name: str, said: str, asked: Schema, answered: Schema) -> Schema:
    return {
        **_operation(name, said, answered),
        "parameters": [_own_header()],
        "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
    }
