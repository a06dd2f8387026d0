"""The processes that probe: in network namespaces, without privileges, and when something ends."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from lab.probing import spec
from lab.servers import (
    ScriptedServer,
    silent,
)
from lab.waiting import eventually
from vpplb.model.check import (
    CheckSpec,
    HttpProbe,
    IcmpProbe,
    ProbeCadence,
    TcpProbe,
)
from vpplb.model.names import ObjectKey
from vpplb.probers.worker_pool import WorkerPool
from vpplb.reconcile.ports import CheckVerdict, ProbeAssignment, ProbeStats, ResponseChange

IN_NAMESPACES = pytest.mark.skipif(
    shutil.which("ip") is None or os.geteuid() != 0, reason="needs ip(8) and root"
)


def cable(near: str, far: str) -> None:
    """Join two namespaces."""
    ip("-n", near, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", far)
    for number, name in enumerate((near, far), 1):
        ip("-n", name, "address", "add", f"198.51.100.{number}/24", "dev", "eth0")
        ip("-n", name, "address", "add", f"2001:db8:1::{number}/64", "dev", "eth0", "nodad")
        ip("-n", name, "link", "set", "eth0", "up")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """Two network namespaces joined by a cable: 198.51.100.1, 2001:db8:1::1 and …2.

    The first routes everything to the second, which knows no way further, refuses to pass on what
    goes to 203.0.113.32/27, and sends back what goes to 203.0.113.64/27 (likewise 2001:db8:32::/48
    and 2001:db8:64::/48). But what goes to 192.0.2.1 and 2001:db8:2::1 is for a card that nobody
    has, and vanishes.
    """
    near, far = f"vpplb-near-{os.getpid()}", f"vpplb-far-{os.getpid()}"
    with ExitStack() as cleanup:
        for name in (near, far):
            ip("netns", "add", name)
            cleanup.callback(ip, "netns", "delete", name)
            ip("-n", name, "link", "set", "lo", "up")
        cable(near, far)
        for family, via in (("-4", "198.51.100.2"), ("-6", "2001:db8:1::2")):
            ip("-n", near, family, "route", "add", "default", "via", via)
        for address in ("192.0.2.1", "2001:db8:2::1"):
            nobody = ["lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "permanent"]
            ip("-n", near, "neighbour", "add", address, *nobody)
            ip("-n", near, "route", "add", address, "dev", "eth0")
        for prefix in ("203.0.113.32/27", "2001:db8:32::/48"):
            ip("-n", far, "route", "add", "prohibit", prefix)
        for prefix, back in (
            ("203.0.113.64/27", "198.51.100.1"),
            ("2001:db8:64::/48", "2001:db8:1::1"),
        ):
            ip("-n", far, "route", "add", prefix, "via", back)
        for setting in ("ipv4.ip_forward", "ipv6.conf.all.forwarding"):
            in_namespace(far, "sysctl", "-q", "-w", f"net.{setting}=1")
        yield near, far


def in_namespace(name: str, *command: str) -> str:
    done = subprocess.run(
        ["ip", "netns", "exec", name, *command], check=True, capture_output=True, text=True
    )
    return done.stdout


def network_namespace() -> Path:
    """Return that of this process, as the kernel names it."""
    return Path("/proc/self/ns/net").readlink()


async def verdicts_from(
    netns: str, checks: dict[str, CheckSpec]
) -> dict[str, tuple[str, str, str]]:
    """Probe each once from a namespace; return codes, details and whether anybody answered."""
    found: dict[str, tuple[str, str, str]] = {}
    responses: dict[str, str] = {}
    complete = asyncio.Event()

    def on_response_change(turn: ResponseChange) -> None:
        responses[turn.backend.name] = turn.response.value

    def on_verdict(verdict: CheckVerdict) -> None:
        name = verdict.backend.name
        found[name] = (verdict.code.value, verdict.detail, responses[name])
        if len(found) == len(checks):
            complete.set()

    pool = WorkerPool(netns=netns)
    await pool.start(on_verdict, lambda _: None, on_response_change)
    pool.assign_checks(
        [
            ProbeAssignment(backend=ObjectKey("ns", name), generation=1, spec=each)
            for name, each in checks.items()
        ]
    )
    try:
        async with asyncio.timeout(20):
            await complete.wait()
    finally:
        await pool.stop()
    return found


@pytest.mark.privileged
@pytest.mark.slow
@IN_NAMESPACES
async def test_probes_leave_from_the_namespace_and_tell_unreachable_from_silent(
    namespaces: tuple[str, str],
) -> None:
    near, _ = namespaces
    checks = {
        "reply4": spec(IcmpProbe(), "198.51.100.2"),
        "reply6": spec(IcmpProbe(), "2001:db8:1::2"),
        "refused": spec(TcpProbe(port=1), "198.51.100.2"),
        "silent4": spec(IcmpProbe(), "192.0.2.1", timeout=0.3),
        "silent6": spec(TcpProbe(port=1), "2001:db8:2::1", timeout=0.3),
        "no way 4": spec(IcmpProbe(), "203.0.113.1"),
        "no way 6": spec(IcmpProbe(), "2001:db8:3::1"),
        "no way, tcp": spec(TcpProbe(port=1), "203.0.113.1"),
        "no source": spec(TcpProbe(port=1), "198.51.100.2", source="203.0.113.9"),
    }
    outside = network_namespace()
    assert await verdicts_from(near, checks) == {
        "reply4": ("L3OK", "echo reply", "passed"),
        "reply6": ("L3OK", "echo reply", "passed"),
        "refused": ("L4CON", "connection refused", "answered"),
        "silent4": ("L3TOUT", "no echo reply in time", "silent"),
        "silent6": ("L4TOUT", "no connection in time", "silent"),
        "no way 4": ("L3UNR", "network unreachable, from 198.51.100.2", "silent"),
        "no way 6": ("L3UNR", "no route to destination, from 2001:db8:1::2", "silent"),
        "no way, tcp": ("L4CON", "network is unreachable", "silent"),
        "no source": ("L4CON", "no such source address", "silent"),
    }
    assert network_namespace() == outside  # only the worker went in


@pytest.mark.privileged
@pytest.mark.slow
@IN_NAMESPACES
async def test_what_a_router_says_of_an_echo_request_is_told_apart(
    namespaces: tuple[str, str],
) -> None:
    near, _ = namespaces
    for setting in ("ipv4.ip_default_ttl", "ipv6.conf.eth0.hop_limit"):
        in_namespace(near, "sysctl", "-q", "-w", f"net.{setting}=1")
    found = await verdicts_from(
        near,
        {
            address: spec(IcmpProbe(), address)
            for address in ("203.0.113.33", "2001:db8:32::1", "203.0.113.65", "2001:db8:64::1")
        },
    )
    details = {address: detail.split(", from ")[0] for address, (_, detail, _) in found.items()}
    assert details == {
        "203.0.113.33": "communication administratively prohibited",
        "2001:db8:32::1": "communication administratively prohibited",
        "203.0.113.65": "time to live exceeded on the way",
        "2001:db8:64::1": "time to live exceeded on the way",
    }


HOLDER = """
import socket, struct, sys
held = socket.create_connection(("198.51.100.2", 8080))
held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.privileged
@pytest.mark.slow
@IN_NAMESPACES
async def test_a_lack_of_local_ports_blames_nobody_and_is_said(
    namespaces: tuple[str, str],
) -> None:
    near, far = namespaces
    in_namespace(near, "sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=50000 50000")
    server = [sys.executable, "-m", "http.server", "--bind", "198.51.100.2", "8080"]
    found: list[CheckVerdict] = []
    discarded: list[int] = []
    pool = WorkerPool(netns=near)
    async with AsyncExitStack() as cleanup:
        await child(cleanup, far, *server)
        await eventually(lambda: "8080" in in_namespace(far, "ss", "-tln"), "the server listens")
        holder = await child(cleanup, near, sys.executable, "-c", HOLDER)
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"held\n"
        cleanup.push_async_callback(pool.stop)
        await pool.start(
            found.append, lambda each: discarded.append(each.discarded.get("ports", 0))
        )
        check = spec(HttpProbe(port=8080), "198.51.100.2")
        pool.assign_checks(
            [ProbeAssignment(backend=ObjectKey("ns", "b"), generation=1, spec=check)]
        )
        await eventually(
            lambda: "short of ports" in (pool.find_trouble() or ""), "it is said", within=20
        )
        assert found == []
        assert sum(discarded) >= 1
        assert holder.stdin is not None
        holder.stdin.close()
        await eventually(lambda: [each.up for each in found] == [True], "it is up", within=20)
        await eventually(lambda: pool.find_trouble() is None, "no trouble", within=20)


async def child(
    cleanup: AsyncExitStack, namespace: str, *command: str
) -> asyncio.subprocess.Process:
    """Run a program in a namespace until the end."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", namespace, *command, stdin=pipe, stdout=pipe
    )
    cleanup.push_async_callback(process.wait)
    cleanup.callback(_end, process)
    return process


def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


UNPRIVILEGED = """
from datetime import timedelta
from ipaddress import ip_address
from vpplb.reconcile.ports import ProbeAssignment
from vpplb.model.check import CheckSpec, IcmpProbe, ProbeCadence
from vpplb.model.names import ObjectKey
from vpplb.probers.check_loop import CheckLoop

loop = CheckLoop()
for address in ("198.51.100.2", "2001:db8:1::2", "203.0.113.33", "2001:db8:32::1"):
    cadence = ProbeCadence(timeout=timedelta(seconds=5))  # a new link takes its time with IPv6
    spec = CheckSpec(address=ip_address(address), probe=IcmpProbe(), cadence=cadence)
    loop.assign_checks([ProbeAssignment(backend=ObjectKey("ns", address), generation=1, spec=spec)])
while len(loop.verdicts) < 4:
    loop.run_once(1.0)
for verdict in sorted(loop.verdicts, key=lambda each: each.backend):
    print(verdict.backend.name, verdict.code.value, verdict.detail)
"""


@pytest.mark.privileged
@pytest.mark.slow
@IN_NAMESPACES
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv(1)")
@pytest.mark.parametrize(
    ("groups", "outcome"),
    [
        (
            "0 2147483647",
            "198.51.100.2 L3OK echo reply\n"
            "2001:db8:1::2 L3OK echo reply\n"
            "2001:db8:32::1 L3UNR communication administratively prohibited, from 2001:db8:1::2\n"
            "203.0.113.33 L3UNR communication administratively prohibited, from 198.51.100.2\n",
        ),
        (
            "1 0",
            "198.51.100.2 L3UNR ICMP sockets are not permitted to the prober\n"
            "2001:db8:1::2 L3UNR ICMP sockets are not permitted to the prober\n"
            "2001:db8:32::1 L3UNR ICMP sockets are not permitted to the prober\n"
            "203.0.113.33 L3UNR ICMP sockets are not permitted to the prober\n",
        ),
    ],
    ids=["ping sockets", "no ICMP at all"],
)
def test_icmp_without_privileges_uses_ping_sockets_if_they_are_permitted(
    namespaces: tuple[str, str], groups: str, outcome: str
) -> None:
    near, _ = namespaces
    in_namespace(near, "sysctl", "-q", "-w", f"net.ipv4.ping_group_range={groups}")
    unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    assert in_namespace(near, *unprivileged, sys.executable, "-c", UNPRIVILEGED) == outcome


@pytest.mark.slow
async def test_a_namespace_that_is_not_there_is_said_and_costs_no_new_processes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = "network namespace no-such-namespace: No such file or directory"
    pool = WorkerPool(netns="no-such-namespace")
    await pool.start(lambda _: None, lambda _: None)
    try:
        await eventually(lambda: pool.find_trouble() == text, "it is said", within=20)
        (before,) = workers()
        await asyncio.sleep(1.5)
        assert workers() == [before]
        assert [record.getMessage() for record in caplog.records].count(text) == 1
        assert pool.count_processes() == (1, 1)
        async with asyncio.timeout(1.5):  # so it has heard that the channel is closed
            await pool.stop()
    finally:
        await pool.stop()


def workers() -> list[int]:
    """Return the processes that probe for this one."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(child) for child in children if "probers.worker" in _command(child)]


def _command(process: str) -> str:
    return Path(f"/proc/{process}/cmdline").read_text()


@pytest.mark.privileged
@pytest.mark.slow
@IN_NAMESPACES
async def test_a_namespace_that_is_made_anew_is_entered_anew_and_no_verdict_comes_of_it(
    namespaces: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    near, far = namespaces
    server = [sys.executable, "-m", "http.server", "--bind", "198.51.100.2", "8080"]
    found: list[tuple[bool, str]] = []
    pool = WorkerPool(netns=near)
    async with AsyncExitStack() as cleanup:
        serving = await child(cleanup, far, *server)
        cleanup.push_async_callback(pool.stop)
        await eventually(lambda: "8080" in in_namespace(far, "ss", "-tln"), "the server listens")
        await pool.start(lambda each: found.append((each.up, each.detail)), lambda _: None)
        pool.assign_checks(
            [
                ProbeAssignment(
                    backend=ObjectKey("ns", "b"),
                    generation=1,
                    spec=CheckSpec(
                        address=ip_address("198.51.100.2"),
                        probe=HttpProbe(port=8080),
                        cadence=ProbeCadence(interval=timedelta(seconds=0.2), fall=1),
                    ),
                )
            ]
        )
        await eventually(lambda: found == [(True, "200 OK")], "it is up", within=20)
        ip("netns", "delete", near)
        ip("-n", far, "link", "delete", "eth0")
        await eventually(lambda: f"{near}: No such" in (pool.find_trouble() or ""), "it is said")
        ip("netns", "add", near)
        cable(near, far)
        await eventually(lambda: pool.find_trouble() is None, "it is entered", within=20)
        await asyncio.sleep(2.0)
        serving.kill()
        await eventually(lambda: len(found) > 1, "it is down", within=20)
        # A probe may be connected, and not yet answered, while the server is killed.
        assert found[1:] in ([(False, "connection refused")], [(False, "connection reset by peer")])
    assert f"network namespace {near} is gone" in caplog.text


@pytest.mark.slow
async def test_statistics_come_every_second() -> None:
    stats: asyncio.Queue[ProbeStats] = asyncio.Queue()
    pool = WorkerPool()
    await pool.start(lambda _: None, stats.put_nowait)
    with ScriptedServer(silent) as server:
        check = spec(TcpProbe(port=server.port))
        pool.assign_checks(
            [ProbeAssignment(backend=ObjectKey("ns", "b"), generation=1, spec=check)]
        )
        try:
            async with asyncio.timeout(20):
                first = await stats.get()
        finally:
            await pool.stop()
    assert first.results == {("TCP", "L4OK"): 1}
    assert sum(first.lateness[0]) == 1
    assert sum(first.durations["TCP"][0]) == 1


@pytest.mark.slow
def test_a_worker_ends_when_its_parent_is_killed() -> None:
    script = """
import asyncio, os
from vpplb.probers.worker_pool import WorkerPool
async def main():
    pool = WorkerPool(workers=2)
    await pool.start(print, print)
    while True:
        await asyncio.sleep(0.05)
        children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
        if len(children) == 2:
            print(*children, flush=True)
            await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        workers = [int(each) for each in parent.stdout.readline().split()]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        # The workers hold its other end: it is at its end when both are gone.
        assert parent.stdout.read() == ""
    assert len(workers) == 2
