"""What transcripts do not hold of VPP's command line."""

from ipaddress import ip_address

import pytest

from vpplb.model.vip import Encap
from vpplb.simulator import cli_text
from vpplb.simulator.lb import LoadBalancerState
from vpplb.simulator.rows import NewVip, VipKey

WEB = VipKey(int(ip_address("192.0.2.1")), 128, 6, 80)
SERVER = int(ip_address("10.0.0.1"))


@pytest.fixture
def lb() -> LoadBalancerState:
    state = LoadBalancerState(lambda: 0.0)
    state.add_vip(WEB, NewVip(encap=Encap.NAT4, target_port=8080))
    state.add_server(WEB, SERVER, 10)
    return state


def test_a_line_says_the_arguments_of_the_encapsulation(lb: LoadBalancerState) -> None:
    assert cli_text.run_command("show lb vips", lb) == (
        "ip4-nat4 192.0.2.1/32 new_size:1024 #as:1  protocol:6 port:80 "
        " type:clusterip port:20480 target_port:8080\n"
    )


def test_removed_vips_and_servers_are_shown_as_such(lb: LoadBalancerState) -> None:
    lb.delete_vip(WEB)
    text = cli_text.run_command("show lb vips verbose", lb)
    assert text is not None
    assert text.splitlines()[0] == " ip4-nat4 [1] 192.0.2.1/32 removed"
    assert "    10.0.0.1 weight:10 buckets:0 flows:0 dpo:1  removed\n" in text


def test_blanks_do_not_matter(lb: LoadBalancerState) -> None:
    assert cli_text.run_command("  show   lb ", lb) == cli_text.run_command("show lb", lb)


@pytest.mark.parametrize("command", ["", "show", "show lb vips terse", "lb conf timeout 3"])
def test_other_commands_are_not_known(command: str, lb: LoadBalancerState) -> None:
    assert cli_text.run_command(command, lb) is None
