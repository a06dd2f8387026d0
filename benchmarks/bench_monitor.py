"""What `vpplb monitor` costs, and how true it is: CPU a probe, its schedule, its quantiles.

The program runs as people call it, in a process of its own. What it probes is in this process,
which notes when each connection came, and for how long it kept each answer back. What a probe
costs is the difference between a longer run and a shorter one, so that the start does not count.
Ends with 1 when a figure is missed. `make bench`.
"""

import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

SECONDS = float(os.environ.get("VPPLB_BENCH_SECONDS", "20"))
"""Of each run; the longer ones take three times that."""
VIPS = 10
QUICK, SLOW, EACH = 0.005, 0.08, 50
"""Seconds that answers are kept back: most of them, and one of so many."""
PROGRAM = Path(sys.executable).with_name("vpplb")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

missed: list[str] = []


def show(what: str, measured: str, wanted: str = "", met: bool = True) -> None:
    verdict = "" if met else "   NOT MET"
    print(f"  {what:64} {measured}{f' (wanted {wanted})' if wanted else ''}{verdict}", flush=True)
    if not met:
        missed.append(what)


class NotedServer:
    """What is known of the probes here: when each came, and for how long its answer was kept."""

    def __init__(self, *, keep: bool = False) -> None:
        self.arrived: list[float] = []
        self.kept: list[float] = []
        self._keep = keep

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came = time.monotonic()
        self.arrived.append(came)
        try:
            if await reader.read(4096):
                if self._keep:
                    await asyncio.sleep(SLOW if len(self.kept) % EACH == EACH - 1 else QUICK)
                writer.write(ANSWER)
                self.kept.append(time.monotonic() - came)
                await writer.drain()
                await reader.read()
        except ConnectionError:
            pass  # the monitor resets what it has its answer of
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: NotedServer, number: int = 1) -> AsyncIterator[list[int]]:
    """Serve on so many ports, and yield them."""
    listeners = [
        await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=1024)
        for _ in range(number)
    ]
    try:
        yield [one.sockets[0].getsockname()[1] for one in listeners]
    finally:
        for one in listeners:
            one.close()


async def monitor(seconds: float, *arguments: str) -> tuple[Sequence[Mapping[str, Any]], float]:
    """Run the program; return its summaries, and the seconds of CPU that it took."""
    command = [
        str(PROGRAM),
        "monitor",
        "-o",
        "json",
        "--for",
        f"{1000 * seconds:.0f}ms",
        *arguments,
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = await asyncio.to_thread(lambda: subprocess.run(command, stdout=PIPE, check=True))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [line for line in lines if line["what"] == "summary"], cpu


async def measure_cost(kind: str, form: str) -> None:
    async with serving(NotedServer(), VIPS) as ports:
        targets = [form.format(port) for port in ports]
        pace = ("--interval", "10ms", "--in-flight", "10")
        counts, times = [], []
        for seconds in (SECONDS, 3 * SECONDS):
            found, cpu = await monitor(seconds, *pace, *targets)
            counts.append(sum(one["probes"] for one in found))
            times.append(cpu)
    each = 1e6 * (times[1] - times[0]) / max(1, counts[1] - counts[0])
    rate = counts[1] / SECONDS / 3
    show(f"{kind}: CPU of a probe, {VIPS} VIPs each 10 ms ({rate:.0f} a second)", f"{each:.0f} µs")


async def measure_schedule() -> None:
    server = NotedServer()
    async with serving(server) as (port,):
        await monitor(3 * SECONDS, f"http://127.0.0.1:{port}/")
    offsets = [at - number * 0.1 for number, at in enumerate(server.arrived)]
    late = sorted(1e3 * (one - min(offsets)) for one in offsets)
    p99 = late[int(0.99 * (len(late) - 1))]
    show(
        f"how late {len(late)} probes came, each after 100 ms, against the first in time",
        f"p50 {statistics.median(late):.2f} ms, p99 {p99:.2f} ms, longest {late[-1]:.2f} ms",
        "p99 5 ms",
        p99 <= 5,
    )


async def measure_quantiles() -> None:
    server = NotedServer(keep=True)
    async with serving(server) as (port,):
        (found,), _ = await monitor(3 * SECONDS, f"http://127.0.0.1:{port}/")
    kept = sorted(1e3 * one for one in server.kept)
    for name, part in (("p50", 0.5), ("p99", 0.99)):
        known = kept[min(len(kept) - 1, int(part * len(kept)))]
        error = found[f"{name}Ms"] - known
        bound = 1 + known / 100
        show(
            f"{name} of answers that were kept back for {known:.2f} ms",
            f"{found[f'{name}Ms']:.2f} ms, {error:+.2f} ms",
            "within 1 ms and a hundredth",
            abs(error) <= bound,
        )


async def main() -> None:
    print(f"on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    await measure_cost("TCP", "127.0.0.1:{}")
    await measure_cost("HTTP", "http://127.0.0.1:{}/")
    await measure_schedule()
    await measure_quantiles()


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(1 if missed else 0)
