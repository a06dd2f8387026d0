"""What a probe costs: CPU time of the probing process, beside HAProxy's checks and fping.

HAProxy and fping have the same targets, interval and timeout as our worker (the real process
with the whole engine), and run at the same time with it, then in turns: each prober in a network
namespace of its own with its own nginx, so that the kernel's counters there say how many probes
it made. The kernel's
work on loopback counts too: it is done in the name of who sends. HAProxy, nginx and fping come
from the distribution (`apt install haproxy nginx-light fping`); what is not there is not
measured, and said. Run with `make bench`.

On a machine that does other work too, lateness says more about that than about us. With
VPPLB_BENCH_REALTIME=1 the probers and nginx go before everything else.
"""

import asyncio
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from statistics import median

from in_memory.large_registry import make_large_registry
from lab.authority import Authority
from lab.probe_peers import (
    PORT,
    TLS_PORT,
    Arena,
    addresses,
    children,
    cpu_seconds,
    resident,
    waited_seconds,
    worker_of,
)
from lab.waiting import wait_for
from vpplb.model.check import (
    CheckSpec,
    HttpProbe,
    IcmpProbe,
    ProbeCadence,
    ProbeKind,
    TcpProbe,
    TlsSettings,
)
from vpplb.model.names import ObjectKey
from vpplb.probers import check_loop
from vpplb.probers.worker_pool import WorkerPool
from vpplb.reconcile.ports import LATENESS_BUCKETS, CheckVerdict, ProbeAssignment, ProbeStats
from vpplb.telemetry.http import HttpServer
from vpplb.telemetry.metrics import MetricsRegistry

REALTIME = bool(os.environ.get("VPPLB_BENCH_REALTIME"))
WINDOW = float(os.environ.get("VPPLB_BENCH_WINDOW", "8"))
SHARE = float(os.environ.get("VPPLB_BENCH_SHARE", "1"))
"""Which part of the targets there are."""
LATE = 0.02
NEEDED = ("ip", "nsenter", "unshare")


class Ours:
    """Our worker, probing from an arena's namespace, and what it reported."""

    def __init__(self, arena: Arena) -> None:
        self.probes = 0
        self.late = [0] * (len(LATENESS_BUCKETS) + 1)
        self.up: set[ObjectKey] = set()
        self.pid = 0
        self._changed = asyncio.Event()
        self._pool = WorkerPool(netns=str(arena.namespace))

    async def start(self) -> None:
        """Start the worker, with nothing to do."""
        await self._pool.start(self._on_verdict, self._on_stats)
        await asyncio.to_thread(wait_for, lambda: worker_of(os.getpid()), "a worker")
        self.pid = worker_of(os.getpid()) or 0

    async def stop(self) -> None:
        """End the worker."""
        await self._pool.stop()

    async def assign(self, probe: ProbeKind, targets: Sequence[str], interval: float) -> None:
        """Probe the targets; return once all are up."""
        every = timedelta(seconds=interval)
        cadence = ProbeCadence(interval=every, fast_interval=every, down_interval=every)
        self._pool.assign_checks(
            [
                ProbeAssignment(
                    backend=ObjectKey("bench", f"b{n}"),
                    generation=1,
                    spec=CheckSpec(address=ip_address(target), probe=probe, cadence=cadence),
                    position=n,
                    of=len(targets),
                )
                for n, target in enumerate(targets)
            ]
        )
        async with asyncio.timeout(60):
            while len(self.up) < len(targets):
                self._changed.clear()
                await self._changed.wait()

    def _on_verdict(self, verdict: CheckVerdict) -> None:
        if verdict.up:
            self.up.add(verdict.backend)
        else:
            self.up.discard(verdict.backend)
            print(f"  {verdict.backend} went down: {verdict.code} {verdict.detail}")
        self._changed.set()

    def _on_stats(self, stats: ProbeStats) -> None:
        self.probes += sum(stats.results.values())
        for n, count in enumerate(stats.lateness[0]):
            self.late[n] += count


def prefer(pid: int) -> None:
    """Let a process and its children go before all others, if that is wished."""
    if REALTIME:
        for each in (pid, *children(pid)):
            os.sched_setscheduler(each, os.SCHED_RR, os.sched_param(1))


@asynccontextmanager
async def probing(arena: Arena) -> AsyncIterator[Ours]:
    """Run our worker in an arena."""
    ours = Ours(arena)
    await ours.start()
    try:
        yield ours
    finally:
        await ours.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A process and the kernel's count of its probes."""

    pid: int
    probes: Callable[[], int]

    def read(self) -> tuple[float, int]:
        """Return CPU seconds and probes so far."""
        return cpu_seconds(self.pid), self.probes()


async def costs(*meters: Meter) -> list[tuple[float, int]]:
    """Return µs of CPU a probe, and the probes, of each over one window."""
    before = [meter.read() for meter in meters]
    await asyncio.sleep(WINDOW)
    after = [meter.read() for meter in meters]
    return [
        (1e6 * (cpu1 - cpu0) / max(1, probes1 - probes0), probes1 - probes0)
        for (cpu0, probes0), (cpu1, probes1) in zip(before, after, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many targets (of them `SHARE`), each probed every so many seconds."""

    targets: int = 500
    interval: float = 0.2

    def list_addresses(self) -> Sequence[str]:
        return addresses(max(1, round(self.targets * SHARE)))

    def __str__(self) -> str:
        return f"{self.targets} every {self.interval * 1000:.0f} ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Another prober. `start` returns its process id once it probes all targets of an arena."""

    name: str
    start: Callable[[Arena, Load], int]
    probes: Callable[[Arena], int]


def haproxy(*, http: bool) -> Rival:
    """Return HAProxy, with HTTP or TCP checks of the arena's nginx."""

    def start(arena: Arena, load: Load) -> int:
        prefer(arena.run_nginx())
        return arena.run_haproxy(load.list_addresses(), load.interval, http=http)

    return Rival(name="HAProxy", start=start, probes=Arena.connected)


def fping(*, spread: bool) -> Rival:
    """Return fping, its requests spread over the interval or in one go."""

    def start(arena: Arena, load: Load) -> int:
        return arena.run_fping(load.list_addresses(), load.interval, spread=spread)

    return Rival(name="fping", start=start, probes=Arena.echoed)


Costs = tuple[float, float]
"""Theirs and ours, in µs of CPU a probe."""


async def their_meter(arena: Arena, rival: Rival, load: Load) -> Meter:
    """Start the other prober in an arena."""
    pid = await asyncio.to_thread(rival.start, arena, load)
    prefer(pid)
    return Meter(pid=pid, probes=lambda: rival.probes(arena))


@asynccontextmanager
async def our_meter(
    arena: Arena, rival: Rival, probe: ProbeKind, load: Load
) -> AsyncIterator[Meter]:
    """Run our worker in an arena, with the same work as the other prober."""
    if not isinstance(probe, IcmpProbe):
        prefer(arena.run_nginx())
    async with probing(arena) as ours:
        prefer(ours.pid)
        await ours.assign(probe, load.list_addresses(), load.interval)
        yield Meter(pid=ours.pid, probes=lambda: rival.probes(arena))


async def together(rival: Rival, probe: ProbeKind, load: Load) -> Costs:
    """Measure both at the same time: what disturbs one disturbs the other."""
    with Arena() as theirs, Arena() as mine:
        their = await their_meter(theirs, rival, load)
        async with our_meter(mine, rival, probe, load) as our:
            (their_cost, _), (our_cost, _) = await costs(their, our)
    return their_cost, our_cost


async def in_turns(rival: Rival, probe: ProbeKind, load: Load) -> Costs:
    """Measure one after the other, each with the machine for itself.

    Two that run at once keep both cores awake and each other's code of the kernel in the caches,
    which flatters whoever needs more of either.
    """
    with Arena() as theirs:
        ((their_cost, _),) = await costs(await their_meter(theirs, rival, load))
    with Arena() as mine:
        async with our_meter(mine, rival, probe, load) as our:
            ((our_cost, _),) = await costs(our)
    return their_cost, our_cost


missed: list[str] = []

TOGETHER, IN_TURNS = "together", "in turns"
WAYS = {TOGETHER: together, IN_TURNS: in_turns}


async def compare(
    name: str, rival: Rival, probe: ProbeKind, load: Load, wanted: Mapping[str, float | None]
) -> None:
    """Measure and print both side by side. `wanted`: the ways to measure, and ratios if any."""
    columns, met = [], True
    for way, bound in wanted.items():
        theirs, ours = await WAYS[way](rival, probe, load)
        ratio = f"{way}: theirs {theirs:6.1f}  ours {ours:6.1f}  ratio {ours / theirs:4.2f}"
        columns.append(ratio if bound is None else f"{ratio} (wanted ≤ {bound:.2f})")
        met = met and (bound is None or ours <= bound * theirs)
    verdict = "" if met else "   NOT MET"
    if not met:
        missed.append(f"{name} {load}")
    print(f"  {name:16} {load!s:18} {rival.name:8} {'   '.join(columns)}{verdict}", flush=True)


async def growth(load: Load, empty: int) -> None:
    """Measure one worker with so many HTTP backends."""
    targets = load.list_addresses()
    with Arena() as arena:
        prefer(arena.run_nginx())
        async with probing(arena) as ours:
            prefer(ours.pid)
            await ours.assign(HttpProbe(port=PORT), targets, load.interval)
            await asyncio.sleep(1.0)
            ours.late = [0] * len(ours.late)
            waited = waited_seconds(ours.pid)
            ((cost, probes),) = await costs(Meter(pid=ours.pid, probes=arena.connected))
            waited = waited_seconds(ours.pid) - waited
            memory = resident(ours.pid) - empty
            print(
                f"  {len(targets):6} every {load.interval:.0f} s   {cost:6.1f} µs a probe   "
                f"{cost * probes / WINDOW / 1e4:5.1f} % of a core"
                f" (and {100 * waited / WINDOW:3.0f} % waiting for one)   {lateness(ours.late)}   "
                f"{memory / 1024 / len(targets):5.2f} KiB a backend   ({probes} probes)",
                flush=True,
            )


async def scraped(registry: MetricsRegistry, load: Load) -> None:
    """Measure how late probes are while nobody reads metrics, and while somebody always does.

    The metrics are of 10,000 backends, packed; the worker's parent makes them, as an operator does.
    """
    with Arena() as arena:
        prefer(arena.run_nginx())
        async with (
            HttpServer(address="127.0.0.1:0", metrics=registry.render_pieces) as server,
            probing(arena) as ours,
        ):
            prefer(ours.pid)
            await ours.assign(HttpProbe(port=PORT), load.list_addresses(), load.interval)
            await asyncio.sleep(1.0)
            for reader in (None, f"http://{server.listen_address}/metrics"):
                ours.late = [0] * len(ours.late)
                took = await read_for(WINDOW, reader)
                print(
                    f"  {load!s:18} {f'{len(took)} scrapes' if reader else 'no scrape':12}"
                    f" {lateness(ours.late)}"
                    + (f"   a scrape: p50 {1000 * median(took):.0f} ms" if took else ""),
                    flush=True,
                )


async def read_for(seconds: float, url: str | None) -> list[float]:
    """Read a URL again and again, by a process of its own; return the seconds of each reading."""
    if url is None:
        await asyncio.sleep(seconds)
        return []
    until, took = asyncio.get_running_loop().time() + seconds, list[float]()
    while not took or asyncio.get_running_loop().time() < until:
        command = ("curl", "-s", "--compressed", "-o", "/dev/null", "-w", "%{time_total}", url)
        curl = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        said, _ = await curl.communicate()
        took.append(float(said))
    return took


def lateness(counts: Sequence[int]) -> str:
    """Say how late the probes began, from a histogram by LATENESS_BUCKETS."""
    total = max(1, sum(counts))

    def within(share: float) -> str:
        seen = 0
        for bound, count in zip(LATENESS_BUCKETS, counts, strict=False):
            seen += count
            if seen >= share * total:
                return f"≤ {1000 * bound:g} ms"
        return f"> {1000 * LATENESS_BUCKETS[-1]:g} ms"

    on_time = sum(n for bound, n in zip(LATENESS_BUCKETS, counts, strict=False) if bound <= LATE)
    late = total - on_time
    return (
        f"late: p50 {within(0.5)}, p99 {within(0.99)}, p99.9 {within(0.999)}, "
        f"{1000 * late / total:.2f} in 1000 over {1000 * LATE:.0f} ms"
    )


@contextmanager
def certificate_of(authority: Authority) -> Iterator[Path]:
    """Yield a file with a server's certificate and key."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "server.pem")
        path.write_bytes(authority.server_pem("bench.example"))
        yield path


async def https(certificate: Path, authority: Authority, *, resumption: bool) -> None:
    """Measure HTTPS, with and without what session resumption needs."""
    probe = HttpProbe(
        port=TLS_PORT, tls=TlsSettings(ca_bundle=authority.pem, server_name="bench.example")
    )
    with Arena() as arena:
        arena.run_nginx(certificate, resumption=resumption)
        async with probing(arena) as ours:
            await ours.assign(probe, Load().list_addresses(), 1.0)
            ((cost, probes),) = await costs(Meter(pid=ours.pid, probes=arena.connected))
    offered = "sessions resumed" if resumption else "no resumption offered"
    print(f"  HTTPS, {offered:22} {cost:6.1f} µs a probe   ({probes} probes)", flush=True)


async def empty_worker() -> int:
    """Return the memory of a worker that probes one backend, in bytes."""
    with Arena() as arena:
        arena.run_nginx()
        async with probing(arena) as ours:
            await ours.assign(HttpProbe(port=PORT), addresses(1), 1.0)
            return resident(ours.pid)


async def measure(registry: MetricsRegistry) -> None:
    """Run everything that this machine can run. `registry`: that of 10,000 backends."""
    print("µs of CPU a probe, both at the same time and one after the other:")
    if missing("haproxy", "nginx"):
        print("  HTTP and TCP are not measured")
    else:
        for load, wanted in (
            (Load(), {TOGETHER: 1.1, IN_TURNS: 1.0}),
            (Load(targets=300, interval=0.1), {TOGETHER: 1.4, IN_TURNS: 1.0}),
            (Load(targets=1000, interval=0.1), {TOGETHER: 1.1, IN_TURNS: 1.1}),
            # Together they need more than two cores, with their targets.
            (Load(targets=10_000, interval=1.0), {IN_TURNS: 0.8}),
        ):
            await compare("HTTP", haproxy(http=True), HttpProbe(port=PORT), load, wanted)
        both = {TOGETHER: 1.5, IN_TURNS: 1.5}
        await compare("TCP", haproxy(http=False), TcpProbe(port=PORT), Load(), both)
    if missing("fping"):
        print("  ICMP is not measured")
    else:
        both = {TOGETHER: 1.2, IN_TURNS: 1.2}
        await compare("ICMP, spread", fping(spread=True), IcmpProbe(), Load(), both)
        bursts = {TOGETHER: None, IN_TURNS: 1.5}
        await compare("ICMP, in bursts", fping(spread=False), IcmpProbe(), Load(), bursts)
    if missing("nginx"):
        print("  HTTPS and growth are not measured")
        return
    with certificate_of(authority := Authority()) as certificate:
        for resumption in (True, False):
            await https(certificate, authority, resumption=resumption)
    print("one worker, HTTP:")
    empty = await empty_worker()
    for number in (100, 1000, 10_000, 20_000):
        await growth(Load(targets=number, interval=4.0), empty)
    await growth(Load(targets=10_000, interval=1.0), empty)
    print("  (wanted: at 10000 every 1 s, at most 1 in 1000 over 20 ms; at most 5 KB a backend)")
    if missing("curl"):
        return
    print("the same worker while the metrics of 10,000 backends are read:")
    for load in (Load(targets=1000, interval=1.0), Load(targets=10_000, interval=1.0)):
        await scraped(registry, load)


def missing(*programs: str) -> bool:
    """Say which of these programs are not installed."""
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        print(f"  not installed: {', '.join(absent)}")
    return bool(absent)


def describe() -> None:
    """Say on what and beside what this is measured."""

    def first_line(*command: str) -> str:
        if shutil.which(command[0]) is None:
            return f"no {command[0]}"
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).splitlines()[0]

    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    print(
        f"on {model}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()} ({sys.executable}), probing "
        f"{'compiled' if check_loop.__file__.endswith('.so') else 'not compiled'}; "
        f"load {os.getloadavg()[0]:.1f}"
        f"{'; with real-time priority' if REALTIME else ''}"
    )
    print(f"beside {first_line('haproxy', '-v')}; {first_line('fping', '-v')};", end=" ")
    print(first_line("nginx", "-v"))


def main() -> None:
    """Become root of a user namespace if need be, and measure."""
    if missing(*NEEDED):
        return
    if os.geteuid() != 0:
        command = ["unshare", "--user", "--map-root-user", sys.executable, *sys.argv]
        if subprocess.run([*command[:3], "true"], check=False).returncode != 0:
            print("  needs root, or user namespaces: nothing is measured")
            return
        os.execvp(command[0], command)
    describe()
    asyncio.run(measure(make_large_registry(max(1, round(1000 * SHARE)), 10)))
    if missed:
        print(f"missed: {'; '.join(missed)}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
