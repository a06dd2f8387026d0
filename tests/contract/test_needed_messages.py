"""The messages that the client is written for are those of a real VPP 26.10, as recorded."""

import json
from typing import Any

from support.transcripts import DEFINITIONS, require
from vpplb.simulator.api_json import all_api_json
from vpplb.vpp import messages
from vpplb.vpp.messages import NEEDED


def recorded() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in require(DEFINITIONS).glob("*.api.json")]


def table(apis: list[dict[str, Any]]) -> dict[str, int]:
    """Number all messages, as a VPP does when it starts."""
    names = [f"{m[0]}_{m[-1]['crc'][2:]}" for api in apis for m in api["messages"]]
    return {name: number for number, name in enumerate(dict.fromkeys(names), 20)}


def test_a_real_vpp_has_every_needed_message_with_its_crc() -> None:
    assert messages.missing(table(recorded())) == []


def test_messages_of_the_real_vpp_and_of_the_simulator_have_one_form() -> None:
    apis = recorded()
    real = messages.catalogue(json.dumps(apis).encode(), table(apis))
    simulated = messages.catalogue(all_api_json().encode(), table(apis))
    for name in NEEDED:
        ours, theirs = simulated.by_name[name], real.by_name[name]
        assert ours.form == theirs.form
