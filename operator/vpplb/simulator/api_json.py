"""The form of VPP's .api.json files, in which `get_api_json` tells a client the definitions.

VPP quirk: memclnt's definitions. They are not told: clients have to bring them along.
"""

import json
from typing import Any

from vpplb.simulator.dialect import Dialect
from vpplb.simulator.messages import BASE_TYPES, MEMCLNT, MODULES, REQUESTS, Field, Message, Module


def api_json(module: Module, dialect: Dialect) -> dict[str, Any]:
    """Return a module in the form of VPP's .api.json files."""
    return {
        "module": module.name,
        "types": module.types,
        "messages": [_message_json(m, dialect) for m in module.messages if m.kind != "listed"],
        "unions": module.unions,
        "enums": module.enums,
        "enumflags": [],
        "services": dict(_service(m) for m in module.messages if m.kind in REQUESTS),
        "options": {"version": module.version},
        "aliases": dict(module.aliases),
    }


def all_api_json(dialect: Dialect | None = None) -> str:
    """Return the JSON text of `get_api_json_reply`."""
    told = [module for module in MODULES if module is not MEMCLNT]
    return json.dumps([api_json(module, dialect or Dialect()) for module in told])


def _service(message: Message) -> tuple[str, dict[str, Any]]:
    if message.kind == "dump":
        details = message.name.removesuffix("_dump") + "_details"
        return message.name, {"reply": details, "stream": True}
    return message.name, {"reply": f"{message.name}_reply"}


def _message_json(message: Message, dialect: Dialect) -> list[Any]:
    header = [["u16", "_vl_msg_id"], *(["u32", name] for name in message.header)]
    fields = [_field_json(field) for field in message.fields]
    return [message.name, *header, *fields, {"crc": f"0x{dialect.crc(message):08x}", "options": {}}]


def _field_json(field: Field) -> list[Any]:
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
