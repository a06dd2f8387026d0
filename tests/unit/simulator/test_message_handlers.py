"""What transcripts do not hold of the messages."""

from typing import Any

import pytest

from vpplb.simulator.lb import LoadBalancerState
from vpplb.simulator.message_handlers import MessageHandlers
from vpplb.simulator.messages import MESSAGES, REQUESTS
from vpplb.simulator.wire import WireAddress, WirePrefix

WEB = {"pfx": WirePrefix(WireAddress.from_number(0xC0000201), 32), "protocol": 6, "port": 80}
ADD_WEB = {
    **WEB,
    "encap": 0,
    "dscp": 0,
    "type": 0,
    "target_port": 0,
    "node_port": 0,
    "new_flows_table_length": 1024,
    "is_del": False,
}
ADD_SERVER = {
    **WEB,
    "as_address": WireAddress.from_number(0x0A000001),
    "is_del": False,
    "is_flush": False,
}


@pytest.fixture
def service() -> MessageHandlers:
    return MessageHandlers(LoadBalancerState(lambda: 0.0), 42)


def retval(service: MessageHandlers, name: str, fields: dict[str, Any]) -> int:
    [(reply, own)] = service.answer_message(name, fields)
    assert reply == f"{name}_reply"
    value = own["retval"]
    assert isinstance(value, int)
    return value


def test_the_messages_of_older_versions_add_at_weight_100(service: MessageHandlers) -> None:
    assert retval(service, "lb_add_del_vip", ADD_WEB) == 0
    assert retval(service, "lb_add_del_as", ADD_SERVER) == 0
    [vip] = service.state.table().values()
    assert [server.weight for server in vip.servers.values()] == [100]
    assert not vip.settings.src_ip_sticky


def test_a_table_of_65536_reads_back_as_0(service: MessageHandlers) -> None:
    retval(service, "lb_add_del_vip", {**ADD_WEB, "new_flows_table_length": 65536})
    [(_, details)] = service.answer_message("lb_vip_dump", {})
    assert details["flow_table_length"] == 0


def test_nodeport_arrives_as_clusterip_for_its_bytes_are_not_swapped(
    service: MessageHandlers,
) -> None:
    assert retval(service, "lb_add_del_vip", {**ADD_WEB, "encap": 3, "type": 1}) == 0
    assert retval(service, "lb_add_del_vip", {**ADD_WEB, "port": 1, "type": 1 << 24}) != 0


@pytest.mark.parametrize("name", ["lb_add_del_vip", "lb_add_del_as", "lb_as_set_weight"])
def test_a_prefix_longer_than_its_address_is_refused(name: str, service: MessageHandlers) -> None:
    fields = {
        **ADD_WEB,
        **ADD_SERVER,
        "weight": 1,
        "pfx": WirePrefix(WireAddress.from_number(0xC0000201), 33),
    }
    assert retval(service, name, fields) == -1


def test_every_request_is_served_but_those_about_the_connection(service: MessageHandlers) -> None:
    requests = {m.name for m in MESSAGES.values() if m.kind in REQUESTS}
    everything: dict[str, Any] = {
        **ADD_WEB,
        **ADD_SERVER,
        "weight": 1,
        "cmd": "",
        "is_add": True,
        "sw_if_index": 0,
        "client_index": 0,
        "ip4_src_address": None,
        "ip6_src_address": None,
        "sticky_buckets_per_core": 1,
        "flow_timeout": 1,
    }
    for name in requests - {"sockclnt_create", "sockclnt_delete"}:
        service.answer_message(name, everything)


def test_an_answer_is_not_taken_for_a_request(service: MessageHandlers) -> None:
    with pytest.raises(KeyError):
        service.answer_message("lb_conf_reply", {})
