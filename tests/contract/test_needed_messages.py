"""The definitions that the client brings along are those of a real VPP 26.10, as recorded."""

import json
from typing import Any

from data.transcripts import DEFINITIONS, require
from vpplb.simulator.messages import MODULES, ApiVersion, api_json
from vpplb.vpp import messages
from vpplb.vpp.message_definitions import NEEDED
from vpplb.vpp.messages import MessageCatalogue


def forms(catalogue: MessageCatalogue) -> dict[str, tuple[str, tuple[str, ...], str]]:
    return {name: message.struct_form for name, message in catalogue.by_name.items()}


def table(apis: list[dict[str, Any]]) -> dict[str, int]:
    """Number all messages, as a VPP does when it starts."""
    names = [f"{m[0]}_{m[-1]['crc'][2:]}" for api in apis for m in api["messages"]]
    return {name: number for number, name in enumerate(dict.fromkeys(names), 20)}


def test_a_real_vpp_has_every_needed_message_with_its_crc_and_its_fields() -> None:
    apis = [json.loads(path.read_text()) for path in require(DEFINITIONS).glob("*.api.json")]
    assert messages.missing_messages(table(apis)) == []
    real = messages.build_catalogue_from(apis, table(apis))
    assert forms(messages.build_catalogue(table(apis))) == forms(real)
    assert forms(real).keys() == NEEDED.keys()


def test_the_simulator_defines_every_needed_message_alike() -> None:
    apis = [json.loads(json.dumps(api_json(module, ApiVersion()))) for module in MODULES]
    simulated = messages.build_catalogue_from(apis, table(apis))
    assert forms(messages.build_catalogue(table(apis))) == forms(simulated)
