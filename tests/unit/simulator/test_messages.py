import json

import pytest

from vpplb.simulator.messages import MESSAGE_IDS, MESSAGES, ApiVersion, all_api_json


@pytest.mark.parametrize("shift", [0, 1, 1000])
def test_every_message_is_found_by_its_number(shift: int) -> None:
    api_version = ApiVersion(shift=shift)
    assert {api_version.message_name(api_version.message_id(name)) for name in MESSAGES} == set(
        MESSAGES
    )


def test_ids_are_shifted_but_for_those_that_clients_know() -> None:
    api_version = ApiVersion(shift=100)
    known = MESSAGE_IDS["sockclnt_create_reply"]
    assert {api_version.message_id(name) - number for name, number in MESSAGE_IDS.items()} == {
        0,
        100,
    }
    assert api_version.message_name(known) == "sockclnt_create_reply"
    assert [api_version.message_name(number) for number in (0, known + 1, known + 100)] == [
        None
    ] * 3
    assert api_version.message_name(known + 101) == "sockclnt_delete"


def test_another_crc_shows_in_the_table_and_in_the_definition() -> None:
    api_version = ApiVersion(other_crcs=frozenset({"lb_conf"}))
    crc = MESSAGES["lb_conf"].crc ^ 0xFFFFFFFF
    assert f"lb_conf_{crc:08x}" in [name for _, name in api_version.message_table()]
    assert f"0x{crc:08x}" in all_api_json(api_version)
    assert json.loads(all_api_json(api_version)) != json.loads(all_api_json())


def test_what_no_vpp_can_be_is_refused() -> None:
    with pytest.raises(ValueError, match="no such message: lb_confuse"):
        ApiVersion(other_crcs=frozenset({"lb_confuse"}))
    with pytest.raises(ValueError, match="cannot be shifted by 65535"):
        ApiVersion(shift=65535)
