"""The agent's events: on which object, and what they say."""

import asyncio

import pytest

from data.objects import key
from fakes.api_server import FakeApiServer
from fakes.clock import FakeClock
from vpplb.agent.announcer import Announcer, remade
from vpplb.kube.kubernetes_events import EventRecorder
from vpplb.model.vip import Encap, VipSettings

pytestmark = pytest.mark.looptime


async def test_a_vip_made_anew_is_an_event_of_its_frontend_unless_that_is_gone() -> None:
    server = FakeApiServer()
    recorder = EventRecorder(server, "agent", "n1")
    uids = {key("web"): "uid-web"}
    announcer = Announcer(recorder, "n1", FakeClock(), lambda frontend: uids.get(frontend, ""))
    note = remade(VipSettings(encap=Encap.L3DSR, dscp=7, table_length=4096))
    announcer.recreated(key("gone"), note)
    announcer.recreated(key("web"), note)
    sending = asyncio.create_task(recorder.run())
    await asyncio.sleep(1)
    sending.cancel()
    [event] = server.events
    assert event["regarding"] == {
        "apiVersion": "vpplb.dev/v1alpha1",
        "kind": "Frontend",
        "namespace": "default",
        "name": "web",
        "uid": "uid-web",
    }
    assert (event["type"], event["reason"]) == ("Warning", "VipRecreated")
    assert event["note"] == (
        "on node n1: the VIP was removed and made anew as L3DSR dscp 7 table 4096; "
        "its flows are lost"
    )
