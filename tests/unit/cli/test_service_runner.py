"""What is said of what an event loop meets."""

import asyncio
import errno
import socket

import pytest

from lab.descriptors import descriptors
from vpplb.cli.service_runner import SHORTAGE_EVERY, LoopErrors, run_service
from vpplb.resources.base import SpecModel


@pytest.mark.looptime
async def test_that_no_connection_can_be_accepted_is_said_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(LoopErrors())
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        peer = socket.socket()
        peer.setblocking(False)
        with descriptors(0):
            await loop.sock_connect(peer, server.sockets[0].getsockname())
            await asyncio.sleep(1.2)
        said = [one.getMessage() for one in caplog.records]
        assert said == ["no connection can be accepted: [Errno 24] Too many open files"]
        async with asyncio.timeout(5):
            assert await loop.sock_recv(peer, 1) == b""
        peer.close()


@pytest.mark.looptime
async def test_a_shortage_that_lasts_is_said_again_and_all_else_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop, say = asyncio.get_running_loop(), LoopErrors()
    short = {"message": "x", "exception": OSError(errno.ENFILE, "full"), "socket": None}
    for _ in range(10):
        say(loop, short)
    await asyncio.sleep(SHORTAGE_EVERY)
    say(loop, short)
    assert [one.getMessage() for one in caplog.records] == [
        "no connection can be accepted: [Errno 23] full"
    ] * 2
    for error in (ValueError("a bug"), OSError(errno.ENFILE, "full")):
        say(loop, {"message": "a task has failed", "exception": error})
    assert caplog.text.count("a task has failed") == 2


def test_a_program_that_stays_builds_its_models_before_it_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.setswitchinterval", lambda seconds: None)  # that is this process's

    class OwnModel(SpecModel):
        port: int

    built: list[bool] = []

    async def main(_: asyncio.Event) -> None:
        built.append(OwnModel.__pydantic_complete__)

    run_service(main)
    assert built == [True]
