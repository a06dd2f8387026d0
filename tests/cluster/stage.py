"""The programs of the main job, started as users start them: operator, agent and a VPP.

All of them are processes. They run as the chart's ServiceAccounts, and nothing is told to them
but by kubectl; what reaches VPP is noted by a tap between the agent and VPP.
"""

import json
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cluster.control_plane import SYSTEM_NAMESPACE, ControlPlane
from cluster.kubectl import Kubectl
from lab.http_get import http_get
from lab.processes import Program, free_port
from lab.vpp_tap import VppTap
from lab.vpp_witness import VppWitness
from lab.waiting import wait_for

VPPLB = Path(sys.executable).parent / "vpplb"


class CrashingVpp(Protocol):
    """A VPP that can crash."""

    @property
    def socket(self) -> Path:
        """Return the path of its binary API's socket, the same after a restart."""
        ...

    def restart(self) -> None:
        """Kill it and start it again, empty."""
        ...


class SimulatedVpp:
    """The project's simulator, as a process."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "vpp.sock"
        argv = (
            *(VPPLB, "vpp-simulator", f"--api-socket={self.socket}"),
            *(f"--stats-socket={directory / 'stats.sock'}", f"--control={directory / 'control'}"),
        )
        self._program = Program(argv, log=directory / "vpp.log")
        self._wait()

    def restart(self) -> None:
        self._program.kill()
        self._program.start()
        self._wait()

    def stop(self) -> None:
        self._program.stop()

    def _wait(self) -> None:
        with VppWitness(self.socket) as witness:

            def answers() -> bool:
                if not self._program.alive:
                    raise RuntimeError(f"the simulator ended:\n{self._program.tail()}")
                witness.see()  # whatever an agent has made by now
                return True

            wait_for(answers, "the simulator answers")


class RealVpp:
    """A VPP with the lb plugin, given by its binary."""

    def __init__(self, binary: Path, directory: Path) -> None:
        self._binary = binary
        self._directory = directory
        self._running: AbstractContextManager[Path] | None = None
        self.socket = self._start()

    def restart(self) -> None:
        self.stop()
        assert self._start() == self.socket

    def stop(self) -> None:
        if self._running is not None:
            self._running.__exit__(None, None, None)

    def _start(self) -> Path:
        from lab.real_vpp import start_vpp

        self._running = start_vpp(self._binary, self._directory)
        return self._running.__enter__()


class ServiceProcess:
    """`vpplb operator` or `vpplb agent`, with its health on a port of loopback."""

    def __init__(self, name: str, kubeconfig: Path, directory: Path, *args: str | Path) -> None:
        port = free_port()
        self.http = f"http://127.0.0.1:{port}"
        self._ready = f"{self.http}/readyz"
        self.program = Program(
            [VPPLB, name, f"--http-address=127.0.0.1:{port}", "--log-format=json", *args],
            log=directory / f"{name}.log",
            env={"KUBECONFIG": str(kubeconfig)},
        )

    def wait_ready(self) -> None:
        """Return when it says that it is ready."""
        wait_for(self._is_ready, f"{self._ready} ({self.program.log})")

    def crash(self) -> None:
        """Kill it and start it again."""
        self.program.kill()
        self.program.start()
        self.wait_ready()

    def metric(self, name: str) -> float:
        """Return a metric's value, of the first series of this name; -1 where there is none."""
        for line in http_get(f"{self.http}/metrics")[1].splitlines():
            series, _, value = line.rpartition(" ")
            if series == name or series.startswith(f"{name}{{"):
                return float(value)
        return -1.0

    def transitions(self, backend: str, state: str) -> list[float]:
        """Return when a backend has become this (`time.time()`), of an operator, by its log."""
        told = [
            json.loads(line)
            for line in self.program.log.read_text().splitlines()
            if '"vpplb.transitions"' in line
        ]
        return [
            datetime.fromisoformat(one["at"]).timestamp()
            for one in told
            if one.get("to") == state and str(one["backend"]).endswith(f"/{backend}")
        ]

    def _is_ready(self) -> bool:
        if not self.program.alive:
            raise RuntimeError(f"ended: {self.program.log}\n{self.program.tail()}")
        status, said = http_get(self._ready)
        assert status == 200, said
        return True


def electing(identity: str, lease: str = "", duration: str = "15s") -> list[str]:
    """Return an operator's options for an election of its stage's alone, under a name that lasts.

    So an operator that is started again after a crash takes its own lease at once. Agents are
    reached on a port of loopback.
    """
    return [
        f"--lease-namespace={SYSTEM_NAMESPACE}",
        f"--lease-name={lease or f'operator-{secrets.token_hex(3)}'}",
        f"--lease-duration={duration}",
        f"--identity={identity}",
        f"--direct-address=127.0.0.1:{free_port()}",
        f"--agent-account={SYSTEM_NAMESPACE}/vpplb-agent",
    ]


def direct_token(kubectl: Kubectl, node: str, directory: Path) -> Path:
    """Write an agent's token for the direct road, bound to its node; return its path.

    The Node must be there. A kubelet would renew it.
    """
    path = directory / f"{node}.token"
    bound = ("--bound-object-kind=Node", f"--bound-object-name={node}", "--duration=24h")
    system = kubectl.within(SYSTEM_NAMESPACE)
    path.touch(mode=0o600)
    path.write_text(system("create", "token", "vpplb-agent", "--audience=vpplb-direct", *bound))
    return path


class NodeStage:
    """One node's worth of the system, with an operator."""

    def __init__(
        self,
        plane: ControlPlane,
        vpp: CrashingVpp,
        tap: VppTap,
        directory: Path,
        *args: str,
        election: Sequence[str] = (),
        agent_args: Sequence[str] = (),
    ) -> None:
        self.kubectl: Kubectl = plane.kubectl
        self.node = f"node-{secrets.token_hex(3)}"
        self.vpp = vpp
        self.tap = tap
        self.kubectl.apply(make_node(self.node))
        election = election or electing("operator")
        self.operator = ServiceProcess(
            "operator", plane.operator_kubeconfig, directory, *election, *args
        )
        self.agent = ServiceProcess(
            "agent",
            plane.agent_kubeconfig,
            directory,
            f"--node={self.node}",
            f"--vpp-api-socket={tap.path}",
            f"--vpp-stats-socket={vpp.socket.with_name('stats.sock')}",
            f"--state-file={directory / 'agent.json'}",
            f"--lease-namespace={SYSTEM_NAMESPACE}",
            *(option for option in election if option.startswith("--lease-name=")),
            f"--direct-token-file={direct_token(self.kubectl, self.node, directory)}",
            # Whatever reaches VPP in these tests is a reaction, not the regular comparison.
            "--sync-interval=1h",
            *args,
            *agent_args,
        )

    def stop(self) -> None:
        """Stop both programs and take away what they leave in the cluster."""
        self.operator.program.stop()
        self.agent.program.stop()
        self.kubectl("delete", "dataplane", self.node, "--ignore-not-found", "--wait=false")
        self.kubectl("delete", "node", self.node, "--wait=false")


@contextmanager
def stage(
    plane: ControlPlane,
    directory: Path,
    *args: str,
    election: Sequence[str] = (),
    agent_args: Sequence[str] = (),
) -> Iterator[NodeStage]:
    """Run everything in `directory`: with the VPP of VPPLB_TEST_VPP, else the simulator.

    `args` are further options of both programs, `agent_args` those of the agent alone, `election`
    those of the operator alone that say how it is elected.
    """
    binary = os.environ.get("VPPLB_TEST_VPP")
    with ExitStack() as stack:
        vpp = RealVpp(Path(binary), directory) if binary else SimulatedVpp(directory)
        stack.callback(vpp.stop)
        tap = stack.enter_context(VppTap(directory / "tap.sock", vpp.socket))
        running = NodeStage(
            plane, vpp, tap, directory, *args, election=election, agent_args=agent_args
        )
        stack.callback(running.stop)
        running.operator.wait_ready()
        running.agent.wait_ready()
        yield running


def make_node(name: str) -> dict[str, object]:
    """Return a Node with its name as a label."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
    }
