"""What the HTTP server answers, as an OpenAPI document: made from the kinds' own schemas."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from vpplb import __version__
from vpplb.model.names import ObjectKind
from vpplb.resources.base import KindDefinition
from vpplb.resources.crd import DEFINITIONS, make_structural
from vpplb.resources.schema import Schema
from vpplb.telemetry.object_queries import OF_BACKENDS, PARAMETERS
from vpplb.telemetry.openapi_people import ACTION_EVENT, PEOPLE, describe_people
from vpplb.telemetry.operator_state import ROLES
from vpplb.telemetry.probe_queries import PROBE_PARAMETERS

DESCRIPTION = """\
What each program says of itself, and, of the operator and `vpplb standalone`, all objects as they
are decided at this moment. It is read-only and asks for no password, unless it is told to by
`--http-actions` and `--http-auth`: keep its port to yourself.
A request must name this server, or is answered by 421 (`--http-host` allows further names)."""

_TEXT: Schema = {"type": "string"}
_HISTORIES = "#/components/schemas/ProbeHistories"
_COUNT: Schema = {"type": "integer", "minimum": 0}
_KEY: Schema = {"type": "string", "pattern": "^[^/]+/[^/]+$"}
_TIME: Schema = {"type": "string", "format": "date-time"}


@cache
def describe_api(
    *,
    objects: bool = True,
    stream: bool = True,
    dashboard: bool = True,
    vips: bool = True,
    signing_in: bool = True,
    acting: bool = True,
    probes: bool = True,
    operator: bool = True,
) -> Schema:
    """Return the document of a server: of what every program has, and what is asked for."""
    paths = {
        "/metrics": _get("Metrics", "All metrics.", {"text/plain": {"schema": _TEXT}}),
        "/healthz": _judge("Liveness", "Whether a new process would not help.", "Alive"),
        "/readyz": _judge("Readiness", "Whether all is well, and what is not.", "Ready"),
        "/api/v1/openapi.json": _get("Document", "This document.", _json({"type": "object"})),
    }
    if objects:
        for definition in DEFINITIONS:
            paths |= _describe_kind(definition)
    if operator:
        said = "This program among the operators: who leads, who stands by, whether anybody probes."
        content = _json({"$ref": "#/components/schemas/Operator"})
        paths["/api/v1/operator"] = _get("GetOperator", said, content)
    if stream:
        paths["/api/v1/events"] = _describe_stream()
    if vips:
        paths["/api/v1/dataplanes/{name}/vips"] = _describe_vips()
    if probes:
        paths["/api/v1/probes"] = _describe_probes()
    if dashboard:
        paths["/"] = _get("Dashboard", "The dashboard.", {"text/html": {"schema": _TEXT}})
        paths |= describe_people(signing_in=signing_in, acting=acting)
    schemas = {one.kind.value: _show_kind(one) for one in DEFINITIONS} if objects else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": "vpplb", "version": __version__, "description": DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": {
                "Error": _object({"error": _TEXT}, "What is wrong with a request."),
                "Alive": _describe_checks("alive"),
                "Ready": _describe_checks("ready"),
                **schemas,
                **({"NodeVips": _NODE_VIPS} if vips else {}),
                **({"ProbeHistories": _PROBE_HISTORIES} if probes else {}),
                **({"Operator": _OPERATOR} if operator else {}),
                **(EVENTS if stream else {}),
                **(PEOPLE if dashboard else {}),
            }
        },
    }


def _describe_kind(definition: KindDefinition[Any]) -> Schema:
    kind = definition.kind
    one: Schema = {"$ref": f"#/components/schemas/{kind}"}
    items = _object(
        {
            "items": {"type": "array", "items": {"anyOf": [one, {"type": "object"}]}},
            "continue": _TEXT,
        },
        "Objects of the kind, with `fields` those fields alone; `continue` where more follow.",
        optional=("continue",),
    )
    listed = _get(f"List{kind}s", f"All {kind}s, by namespace and name.", _json(items))
    listed["get"]["parameters"] = list(_describe_parameters(kind))
    path = f"/api/v1/{kind.plural}"
    names = ("namespace", "name") if kind.is_namespaced else ("name",)
    single = _get(f"Get{kind}", f"One {kind}.", _json(one), missing=True)
    return {
        path: listed,
        "/".join([path, *(f"{{{name}}}" for name in names)]): {
            "parameters": [_path_parameter(name) for name in names],
            **single,
        },
    }


def _describe_parameters(kind: ObjectKind) -> Iterator[Schema]:
    patterns = {
        **dict.fromkeys(OF_BACKENDS, "^[^/]+/[^/]+$"),
        "continue": "^[^/]+(/[^/]+)?$",
        "fields": r"^[^.,]+(\.[^.,]+)*(,[^.,]+(\.[^.,]+)*)*$",
    }
    for name, said in PARAMETERS.items():
        if name in OF_BACKENDS and kind != ObjectKind.BACKEND:
            continue
        schema = {**_TEXT, "pattern": patterns[name]} if name in patterns else _TEXT
        if name == "limit":
            schema = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
        yield {"name": name, "in": "query", "description": said, "schema": schema}


def _describe_stream() -> Schema:
    said = (
        "Server-sent events. Without `Last-Event-ID`, or `after` in the address, it begins now;"
        " with it, behind that event, or with `reset` where that is forgotten: read the lists again"
        " then. `after=oldest` begins with what is still held. The data of an event is JSON, of the"
        f" schema named as its type: {', '.join(f'`{name}`' for name in EVENTS)}. A comment comes"
        " each 15 s while nothing happens."
    )
    operation = _get("Events", said, {"text/event-stream": {"schema": _TEXT}}, busy=True)
    operation["get"]["parameters"] = [
        {
            "name": "Last-Event-ID",
            "in": "header",
            "description": "The `id` of the last event that was read.",
            "schema": {"type": "string", "pattern": "^[0-9a-f]{8}-[0-9]+$"},
        },
        {
            "name": "after",
            "in": "query",
            "description": "The same, or `oldest`; the header goes before it.",
            "schema": {"type": "string", "pattern": "^(oldest|[0-9a-f]{8}-[0-9]+)$"},
        },
    ]
    return operation


def _describe_vips() -> Schema:
    said = (
        "What a node's VPP has at this moment, with packets and true shares, as its agent reads it."
    )
    schema: Schema = {"$ref": "#/components/schemas/NodeVips"}
    asked = {
        "name": "frontend",
        "in": "query",
        "description": "Only the VIP of this Frontend, as namespace/name.",
        "schema": _KEY,
    }
    return {
        "parameters": [_path_parameter("name"), asked],
        **_get("GetVips", said, _json(schema), missing=True, busy=True),
    }


def _describe_probes() -> Schema:
    said = (
        "The last 60 probes of each Backend of a Frontend, oldest first. They are recorded from"
        " when they are first asked for until nobody has asked for a minute."
    )
    schemas = {"frontend": _KEY, "backend": _KEY, "after": _COUNT | {"maximum": 10**15 - 1}}
    return {
        "parameters": [
            {"name": name, "in": "query", "description": about, "schema": schemas[name]}
            | ({"required": True} if name == "frontend" else {})
            for name, about in PROBE_PARAMETERS.items()
        ],
        **_get("GetProbes", said, _json({"$ref": _HISTORIES}), missing=True),
    }


def _get(
    name: str, said: str, content: Schema, *, missing: bool = False, busy: bool = False
) -> Schema:
    """Describe a path that answers to GET alone."""
    responses = {"200": {"description": "It is here.", "content": content}}
    if missing:
        responses["404"] = _fail("There is no such object.")
    if busy:
        responses["503"] = _fail("It cannot be told now.")
    responses |= {
        "400": _fail("The request is not understood."),
        "421": _fail("The request names another server."),
    }
    return {"get": {"operationId": name, "summary": said, "responses": responses}}


def _judge(name: str, said: str, schema: str) -> Schema:
    content = _json({"$ref": f"#/components/schemas/{schema}"})
    operation = _get(name, said, content)
    operation["get"]["responses"]["503"] = {"description": "It is not.", "content": content}
    return operation


def _fail(said: str) -> Schema:
    return {"description": said, "content": _json({"$ref": "#/components/schemas/Error"})}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _path_parameter(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {**_TEXT, "minLength": 1}}


# --- schemas --------------------------------------------------------------------------------------


def _object(properties: Schema, description: str = "", *, optional: tuple[str, ...] = ()) -> Schema:
    schema: Schema = {"type": "object", "properties": properties}
    required = [name for name in properties if name not in optional]
    return schema | {"required": required} | ({"description": description} if description else {})


def _describe_checks(word: str) -> Schema:
    return _object(
        {
            word: {"type": "boolean"},
            "checks": {"type": "object", "additionalProperties": {"type": "boolean"}},
            f"not{word.capitalize()}": {"type": "object", "additionalProperties": _TEXT},
            "figures": {"type": "object"},
        },
        f"Whether it is {word}, by check; what is wrong, in words; figures. Facts beside these are"
        " texts.",
    )


def _show_kind(definition: KindDefinition[Any]) -> Schema:
    metadata = _object(
        {
            **({"namespace": _TEXT} if definition.kind.is_namespaced else {}),
            "name": _TEXT,
            "labels": {"type": "object", "additionalProperties": _TEXT},
        }
    )
    # What is shown is what was written: defaults, and who may write what, are the API server's.
    spec = _drop_extensions(make_structural(definition.spec, defaults=False))
    status = _drop_extensions(make_structural(definition.status, defaults=False))
    status.pop("required", None)
    shown = {"metadata": metadata, "spec": spec, "status": status}
    return _object(shown, definition.description)


def _drop_extensions(schema: Any) -> Any:
    """Return a schema without what only the API server understands."""
    match schema:
        case dict():
            return {
                key: _drop_extensions(value)
                for key, value in schema.items()
                if not key.startswith("x-kubernetes-")
            }
        case list():
            return [_drop_extensions(value) for value in schema]
        case _:
            return schema


_PACKETS = _object(dict.fromkeys(("existing", "first", "untracked", "no_server"), _COUNT))
_VIP_SERVER = _object(
    {"address": _TEXT, "weight": _COUNT, "buckets": {"type": ["integer", "null"]}}
)
_NODE_VIP = _object(
    {
        "vip": _TEXT,
        "frontend": {"type": ["string", "null"]},
        "encap": _TEXT,
        "flowTableLength": _COUNT,
        "packets": _PACKETS,
        "servers": {"type": "array", "items": _VIP_SERVER},
    },
    optional=("packets",),
)
_TIME_OR_NONE: Schema = {"type": ["string", "null"], "format": "date-time"}
_DRIFT = _object(
    {"repaired": _COUNT, "last": _TIME_OR_NONE},
    "What somebody else had changed in VPP, and was undone since the agent began; agents of older"
    " versions do not tell it.",
)
_NODE_VIPS = _object(
    {
        "node": _TEXT,
        "at": _TIME,
        "drift": _DRIFT,
        "packetsUnknown": _TEXT,
        "vips": {"type": "array", "items": _NODE_VIP},
    },
    "The VIPs of a node's VPP; `packetsUnknown` says why there are no packets.",
    optional=("drift", "packetsUnknown"),
)

_PROBE = _object(
    {"at": _TIME, "tookSeconds": {"type": "number", "minimum": 0}, "code": _TEXT, "detail": _TEXT}
)
_PROBE_HISTORY = _object(
    {
        "backend": _TEXT,
        "probed": {"type": "boolean"},
        "since": _TIME,
        "probes": {"type": "array", "items": _PROBE},
    },
    optional=("since",),
)
_PROBE_HISTORIES = _object(
    {"last": _COUNT, "items": {"type": "array", "items": _PROBE_HISTORY}},
    "Probes by Backend. `last` is the number of the newest, for `after`; numbers begin anew with"
    " each start of the program (`run` of `/readyz`). Without `since` nothing is recorded, since"
    " there is no room for more.",
)

_NAMES: Schema = {"type": "array", "items": _TEXT}
_OPERATOR = _object(
    {
        "identity": {**_TEXT, "description": "The name of this process."},
        "version": _TEXT,
        "run": {**_TEXT, "description": "What the ids of this process's events begin with."},
        "role": {
            **_TEXT,
            "enum": list(ROLES),
            "description": "`suspended` leads still, and cannot renew its lease; `lost` is about to"
            " end; `alone` has no others beside it.",
        },
        "namespaces": {**_NAMES, "description": "Those that are served; none: all."},
        "leader": {**_TEXT, "description": "Who leads; empty: nobody is known to."},
        "leaderSince": {**_TIME_OR_NONE, "description": "Since when, by the leader's own clock."},
        "term": {**_COUNT, "description": "The leader's, as in the order of decisions."},
        "standbys": {
            "type": ["array", "null"],
            "items": _TEXT,
            "description": "Who stands by, as far as is known: one that died is named for some"
            " minutes. null: nobody tells, since the direct road is off.",
        },
        "probing": {"type": "boolean", "description": "Whether this process probes."},
        "silentSince": {
            **_TIME_OR_NONE,
            "description": "Since when nobody is known to probe; null while somebody is.",
        },
        "decidedAt": {
            **_TIME_OR_NONE,
            "description": "When this process last decided something new; null: never yet.",
        },
        "trouble": {**_TEXT, "description": "What is wrong with the election, in words."},
        "now": {**_TIME, "description": "This machine's clock, that ages may be told by it."},
    },
    "This program among the operators.",
)

_TELLS_OBJECT = "tells the object as it is now, or only its metadata where it was deleted."
EVENTS: dict[str, Schema] = {
    "transition": _object(
        {
            "backend": _TEXT,
            "from": _TEXT,
            "to": _TEXT,
            "at": _TIME,
            "code": _TEXT,
            "detail": _TEXT,
            "frontends": {"type": "array", "items": _TEXT},
        },
        "A Backend changed its state; `frontends` name it, as namespace/name.",
    ),
    **{
        name: _object(
            {"deleted": {"type": "boolean"}, "object": {"type": "object"}},
            f"A {name.capitalize()} changed; {_TELLS_OBJECT}",
            optional=("deleted",),
        )
        for name in ("frontend", "backend")
    },
    "failover": _object(
        dict.fromkeys(("frontend", "from", "to"), _TEXT) | {"at": _TIME},
        "Another pool serves a Frontend, or none (empty) does.",
    ),
    "removed": _object(
        {"backend": _TEXT, "frontend": _TEXT},
        "A Backend is no longer a member of a Frontend; both as namespace/name.",
    ),
    "action": ACTION_EVENT,
    "operator": {
        **_OPERATOR,
        "description": "What `/api/v1/operator` shows has changed, as it is now: another leads, or"
        " nobody, or somebody again; somebody stands by, or has gone.",
    },
    "reset": _object({}, "Events were missed: read the lists again."),
}
"""What the data of each event of the stream is, by the event's type."""
