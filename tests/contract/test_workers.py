"""VPPs with more threads than the main one."""

import os
from pathlib import Path

import pytest

from lab.real_vpp import start_vpp
from vpplb.vpp.lb import PapiLoadBalancer

pytestmark = [pytest.mark.real_vpp, pytest.mark.slow]


async def test_each_worker_counts_among_the_threads_that_need_a_table(tmp_path: Path) -> None:
    with start_vpp(Path(os.environ["VPPLB_TEST_VPP"]), tmp_path / "v", workers=1) as socket:
        lb = PapiLoadBalancer(socket)
        await lb.connect()
        heap = await lb.read_heap()
        await lb.close()
    assert heap is not None
    assert heap.threads == 2
