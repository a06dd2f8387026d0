"""The form of VPP's .api.json files, in which `get_api_json` tells a client the definitions.

VPP quirk: memclnt's definitions. They are not told: clients have to bring them along.
"""

import json
from typing import Any

from vpplb.simulator.messages import (
    BASE_TYPES,
    MEMCLNT,
    MODULES,
    REQUESTS,
    ApiModule,
    ApiVersion,
    MessageField,
    MessageSpec,
)


def api_json(module: ApiModule, api_version: ApiVersion) -> dict[str, Any]:
    """Return a module in the form of VPP's .api.json files."""
    return {
        "module": module.name,
        "types": module.types,
        "messages": [_message_json(m, api_version) for m in module.messages if m.kind != "listed"],
        "unions": module.unions,
        "enums": module.enums,
        "enumflags": [],
        "services": dict(_service_json(m) for m in module.messages if m.kind in REQUESTS),
        "options": {"version": module.version},
        "aliases": dict(module.aliases),
    }


def all_api_json(api_version: ApiVersion | None = None) -> str:
    """Return the JSON text of `get_api_json_reply`."""
    told = [module for module in MODULES if module is not MEMCLNT]
    return json.dumps([api_json(module, api_version or ApiVersion()) for module in told])


def _service_json(message: MessageSpec) -> tuple[str, dict[str, Any]]:
    if message.kind == "dump":
        details = message.name.removesuffix("_dump") + "_details"
        return message.name, {"reply": details, "stream": True}
    return message.name, {"reply": f"{message.name}_reply"}


def _message_json(message: MessageSpec, api_version: ApiVersion) -> list[Any]:
    header = [["u16", "_vl_msg_id"], *(["u32", name] for name in message.header)]
    fields = [_field_json(field) for field in message.fields]
    return [
        message.name,
        *header,
        *fields,
        {"crc": f"0x{api_version.message_crc(message):08x}", "options": {}},
    ]


def _field_json(field: MessageField) -> list[Any]:
    type_ = field.type.removeprefix("c_")
    name = type_ if type_ in BASE_TYPES else f"vl_api_{type_}_t"
    match field.length:
        case None:
            tail: list[Any] = [] if field.default is None else [{"default": field.default}]
        case int(length):
            tail = [length]
        case count:
            tail = [0, count]
    return [name, field.name, *tail]
