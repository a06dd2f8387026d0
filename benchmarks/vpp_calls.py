"""What measuring the agent's programming of a VPP needs: a workload, a bare socket, an ear."""

import asyncio
import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import NamedTuple

from lab.live_syncer import SyncerEar as LiveEar
from lab.processes import Program
from lab.waiting import wait_for
from vpplb.model.names import ObjectKey
from vpplb.model.vip import AppServer, Encap, Vip, VipId, VipProtocol, VipSettings
from vpplb.plan.ops import Op
from vpplb.sync.ports import VipReport
from vpplb.sync.vip_records import WantedVip
from vpplb.vpp import codec, messages
from vpplb.vpp.framing import FrameReader, frame_message

SETTINGS = VipSettings(encap=Encap.GRE4)
CORES = os.sched_getaffinity(0)


def workload(vips: int, servers: int) -> dict[ObjectKey, WantedVip]:
    """Frontends with a VIP each, of `servers` application servers at weight 100."""
    row = Vip(
        settings=SETTINGS,
        servers={IPv4Address(f"10.0.{n // 250}.{n % 250 + 1}"): AppServer(weight=100)
                 for n in range(servers)},
    )  # fmt: skip
    return {
        ObjectKey("bench", f"web{n}"): WantedVip(
            VipId(IPv4Network((0xC0A80000 + n, 32)), VipProtocol.TCP, 80), row, "r1"
        )
        for n in range(vips)
    }


def reweighted(wanted: WantedVip, weight: int, revision: str, *, epoch: int) -> WantedVip:
    """The same with another weight of the first server, and its flows cut at this epoch."""
    first = next(iter(wanted.desired.servers))
    servers = dict(wanted.desired.servers) | {first: AppServer(weight=weight, flush_epoch=epoch)}
    return WantedVip(wanted.vip, Vip(settings=SETTINGS, servers=servers), revision)


def switched(wanted: WantedVip, second: bool, revision: str, *, epoch: int) -> WantedVip:
    """The same with its servers as two pools, of which the `second` half serves, or the first.

    The flows of the half that does not are cut at this epoch.
    """
    half = len(wanted.desired.servers) // 2
    servers = {
        address: AppServer(weight=100)
        if (place >= half) == second
        else AppServer(weight=0, flush_epoch=epoch)
        for place, address in enumerate(wanted.desired.servers)
    }
    return WantedVip(wanted.vip, Vip(settings=SETTINGS, servers=servers), revision)


@dataclass
class FrontendEar(LiveEar):
    """Hears how each frontend stands, and when VPP has been read."""

    missing: dict[ObjectKey, str] = field(default_factory=dict)
    """Revision by frontend that is still to be told of."""
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    cpu: float = 0.0

    def on_report(self, report: VipReport) -> None:
        if report.error:
            raise RuntimeError(report.error)
        if self.missing.get(report.key) == report.revision:
            del self.missing[report.key]
            if not self.missing:
                self.complete.set()

    def on_synced(self, seconds: float) -> None:
        self.cpu = time.process_time()
        super().on_synced(seconds)

    def expect(self, wanted: Mapping[ObjectKey, WantedVip]) -> None:
        """Begin to wait for these revisions; `complete` says when all have been told."""
        self.missing = {key: one.revision for key, one in wanted.items()}
        self.complete.clear()

    async def comparison(self) -> float:
        """Wait for two readings of all of VPP; return the CPU seconds from one to the other."""
        seen = []
        for _ in range(2):
            await self.until(partial(self._has_read_since, self.syncs))
            seen.append(self.cpu)
        return seen[1] - seen[0]

    def _has_read_since(self, syncs: int) -> bool:
        return self.syncs > syncs


class Took(NamedTuple):
    """Seconds that something took, and the CPU time in them: of this process, of VPP's thread."""

    seconds: float
    own_cpu: float
    vpp_cpu: float


class Clocks:
    """Measures from its making on, with the VPP of this process id if there is one."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._begin = self._now()

    def took(self) -> Took:
        return Took(*(now - then for now, then in zip(self._now(), self._begin, strict=True)))

    def _now(self) -> tuple[float, float, float]:
        """Time and CPU times in seconds; VPP's own as the kernel has it, in nanoseconds."""
        spent = Path(f"/proc/{self._pid}/schedstat").read_text().split()[0] if self._pid else "0"
        return time.perf_counter(), time.process_time(), int(spent) / 1e9


def set_apart(pid: int) -> None:
    """Give VPP a core, and this process another, if there are two."""
    here, *others = sorted(CORES)
    os.sched_setaffinity(0, {here})
    for task in Path(f"/proc/{pid}/task").iterdir() if others else ():
        os.sched_setaffinity(int(task.name), {others[0]})


class BareSocket:
    """The binary API with nothing around it: packed calls go out, answers are counted."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        peer = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self.pid: int = struct.unpack("3i", peer)[0]
        """VPP's process."""
        self._frames = FrameReader()
        registration = messages.ClientRegistration()
        self._client, table = registration.unpack_reply(
            self._ask(registration.pack_request("bench"))
        )
        self._catalogue = messages.build_catalogue(table)

    def close(self) -> None:
        self._socket.close()

    def pack(self, ops: Sequence[Op]) -> list[bytes]:
        """Pack the calls of ops, ready to be sent."""
        packed = []
        for number, op in enumerate(ops):
            name, fields = codec.encode_op(op)
            message = self._catalogue.by_name[name].pack(self._client, number + 1, fields)
            packed.append(frame_message(message))
        return packed

    def send(self, frames: Sequence[bytes], window: int) -> Took:
        """Send packed calls, `window` under way at most; return what it took to be answered."""
        clocks = Clocks(self.pid)
        sent = answered = 0
        while answered < len(frames):
            room = answered + window
            if sent < min(room, len(frames)):
                self._socket.sendall(b"".join(frames[sent:room]))
                sent = min(room, len(frames))
            answered += sum(1 for _ in self._frames.read_messages(self._socket.recv(1 << 18)))
        return clocks.took()

    def _ask(self, message: bytes) -> bytes:
        self._socket.sendall(frame_message(message))
        while True:
            for answer in self._frames.read_messages(self._socket.recv(1 << 18)):
                return answer


@contextmanager
def simulated_vpp(vpplb: Path, directory: Path) -> Iterator[Path]:
    """Run the simulator as a process; give its API socket."""
    directory.mkdir()
    path = directory / "api.sock"
    with Program(
        [vpplb, "vpp-simulator", f"--api-socket={path}"], log=directory / "vpp.log"
    ) as simulator:
        wait_for(lambda: path.exists() or not simulator.alive, "the simulator listens")
        assert simulator.alive, simulator.tail()
        yield path
