from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.probers.conversation import ProbeLayer, RefusedConversation, TcpConversation


def test_being_connected_is_all_that_is_asked() -> None:
    conversation = TcpConversation()
    assert conversation.layer is ProbeLayer.CONNECT
    assert conversation.on_connected() == ProbeResult(code=ProbeCode.L4OK, detail="connected")


def test_settings_that_cannot_be_used_fail_every_probe() -> None:
    result = ProbeResult(code=ProbeCode.L6RSP, detail="no good")
    assert RefusedConversation(result).on_connected() is result
