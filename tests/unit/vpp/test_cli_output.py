from ipaddress import ip_network

import pytest

from vpplb.model.vip import VipId, VipProtocol
from vpplb.plan.settings import HeapSpace
from vpplb.vpp import cli_output
from vpplb.vpp.cli_output import VipListing

WEB = VipId(ip_network("192.0.2.1/32"), VipProtocol.TCP, 80)


def test_the_verbose_listing_tells_index_and_stickiness_of_live_vips() -> None:
    text = (
        " ip4-gre4 [1] 192.0.2.1/32 src_ip_sticky\n  new_size:1024\n  protocol:6 port:80\n"
        "  counters:\n    packet from existing sessions: 0\n  #as:1\n"
        "    10.1.0.1 weight:100 buckets:1024 flows:0 dpo:10 used\n\n"
        " ip4-gre4 [2] 192.0.2.1/32 src_ip_sticky removed\n  new_size:1024\n"
        "  protocol:6 port:443\n  counters:\n  #as:0\n\n"
        " ip6-gre6 [3] 2001:db8::/64 src_ip_sticky\n  new_size:1\n  counters:\n  #as:0\n\n"
        " ip4-nat4 [4] 192.0.2.5/32\n  new_size:1024\n  protocol:17 port:53\n"
        "  type:clusterip port:20480 target_port:8080  counters:\n  #as:0\n\n"
        " ip4-gre4 [5] 192.0.2.6/32\n  new_size:1024\n  protocol:132 port:53\n  counters:\n"
    )
    everything = VipId(ip_network("2001:db8::/64"), VipProtocol.ANY, 0)
    listed = cli_output.parse_vips(text)
    assert listed.indexes == {
        WEB: 1,
        everything: 3,
        VipId(ip_network("192.0.2.5/32"), VipProtocol.UDP, 53): 4,
    }
    assert listed.sticky == {WEB, everything}
    assert cli_output.parse_vips("") == VipListing({})


def test_lines_of_the_listing_that_make_no_sense_are_passed_over() -> None:
    text = " ip6-gre6 [1] 0.0.0.0/64\n ip4-gre4 [2] 192.0.2.1/32\n  new_size:64\n ip9 [x] what\n"
    assert cli_output.parse_vips(text).indexes == {VipId(WEB.prefix, VipProtocol.ANY, 0): 2}


@pytest.mark.parametrize(
    ("free", "expected"),
    [("977.94M", 1025444413), ("3.50G", 7 << 29), ("512.00K", 1 << 19), ("17", 17)],
)
def test_free_memory_and_threads_are_read(free: str, expected: int) -> None:
    memory = (
        "Thread 0 vpp_main\n  base 0x7f0000000000, size 1g, locked, name 'main heap'\n"
        "    page stats: page-size 4K, total 262144, mapped 12107, not-mapped 250037\n"
        f"    total: 1023.99M, used: 46.06M, free: {free}, trimmable: 976.86M\n"
    )
    threads = (
        "\x1b[33mID\x1b[0m \x1b[33m  Name  \x1b[0m \x1b[33mLWP\x1b[0m \x1b[33mCPU\x1b[0m\n"
        " 0\x1b[0m vpp_main\x1b[0m 915\x1b[0m   0\x1b[0m\n"
    )
    assert cli_output.parse_heap(memory, threads) == HeapSpace(expected, 1)
    more = threads + " 1\x1b[0m vpp_wk_0\x1b[0m 930\x1b[0m   1\x1b[0m\n"
    assert cli_output.parse_heap(memory, more) == HeapSpace(expected, 2)


def test_memory_that_vpp_does_not_tell_is_not_known() -> None:
    assert cli_output.parse_heap("show memory: unknown input", "") is None
