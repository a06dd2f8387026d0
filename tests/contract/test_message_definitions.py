"""What the simulator says of its messages is what a real VPP says, CRCs included."""

import json
from typing import Any

import pytest

from data import transcripts
from vpplb.simulator.messages import (
    MESSAGE_IDS,
    MESSAGES,
    MODULES,
    ApiModule,
    ApiVersion,
    all_api_json,
    api_json,
)

MODULE_NAMES = [module.name for module in MODULES]


def without_texts(value: Any) -> Any:
    """Leave out what is for people: comments and options of messages."""
    if isinstance(value, dict):
        texts = ("comment", "options")
        return {k: without_texts(v) for k, v in value.items() if k not in texts} or None
    if isinstance(value, list):
        return [element for e in value if (element := without_texts(e)) is not None]
    return value


def served(module: str) -> dict[str, Any]:
    (definition,) = (api_json(known, ApiVersion()) for known in MODULES if known.name == module)
    read: dict[str, Any] = json.loads(json.dumps(definition))
    return read


def test_a_client_is_told_all_modules_but_the_one_it_brings_along() -> None:
    told = [definition["module"] for definition in json.loads(all_api_json())]
    assert told == [name for name in MODULE_NAMES if name != "memclnt"]


def real(module: str) -> dict[str, Any]:
    file = transcripts.require(transcripts.DEFINITIONS) / f"{module}.api.json"
    definition: dict[str, Any] = json.loads(file.read_text())
    return definition


def by_name(definitions: list[Any]) -> dict[str, Any]:
    return {definition[0]: without_texts(definition[1:]) for definition in definitions}


@pytest.mark.parametrize("section", ["messages", "types", "unions", "enums"])
@pytest.mark.parametrize("module", MODULE_NAMES)
def test_every_definition_is_the_real_one(module: str, section: str) -> None:
    ours, theirs = by_name(served(module)[section]), by_name(real(module)[section])
    assert ours == {name: theirs[name] for name in ours}


@pytest.mark.parametrize("section", ["services", "aliases", "options"])
@pytest.mark.parametrize("module", MODULE_NAMES)
def test_every_service_alias_and_version_is_the_real_one(module: str, section: str) -> None:
    ours, theirs = served(module)[section], real(module)[section]
    assert ours == {name: theirs[name] for name in ours}


def test_every_message_of_the_lb_plugin_is_served() -> None:
    assert by_name(served("lb")["messages"]).keys() == by_name(real("lb")["messages"]).keys()


@pytest.mark.parametrize("module", MODULES, ids=MODULE_NAMES)
def test_every_request_has_its_answer(module: ApiModule) -> None:
    answers = {service["reply"] for service in served(module.name)["services"].values()}
    defined = {message.name for message in module.messages if message.kind != "listed"}
    replies = defined - served(module.name)["services"].keys()
    assert answers == replies


def test_names_with_crcs_are_unique_in_the_table_of_messages() -> None:
    assert len({(message.name, message.crc) for message in MESSAGES.values()}) == len(MESSAGES)


@pytest.mark.parametrize("module", MODULES, ids=MODULE_NAMES)
def test_every_crc_in_the_table_of_messages_is_the_real_one(module: ApiModule) -> None:
    crcs = {m[0]: int(m[-1]["crc"], 16) for m in real(module.name)["messages"]}
    assert {m.name: m.crc for m in module.messages} == {
        m.name: crcs[m.name] for m in module.messages
    }


def test_sockclnt_create_and_its_reply_have_the_numbers_that_clients_assume() -> None:
    assert (MESSAGE_IDS["sockclnt_create"], MESSAGE_IDS["sockclnt_create_reply"]) == (15, 16)
