"""What a service manager is told, at the socket of sd_notify(3)."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from vpplb.telemetry.service_manager import ServiceManager


class NotifySocket:
    """The service manager's side."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)

    def close(self) -> None:
        self._socket.close()

    def take(self) -> list[dict[str, str]]:
        """Return what was told since, a message each."""
        told: list[dict[str, str]] = []
        while True:
            try:
                message = self._socket.recv(4096).decode()
            except BlockingIOError:
                return told
            told.append(dict(line.split("=", 1) for line in message.split("\n")))


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NotifySocket]:
    """Give a service manager that listens on a path, or on an abstract socket."""
    abstract = request.param == "abstract"
    one = NotifySocket(f"@vpplb-test-{os.getpid()}" if abstract else str(tmp_path / "notify"))
    yield one
    one.close()


@asynccontextmanager
async def running(manager: ServiceManager, wrong: list[str]) -> AsyncIterator[None]:
    """Run it; what is in `wrong` is wrong."""
    task = asyncio.create_task(
        manager.run(lambda: "VPP has 1 of 1 frontends", lambda: wrong[0] if wrong else None)
    )
    await asyncio.sleep(0)
    yield
    assert not task.done(), task
    task.cancel()
    await asyncio.wait([task])


def test_what_the_manager_left_is_taken_so_that_no_child_speaks_for_us() -> None:
    variables = {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "30000000", "HOME": "/"}
    manager = ServiceManager.from_environment(variables | {"WATCHDOG_PID": str(os.getpid())})
    assert (manager.address, manager.watchdog) == ("/run/n", 30.0)
    ServiceManager.from_environment(variables)
    assert variables == {"HOME": "/"}


@pytest.mark.parametrize(
    ("variables", "watchdog"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "1500000"}, 1.5),
    ],
)
def test_a_watchdog_counts_only_where_it_is_ours(
    variables: dict[str, str], watchdog: float
) -> None:
    assert ServiceManager.from_environment(dict(variables)).watchdog == watchdog


@pytest.mark.looptime
async def test_it_is_told_that_we_are_ready_and_how_we_fare(systemd: NotifySocket) -> None:
    wrong: list[str] = []
    async with running(ServiceManager(address=systemd.address, watchdog=6.0), wrong):
        told = [
            {"READY": "1", "WATCHDOG": "1"},
            {"READY": "1", "STATUS": "VPP has 1 of 1 frontends"},
        ]
        assert systemd.take() == told
        await asyncio.sleep(4.1)
        assert systemd.take() == [*told, *told], "twice in four seconds: one may be late"
        wrong.append("no probing process works")
        await asyncio.sleep(4)
        assert ["WATCHDOG" in one for one in systemd.take()] == [False, False]


@pytest.mark.looptime
async def test_without_a_watchdog_the_status_is_kept_up(systemd: NotifySocket) -> None:
    async with running(ServiceManager(address=systemd.address), ["no probing process works"]):
        await asyncio.sleep(10.1)
        assert [one["READY"] for one in systemd.take()] == ["1", "1", "1"]


async def test_a_reload_is_announced_with_its_time_and_ends_whatever_came_of_it(
    systemd: NotifySocket,
) -> None:
    manager = ServiceManager(address=systemd.address)
    async with running(manager, []):
        systemd.take()
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        with suppress(ValueError), manager.announce_reload():
            [reloading] = systemd.take()
            raise ValueError("bad")
        assert reloading.keys() == {"RELOADING", "MONOTONIC_USEC"}
        assert before <= int(reloading["MONOTONIC_USEC"]) <= before + 60_000_000
        assert systemd.take() == [{"READY": "1"}]


async def test_it_is_told_that_we_stop(systemd: NotifySocket) -> None:
    manager = ServiceManager(address=systemd.address)
    async with running(manager, []):
        systemd.take()
        manager.announce_stop()
        assert systemd.take() == [{"STOPPING": "1"}]


async def test_a_line_break_in_the_status_forges_no_message(systemd: NotifySocket) -> None:
    task = asyncio.create_task(
        ServiceManager(address=systemd.address).run(lambda: "a\nMAINPID=1", lambda: None)
    )
    await asyncio.sleep(0)
    assert systemd.take()[0]["STATUS"] == r"a\nMAINPID=1"
    task.cancel()


@pytest.mark.parametrize("wrong", ["a finding " * 1000, "ü" * 5000, "\x1b" * 5000])
async def test_a_long_status_is_cut_and_costs_no_sign_of_life(
    systemd: NotifySocket, wrong: str
) -> None:
    """Systemd drops a message of more than 4096 bytes whole."""
    manager = ServiceManager(address=systemd.address, watchdog=6.0)
    task = asyncio.create_task(manager.run(lambda: wrong, lambda: None))
    await asyncio.sleep(0)
    alive, told = systemd.take()
    assert alive == {"READY": "1", "WATCHDOG": "1"}
    assert 1000 < len(told["STATUS"].encode()) <= 1024
    assert told["STATUS"].endswith("…")
    task.cancel()


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "vsock:2:1234", "@nobody-listens"])
async def test_nobody_who_listens_is_no_trouble(address: str) -> None:
    manager = ServiceManager.from_environment({"NOTIFY_SOCKET": address})
    async with running(manager, []):
        with manager.announce_reload():
            pass
        manager.announce_stop()
